"""Size ratchet: gauges of the house style that may only get better.

usage: python -m scripts.ratchet [ROOT]

Gauges, over src/, scripts/, tests/ and benchmarks/:
  a function has at most 70 lines, a file at most 600 (under src/treadle/core 400).
Gauges over src/ alone:
  broad `except` at most 1.5 per 1,000 lines, each with a comment; an import inside a function only with a comment;
  lines of code: the core, without what serves evaluator and border (decision 6), at most 3,000; the evaluator at most
  1,500, and what expressions call (filters, tests, functions, dates, regular expressions) at most 1,400 (decision 9).

What is over its limit today may stand in scripts/ratchet.txt (`LINES KEY` per row), where it can only shrink: growth
fails, a number that is too high fails, and so does a row that HEAD or its parent commit did not have.
"""

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

FUNCTION_MAX, FILE_MAX, CORE_FILE_MAX, CORE_TOTAL_MAX = 70, 600, 400, 3_000
BROAD_PER_KLOC_MAX, BROAD_COUNTS_FROM_LINES = 1.5, 2_000  # a rate says nothing about a few hundred lines
FOLDERS = ("src", "scripts", "tests", "benchmarks")
RATCHET = "scripts/ratchet.txt"
CORE = "src/treadle/core/"
BORDER = ("values.py", "schema", "durations.py", "nearest.py", "codec.py", "aside.py", "expr/stored.py")
# Of a file the first that fits, and its most lines of code; None is counted nowhere.
PARTS: dict[str, tuple[str, int] | None] = {
    **{CORE + name: None for name in BORDER},
    f"{CORE}expr/library/": (f"{CORE}expr/library", 1_400),
    f"{CORE}regex/": (f"{CORE}expr/library", 1_400),
    f"{CORE}expr/": (f"{CORE}expr", 1_500),
    CORE: (CORE.rstrip("/"), CORE_TOTAL_MAX),
}
EMPTY_TOKENS = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip
BROAD = {"Exception", "BaseException"}


def python_files(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted(path for path in (root / folder).rglob("*.py") if "node_modules" not in path.parts)


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its dotted name, nested ones and methods included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def lines_of_code(text: str, tree: ast.Module) -> int:
    """Lines that hold code: no blank lines, comments or docstrings (decision 6)."""
    said: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            said.update(range(node.body[0].lineno, (node.body[0].end_lineno or node.body[0].lineno) + 1))
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in EMPTY_TOKENS:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - said)


def has_comment(lines: list[str], first: int, last: int) -> bool:
    """Whether a comment stands on lines `first`…`last` (counted from 1)."""
    return any("#" in line for line in lines[max(first, 1) - 1 : last])


def is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in BROAD for node in ast.walk(handler.type))


def sizes(root: Path) -> dict[str, tuple[int, int]]:
    """Key of each file and function -> (lines, limit)."""
    found: dict[str, tuple[int, int]] = {}
    totals: dict[str, tuple[int, int]] = {}
    for path in python_files(root):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        count = len(text.splitlines())
        found[name] = (count, CORE_FILE_MAX if name.startswith(CORE) else FILE_MAX)
        tree = ast.parse(text)
        part = next((part for prefix, part in PARTS.items() if name.startswith(prefix)), None)
        if part is not None:
            key, limit = part
            totals[key] = (totals.get(key, (0, 0))[0] + lines_of_code(text, tree), limit)
        for dotted, node in functions(tree):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            found[f"{name}::{dotted}"] = (lines, FUNCTION_MAX)
    return found | totals


def habits(root: Path) -> Iterator[str]:
    """Complaints about broad handlers and imports inside functions of the product."""
    total, broad = 0, []
    for path in sorted((root / "src").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        total += len(lines)
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and is_broad(node):
                broad.append(f"{name}:{node.lineno}")
                if not has_comment(lines, node.lineno - 1, node.body[0].lineno):
                    yield f"{name}:{node.lineno}: a broad except needs a comment that says which border it guards"
        for _, function in functions(tree):
            for node in ast.walk(function):
                if not isinstance(node, ast.Import | ast.ImportFrom):
                    continue
                if not has_comment(lines, node.lineno - 1, node.end_lineno or node.lineno):
                    yield f"{name}:{node.lineno}: an import inside a function needs a comment that says why"
    if broad and 1000 * len(broad) > BROAD_PER_KLOC_MAX * max(total, BROAD_COUNTS_FROM_LINES):
        yield f"{len(broad)} broad excepts in {total} lines of src, at most {BROAD_PER_KLOC_MAX} per 1,000: {' '.join(broad)}"


def parse_ratchet(text: str) -> dict[str, int]:
    rows = (line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {key: int(lines) for lines, key in rows}


def committed_ratchet(root: Path, revision: str) -> dict[str, int] | None:
    """The ratchet of a commit, or None where there is no such commit or file (a fresh or shallow clone)."""
    shown = subprocess.run(["git", "show", f"{revision}:{RATCHET}"], cwd=root, capture_output=True, text=True, check=False)
    return parse_ratchet(shown.stdout) if shown.returncode == 0 else None


def ratchet_problems(found: dict[str, tuple[int, int]], rows: dict[str, int]) -> Iterator[str]:
    for key, (lines, limit) in found.items():
        allowed = rows.get(key, limit)
        if lines > allowed:
            yield f"{key}: {lines} lines, at most {allowed}: divide it"
    for key, allowed in rows.items():
        lines, limit = found.get(key, (0, 0))
        if lines <= limit:
            yield f"{RATCHET}: {key} is stale, it keeps its limit now (or is gone): delete the row"
        elif lines < allowed:
            yield f"{RATCHET}: {key} has {lines} lines now: lower its row from {allowed}"


def growth(rows: dict[str, int], before: dict[str, int] | None) -> Iterator[str]:
    for key, allowed in rows.items():
        if before is not None and allowed > before.get(key, 0):
            yield f"{RATCHET}: the row of {key} is new or larger; the ratchet only shrinks: divide the code instead"


def problems(root: Path) -> list[str]:
    rows = parse_ratchet((root / RATCHET).read_text(encoding="utf-8"))
    found = [*ratchet_problems(sizes(root), rows), *habits(root)]
    for revision in ("HEAD", "HEAD^"):
        found += growth(rows, committed_ratchet(root, revision))
    return list(dict.fromkeys(found))


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    found = problems(root)
    for problem in found:
        print(f"ratchet: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
