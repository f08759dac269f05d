"""Regular expressions: a small automaton of our own, linear in time (ruling 51).

A pattern becomes a program of at most `PROGRAM_MAX` instructions; all of its threads walk the text together, one character at a time, each
instruction visited once per character at most (Thompson, Pike). The order of threads is their preference, so captures come out as a backtracking
engine would give them. Every visit is charged to whoever asks, also where a pattern was compiled before: what an expression costs must not
depend on what a process has cached. While no thread is alive, characters that cannot begin a match are skipped.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias, cast

from treadle.core.regex.syntax import WORD, Parsed, Parser, Range, RegexError, parts

PROGRAM_MAX: Final = 2_000
Charge: TypeAlias = Callable[[int], None]
Spans: TypeAlias = tuple[int, ...]
# Of a split, `a` is preferred to `b`; a jump goes to `a`; a save notes the position as number `a`.
CHAR, ANY, SET, SPLIT, JUMP, SAVE, ASSERT, MATCH = range(8)
_WORD_CHARS: Final = frozenset(chr(code) for low, high in WORD for code in range(low, high + 1))
_ASCII: Final = tuple(map(chr, range(128)))
_ASCII_SET: Final = frozenset(_ASCII)
# What a character of a pattern and an instruction cost to be read and made.
_PARSED_MOVES: Final = 3
_MADE_MOVES: Final = 4
_SKIPPED_PER_MOVE: Final = 3
# What is skipped is charged in pieces: a budget must end the search of a large text in its middle.
_SKIPPED_AT_ONCE: Final = 4_096


class CharSet:
    """A set of characters; the answers for ASCII are worked out once."""

    __slots__ = ("_bounds", "_fold", "_negated", "ascii", "is_wide")

    def __init__(self, ranges: tuple[Range, ...], negated: bool, fold: bool) -> None:  # noqa: FBT001 - a cache's key is positional
        """Merge the ranges; `fold` ignores case."""
        merged: list[Range] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        self._bounds = [bound for low, high in merged for bound in (low, high + 1)]
        self._fold, self._negated = fold, negated
        inside = frozenset(_ASCII[code] for low, high in merged for code in range(low, min(high, 127) + 1))
        if fold:
            inside = inside.union(*map(cases, inside))
        self.ascii = _ASCII_SET - inside if negated else inside
        # Folding leads from ASCII to a few characters beyond it, as from k to the Kelvin sign.
        self.is_wide = negated or fold or bool(merged and merged[-1][1] > 127)

    def holds(self, char: str) -> bool:
        """Tell whether a character is in the set."""
        if char < "\x80":
            return char in self.ascii
        forms = cases(char) if self._fold else (char,)
        return any(bisect_right(self._bounds, ord(form)) % 2 for form in forms) is not self._negated


# Repeated, a set is written out as often: it is made once.
_charset: Final = lru_cache(maxsize=512)(CharSet)


def cases(char: str) -> tuple[str, ...]:
    """Give a character with its lower and upper form, where these are one character."""
    return tuple(dict.fromkeys(form for form in (char, char.lower(), char.upper()) if len(form) == 1))


@dataclass(slots=True)
class Code:
    """One instruction."""

    op: int
    a: int = 0
    b: int = 0
    char: str = ""
    chars: CharSet | None = None


class _Compiler:
    def __init__(self, flags: frozenset[str]) -> None:
        self.flags = flags
        self.code: list[Code] = []

    def emit(self, code: Code) -> int:
        if len(self.code) >= PROGRAM_MAX:
            raise RegexError(f"the pattern is too large: with its repetitions written out it has over {PROGRAM_MAX:,} parts", 0)
        self.code.append(code)
        return len(self.code) - 1

    def node(self, node: Parsed) -> None:
        match node[0]:
            case "char":
                self._char(cast(str, node[1]))
            case "any":
                self._any()
            case "set":
                chars = _charset(cast("tuple[Range, ...]", node[2]), bool(node[1]), "i" in self.flags)
                self.emit(Code(SET, chars=chars))
            case "cat":
                for part in parts(node):
                    self.node(part)
            case "alt":
                self._alternatives(list(parts(node)))
            case "repeat":
                self._repeat(cast(Parsed, node[1]), cast(int, node[2]), cast("int | None", node[3]), greedy=bool(node[4]))
            case "group":
                index = cast(int, node[1])
                self.emit(Code(SAVE, 2 * index))
                self.node(cast(Parsed, node[2]))
                self.emit(Code(SAVE, 2 * index + 1))
            case assertion:
                self.emit(Code(ASSERT, char=cast(str, assertion)))

    def _char(self, char: str) -> None:
        forms = cases(char) if "i" in self.flags else (char,)
        if len(forms) == 1:
            self.emit(Code(CHAR, char=char))
        else:
            self.emit(Code(SET, chars=_charset(tuple((ord(form), ord(form)) for form in forms), False, False)))

    def _any(self) -> None:
        if "s" in self.flags:
            self.emit(Code(ANY))
        else:
            self.emit(Code(SET, chars=_charset(((10, 10),), True, False)))

    def _alternatives(self, options: list[Parsed]) -> None:
        jumps: list[int] = []
        for option in options[:-1]:
            split = self.emit(Code(SPLIT, len(self.code) + 1))
            self.node(option)
            jumps.append(self.emit(Code(JUMP)))
            self.code[split].b = len(self.code)
        self.node(options[-1])
        for jump in jumps:
            self.code[jump].a = len(self.code)

    def _repeat(self, node: Parsed, low: int, high: int | None, *, greedy: bool) -> None:
        begin = len(self.code)
        for _ in range(low):
            begin = len(self.code)
            self.node(node)
        if high is None and low:
            split = self.emit(Code(SPLIT))
            self._fork(split, begin, len(self.code), greedy=greedy)
            return
        if high is None:
            split = self.emit(Code(SPLIT))
            self.node(node)
            self.emit(Code(JUMP, split))
            self._fork(split, split + 1, len(self.code), greedy=greedy)
            return
        splits: list[int] = []
        for _ in range(high - low):
            splits.append(self.emit(Code(SPLIT)))
            self.node(node)
        for split in splits:
            self._fork(split, split + 1, len(self.code), greedy=greedy)

    def _fork(self, split: int, into: int, past: int, *, greedy: bool) -> None:
        self.code[split].a, self.code[split].b = (into, past) if greedy else (past, into)


class Regex:
    """A compiled pattern. `groups` counts its groups, `names` maps the named ones to their number."""

    def __init__(self, pattern: str, *, ignore_case: bool = False) -> None:
        """Compile. Raises RegexError."""
        parser = Parser(pattern)
        tree = parser.parse()
        compiler = _Compiler(parser.flags | {"i"} if ignore_case else parser.flags)
        compiler.node(tree)
        compiler.emit(Code(MATCH))
        self.code = compiler.code
        self.groups = parser.groups
        self.names = parser.names
        self.moves = _MADE_MOVES * len(self.code)
        self._heads = self._first_codes()
        takers = self._heads or []
        self._folds = ignore_case or "i" in parser.flags
        # Where a match may begin, worked out once for ASCII; `_wide` are those that may take other characters.
        self._starts = frozenset[str]().union(*(head.chars.ascii if head.chars is not None else head.char for head in takers))
        self._wide = [head for head in takers if (head.chars is not None and head.chars.is_wide) or head.char > "\x7f"]

    def _first_codes(self) -> list[Code] | None:
        """Give what a match may begin with; None where that is no character (an empty match, an assertion, anything at all)."""
        heads: list[Code] = []
        seen: set[int] = set()
        todo = [0]
        while todo:
            index = todo.pop()
            if index in seen:
                continue
            seen.add(index)
            code = self.code[index]
            if code.op in {ASSERT, MATCH, ANY}:
                return None
            if code.op in {CHAR, SET}:
                heads.append(code)
            elif code.op == SAVE:
                todo.append(index + 1)
            else:
                todo += [code.a] if code.op == JUMP else [code.a, code.b]
        return heads

    def search(self, text: str, start: int, charge: Charge) -> Spans | None:
        """Find the first match from `start` on: begin and end of the whole and of each group, -1 where a group took no part."""
        charge(5 + (len(self.code) >> 4))
        best: Spans | None = None
        blank = (-1,) * (2 * self.groups + 2)
        marks = [-1] * len(self.code)
        threads: list[tuple[int, Spans]] = []
        at = start
        while at <= len(text):
            if not threads:
                if best is not None:
                    break
                at = self._skip(text, at, charge)
            visits = 1 + len(threads)
            if self._folds and at < len(text) and text[at] > "\x7f":
                visits *= 2  # its other forms are looked up
            if best is None:
                visits += self._follow(threads, marks, (0, (at, *blank[1:])), text, at)
            following: list[tuple[int, Spans]] = []
            for index, spans in threads:
                code = self.code[index]
                if code.op == MATCH:
                    best = (spans[0], at, *spans[2:])
                    break  # what is preferred less no longer matters
                if at < len(text) and _takes(code, text[at]):
                    visits += self._follow(following, marks, (index + 1, spans), text, at + 1)
            charge(visits)
            threads = following
            at += 1
        return best

    def _skip(self, text: str, at: int, charge: Charge) -> int:
        heads = self._heads
        if heads is None:
            return at
        if len(heads) == 1 and heads[0].op == CHAR:
            begin = at
            found = text.find(heads[0].char, at)
            at = found if found >= 0 else len(text)
            charge((at - begin) >> 6)
            return at
        while at < len(text):
            begin, looked, end = at, 0, min(at + _SKIPPED_AT_ONCE, len(text))
            while at < end and text[at] not in self._starts:
                if self._wide and text[at] > "\x7f":
                    looked += 1
                    if any(_takes(head, text[at]) for head in self._wide):
                        break
                at += 1
            charge((at - begin) // _SKIPPED_PER_MOVE + looked * (1 + len(self._wide)) * (1 + self._folds))
            if at < end:
                break
        return at

    def _follow(self, threads: list[tuple[int, Spans]], marks: list[int], first: tuple[int, Spans], text: str, at: int) -> int:
        """Add what can be reached from an instruction without taking a character, in order of preference; gives the visits made."""
        todo = [first]
        visits = 0
        while todo:
            index, spans = todo.pop()
            if marks[index] == at:
                continue
            marks[index] = at
            visits += 1
            code = self.code[index]
            if code.op == SPLIT:
                todo += [(code.b, spans), (code.a, spans)]
            elif code.op == JUMP:
                todo.append((code.a, spans))
            elif code.op == SAVE:
                todo.append((index + 1, (*spans[: code.a], at, *spans[code.a + 1 :])))
            elif code.op == ASSERT:
                if _holds(code.char, text, at):
                    todo.append((index + 1, spans))
            else:
                threads.append((index, spans))
        return visits

    def matches(self, text: str, charge: Charge) -> Iterator[Spans]:
        """Find all matches that do not overlap, from left to right."""
        at = 0
        while at <= len(text):
            found = self.search(text, at, charge)
            if found is None:
                return
            yield found
            at = found[1] if found[1] > found[0] else found[1] + 1

    def group(self, reference: int | str) -> int | None:
        """Give the number of a group by number or name; None if there is none."""
        number = self.names.get(reference) if isinstance(reference, str) else reference
        return number if number is not None and 0 <= number <= self.groups else None


def _takes(code: Code, char: str) -> bool:
    if code.op == CHAR:
        return code.char == char
    return code.chars.holds(char) if code.chars is not None else True


def _holds(assertion: str, text: str, at: int) -> bool:
    match assertion:
        case "begin":
            return at == 0
        case "end":
            return at == len(text)
        case "line_begin":
            return at == 0 or text[at - 1] == "\n"
        case "line_end":
            return at == len(text) or text[at] == "\n"
        case _:
            before = at > 0 and text[at - 1] in _WORD_CHARS
            after = at < len(text) and text[at] in _WORD_CHARS
            return (before is not after) is (assertion == "border")


@lru_cache(maxsize=512)
def _compiled(pattern: str, ignore_case: bool) -> Regex:  # noqa: FBT001 - a cache's key is positional
    return Regex(pattern, ignore_case=ignore_case)


def regex_of(pattern: str, charge: Charge, *, ignore_case: bool = False) -> Regex:
    """Give the compiled form of a pattern, charged as if compiled anew. Raises RegexError."""
    charge(1 + _PARSED_MOVES * len(pattern))
    regex = _compiled(pattern, ignore_case)
    charge(regex.moves)
    return regex
