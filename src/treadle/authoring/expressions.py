"""Compiling expressions: Jinja's syntax in, the closed tree of `treadle.core.expr` out; Jinja's runtime is never used (design §3).

A text that is exactly one `{{ … }}` keeps the value's type, everything else is text (language.md §4). All faults that can be told apart are
told at once, each with its place in the text.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, cast

from jinja2 import TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.parser import Parser

from treadle.authoring.expression_apply import NULL
from treadle.authoring.expression_blocks import Blocks, block_faults
from treadle.authoring.expression_compiler import Compiler, Functions, Scope
from treadle.authoring.expression_plain import Hole, plain_read, taken_apart
from treadle.authoring.expression_scan import (
    ENVIRONMENT,
    ExpressionProblem,
    Raw,
    SourceFault,
    has_template,
    parser_tokens,
    scan,
)
from treadle.authoring.expression_secrets import check_secrets
from treadle.core.expr import Expr, const
from treadle.core.expr.tree import Node, Tree, const_node, nodes_of, preorder
from treadle.core.values import Json

__all__ = [
    "ExpressionProblem",
    "ExpressionProblemsError",
    "Functions",
    "compile_condition",
    "compile_data",
    "compile_text",
    "has_template",
]
NO_FUNCTIONS: Final[Functions] = {}
_CANDIDATES_MAX: Final = 50
# Longer sources are compiled anew each time rather than kept.
_KEPT_MAX: Final = 2_000
_TEXT_OPS: Final = frozenset({"text", "cat"})


class ExpressionProblemsError(Exception):
    """A scalar, or data, cannot be compiled; `problems` holds every fault that was found, in the order of the text."""

    def __init__(self, problems: Iterable[ExpressionProblem]) -> None:
        """Keep the problems."""
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.line}:{problem.column} {problem.message} [{problem.code}]" for problem in self.problems))


def compile_text(source: str, *, functions: Functions = NO_FUNCTIONS, known: Iterable[str] | None = None) -> Expr:
    """Compile one scalar. `functions` maps a name to (version, pure); `known` are the names that can be read, if they are known.

    Raises ExpressionProblemsError.
    """
    if not has_template(source):
        return const(source)
    return _compiled(source, functions, known, is_condition=False)


def compile_condition(source: str, *, functions: Functions = NO_FUNCTIONS, known: Iterable[str] | None = None) -> Expr:
    """Compile a scalar that must be exactly one `{{ }}` and must not be text (language.md §4). Raises ExpressionProblemsError."""
    return _compiled(source, functions, known, is_condition=True)


def _compiled(source: str, functions: Functions, known: Iterable[str] | None, *, is_condition: bool) -> Expr:
    if known is not None or len(source) > _KEPT_MAX:
        return _expression(source, functions, known, is_condition=is_condition)
    # Without a bracket nothing can be called, and the functions that there are make no difference.
    return kept(source, tuple(functions.items()) if "(" in source else (), is_condition)


@lru_cache(maxsize=4096)
def kept(source: str, functions: tuple[tuple[str, tuple[str, bool]], ...], is_condition: bool) -> Expr:  # noqa: FBT001 - a cache's key
    """Compile, once for equal sources: files repeat themselves, and are read again and again. What fails is not kept."""
    known = dict(functions)
    short = _short(source, known)
    if short is not None and not (is_condition and short[0][0] in _TEXT_OPS):
        return Expr(short[0], (), short[1])
    return _expression(source, known, None, is_condition=is_condition)


def _short(source: str, functions: Functions) -> tuple[Node, tuple[int, ...]] | None:
    """Compile piece by piece, if it is plain: tree, and the column of each node in preorder."""
    pieces = taken_apart(source) or ()
    parts: list[Tree] = []
    columns: list[int] = []
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        read = plain_read(piece.text)
        if read is not None:
            parts.append(read[0])
            columns += [piece.offset + read[1]] * (2 if read[0][0] == "path" else 1)
            continue
        # A piece that stands twice would be one node at two places.
        found = None if len(pieces) == 1 or source.count(piece.text) > 1 else _hole(piece, functions)
        if found is None:
            return None
        parts.append(found.tree)
        # What has no place of its own has 0, where no expression can begin.
        columns += [column and piece.offset + column for column in found.columns]
    if len(parts) == 1 and isinstance(parts[0], tuple):
        return cast(Node, parts[0]), tuple(columns)
    return (("text", *parts), (0, *columns)) if columns else None


def _hole(hole: Hole, functions: Functions) -> Expr | None:
    """Compile one hole by itself; None if it cannot be, or holds what is numbered through the text."""
    try:
        expr = _compiled(hole.text, functions, None, is_condition=False)
    except ExpressionProblemsError:
        return None
    return None if expr.calls or any(node[0] in {"local", "maybe"} for node in preorder(expr.tree)) else expr


def _expression(source: str, functions: Functions, known: Iterable[str] | None, *, is_condition: bool) -> Expr:
    compiler = Compiler(functions, known)
    text = _Text(compiler, source)
    tree = text.tree() if has_template(source) else NULL
    if is_condition:
        _check_condition(compiler, source, tree, single=text.single)
    _raise(_problems(compiler.faults, source, ()))
    return _expr(compiler, tree)


def _check_condition(compiler: Compiler, source: str, tree: Node, *, single: bool) -> None:
    if not compiler.faults and not single:
        if has_template(source):
            message = "a condition is one `{{ … }}`; this is text and would always count as true"
            compiler.fault("condition_text", message, 0, "write `{{ … and … }}`")
        else:
            compiler.fault("condition_braces", "a condition stands in braces", 0, f'write "{{{{ {source.strip()[:80]} }}}}"')
    elif tree[0] in _TEXT_OPS or (tree[0] == "const" and isinstance(tree[1], str)):
        compiler.fault("condition_text", "a condition gives a value that is not text", 0, "compare it: `{{ … == 'yes' }}`")


def compile_data(value: Json, *, functions: Functions = NO_FUNCTIONS, known: Iterable[str] | None = None) -> Expr:
    """Compile data that may have templates in its texts (never in its keys). `path` of a problem leads to its text.

    Raises ExpressionProblemsError.
    """
    if isinstance(value, str):
        return compile_text(value, functions=functions, known=known)
    compiler = Compiler(functions, known)
    problems: list[ExpressionProblem] = []
    tree = _data(value, (), compiler, problems)
    _raise(problems)
    return Expr(tree, tuple(compiler.calls))


def _data(value: Json, path: tuple[str | int, ...], compiler: Compiler, problems: list[ExpressionProblem]) -> Node:
    if isinstance(value, str) and has_template(value):
        short = _short(value, compiler.functions) if compiler.known is None else None
        if short is not None:
            return short[0]
        tree = _Text(compiler, value).tree()
        problems += _problems(compiler.faults, value, path)
        compiler.faults.clear()
        return tree
    if isinstance(value, list) and _holds_template(value):
        return ("list", *(_data(item, (*path, index), compiler, problems) for index, item in enumerate(value)))
    if isinstance(value, dict) and _holds_template(value):
        parts: list[Tree] = []
        for key, item in value.items():
            parts += [("const", key), _data(item, (*path, key), compiler, problems)]
        return ("dict", *parts)
    return const_node(value)


def _holds_template(value: Json) -> bool:
    if isinstance(value, str):
        return has_template(value)
    if isinstance(value, list | dict):
        return any(_holds_template(item) for item in (value.values() if isinstance(value, dict) else value))
    return False


def _expr(compiler: Compiler, tree: Node) -> Expr:
    calls = tuple(compiler.calls)
    return Expr(tree, calls, tuple(compiler.columns.get(id(node), 0) for node in nodes_of(tree, calls)))


def _raise(problems: list[ExpressionProblem]) -> None:
    if problems:
        raise ExpressionProblemsError(problems)


def _problems(faults: list[SourceFault], source: str, path: tuple[str | int, ...]) -> list[ExpressionProblem]:
    out: list[ExpressionProblem] = []
    clean = _line_feeds(source)
    for fault in sorted(faults, key=lambda fault: fault.offset):
        before = clean[: fault.offset]
        out.append(
            ExpressionProblem(
                code=fault.code,
                message=fault.message,
                offset=_original_offset(source, len(before)),
                line=before.count("\n") + 1,
                column=len(before) - (before.rfind("\n") + 1) + 1,
                suggestion=fault.suggestion,
                path=path,
            )
        )
    return out


def _line_feeds(source: str) -> str:
    return source.replace("\r\n", "\n").replace("\r", "\n") if "\r" in source else source


def _original_offset(source: str, offset: int) -> int:
    """Give the place in the text as it came, before `\\r\\n` became one character."""
    if "\r\n" not in source:
        return offset
    position = 0
    for _ in range(offset):
        position += 2 if source.startswith("\r\n", position) else 1
    return position


class _Text:
    """One scalar on its way to a tree. `single` is known after `tree`."""

    def __init__(self, compiler: Compiler, source: str) -> None:
        self.compiler = compiler
        self.source = _line_feeds(source)
        self.single = False

    def tree(self) -> Node:
        """Compile; null where a fault was noted."""
        try:
            raws = scan(self.source)
            self.single = _is_single(raws)
            if self._block_faults(raws):
                self._each_expression(raws)
                return NULL
            template = _parsed(raws)
            tree = self._single(template) if self.single else Blocks(self.compiler).text(template)
            if self.compiler.holds_secret:
                check_secrets(self.compiler, tree)
            return tree
        except SourceFault as fault:
            self.compiler.faults.append(fault)
            if fault.code == "syntax":
                self._each_candidate()
        except TemplateSyntaxError as error:
            self._each_expression(raws)
            self._add(_syntax_fault(error, raws))
        except RecursionError:
            self.compiler.fault("budget", "the text is nested too deeply to be read", 0, "use several steps")
        return NULL

    def _single(self, template: nodes.Template) -> Node:
        outputs = [part for node in template.body if isinstance(node, nodes.Output) for part in node.nodes]
        return self.compiler.expr(next(part for part in outputs if not isinstance(part, nodes.TemplateData)), Scope())

    def _block_faults(self, raws: list[Raw]) -> bool:
        found = list(block_faults(raws))
        self.compiler.faults += found
        return bool(found)

    def _each_expression(self, raws: list[Raw]) -> None:
        """After a fault in the whole: look into each `{{ }}` by itself, so that one fault hides no other."""
        has_blocks = any(raw.kind == "block_begin" for raw in raws)
        for segment in _segments(raws):
            try:
                template = _parsed(segment)
                if not has_blocks:  # else it is not known which names the blocks make
                    self._single(template)
            except TemplateSyntaxError as error:
                self._add(_syntax_fault(error, raws))
            except SourceFault as fault:
                self._add(fault)

    def _each_candidate(self) -> None:
        """After a fault that the lexer cannot pass: look into whatever stands between braces."""
        end = 0
        for _ in range(_CANDIDATES_MAX):
            begin = self.source.find("{{", end)
            end = self.source.find("}}", begin) + 2
            if begin < 0 or end < 2:
                return
            try:
                raws = [raw._replace(offset=raw.offset + begin) for raw in scan(self.source[begin:end])]
                self._each_expression(raws)
            except SourceFault as fault:
                fault.offset += begin
                self._add(fault)

    def _add(self, fault: SourceFault) -> None:
        if all(known.offset != fault.offset for known in self.compiler.faults):
            self.compiler.faults.append(fault)


def _is_single(raws: list[Raw]) -> bool:
    kinds = [raw.kind for raw in raws if raw.kind != "data" or raw.text.strip()]
    return kinds.count("variable_begin") == 1 and kinds[0] == "variable_begin" and kinds[-1] == "variable_end"


def _segments(raws: list[Raw]) -> Iterator[list[Raw]]:
    begin: int | None = None
    for index, raw in enumerate(raws):
        if raw.kind == "variable_begin":
            begin = index
        elif raw.kind == "variable_end" and begin is not None:
            yield raws[begin : index + 1]
            begin = None


def _parsed(raws: list[Raw]) -> nodes.Template:
    parser = Parser(ENVIRONMENT, "")
    parser.stream = TokenStream(parser_tokens(raws), None, None)
    # What `Parser.parse` does besides is for Jinja's own compiler.
    return nodes.Template(parser.subparse(), lineno=1)


def _syntax_fault(error: TemplateSyntaxError, raws: list[Raw]) -> SourceFault:
    """Say what Jinja's parser says, in the words of an author."""
    offset = error.lineno
    at = next((index for index, raw in enumerate(raws) if raw.offset == offset), len(raws) - 1)
    token, before = raws[at], raws[at - 1] if at else raws[at]
    text = token.text.strip()
    if token.kind in {"variable_end", "block_end"}:
        message = "an expression is missing here" if before.kind != "variable_begin" else "there is no expression between the braces"
        return SourceFault("syntax", message, offset)
    if text == "=":
        return SourceFault("syntax", "`=` cannot stand here", offset, "compare with `==`")
    if text == "|" and before.text == "|":
        return SourceFault("syntax", "`||` cannot stand here", offset, "write `or`")
    if token.kind in {"name", "string", "integer", "float"} and before.kind in {"name", "string", "integer", "float"}:
        return SourceFault(
            "syntax",
            f"`{text[:40]}` was not expected here",
            offset,
            f"an operator is missing between `{before.text[:40]}` and it",
        )
    if "expected token" in str(error.message) or str(error.message).startswith("unexpected"):
        return SourceFault("syntax", f"`{text[:40]}` was not expected here", offset)
    message = str(error.message)
    return SourceFault("syntax", f"{message[:1].lower()}{message[1:]}", offset)
