"""The closed tables: every filter, test and function that there is, with its parameters in the order in which Jinja has them.

The authoring layer checks names and arguments against these and writes arguments by position; what was not given is null in the tree and gets
the default from here. Forms that run an expression per item (`map`, `select`, `where`, …) are no entries: they have operations of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from treadle.core.expr.evaluation import MISSING, Missing, V
from treadle.core.expr.library import checks, dates, filters_data, filters_list, filters_number, filters_text, functions, patterns

Work: TypeAlias = Callable[..., "V | Missing"]


class Required:
    """Stands for the default of a parameter that must be given."""

    __slots__ = ()


REQUIRED: Final = Required()
Parameters: TypeAlias = tuple[tuple[str, "V | Missing | Required"], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One filter, test or function. `opaque` says that it takes references and chunks as they are."""

    work: Work
    parameters: Parameters = ()
    opaque: bool = False

    @property
    def required(self) -> int:
        """Count the parameters that must be given."""
        return sum(isinstance(default, Required) for _, default in self.parameters)


_CASE: Final[Parameters] = (("case_sensitive", False), ("attribute", None))
_PATTERN: Final[Parameters] = (("pattern", REQUIRED), ("ignorecase", False))
_MATCH: Final[Parameters] = (("pattern", REQUIRED), ("group", 0), ("ignorecase", False))

FILTERS: Final[Mapping[str, Entry]] = {
    "abs": Entry(filters_number.absolute),
    "add_days": Entry(dates.add_days, (("days", REQUIRED),)),
    "base64_decode": Entry(filters_data.base64_decode),
    "base64_encode": Entry(filters_data.base64_encode),
    "batch": Entry(filters_list.batch, (("linecount", REQUIRED), ("fill_with", None))),
    "bool": Entry(filters_number.to_bool),
    "capitalize": Entry(filters_text.capitalize),
    "center": Entry(filters_text.center, (("width", 80),)),
    "chunk": Entry(filters_list.chunk, (("n", REQUIRED),)),
    "date": Entry(dates.to_date),
    "days_between": Entry(dates.days_between, (("other", REQUIRED),)),
    "decimal": Entry(filters_number.to_decimal),
    "dictsort": Entry(filters_list.dictsort, (("case_sensitive", False), ("by", "key"), ("reverse", False))),
    "filesizeformat": Entry(filters_number.filesizeformat, (("binary", False),)),
    "first": Entry(filters_list.first, opaque=True),
    "float": Entry(filters_number.to_float, (("default", MISSING),)),
    "fromjson": Entry(filters_data.from_json),
    "groupby": Entry(filters_list.groupby, (("attribute", REQUIRED), ("default", MISSING), ("case_sensitive", False))),
    "hash": Entry(filters_data.to_hash, (("algorithm", "sha256"),)),
    "indent": Entry(filters_text.indent, (("width", 4), ("first", False), ("blank", False))),
    "instant": Entry(dates.to_instant),
    "int": Entry(filters_number.to_int, (("default", MISSING), ("base", 10))),
    "items": Entry(filters_list.items),
    "join": Entry(filters_text.join, (("d", ""), ("attribute", None))),
    "last": Entry(filters_list.last, opaque=True),
    "length": Entry(filters_list.length, opaque=True),
    "list": Entry(filters_list.as_list),
    "lower": Entry(filters_text.lower),
    "matching": Entry(patterns.matching, _PATTERN),
    "max": Entry(filters_list.largest, _CASE),
    "merge": Entry(filters_list.merge, (("other", REQUIRED),)),
    "min": Entry(filters_list.smallest, _CASE),
    "random": Entry(filters_list.random_item),
    "regex_findall": Entry(patterns.regex_findall, _MATCH),
    "regex_replace": Entry(patterns.regex_replace, (("pattern", REQUIRED), ("replacement", REQUIRED), ("count", 0), ("ignorecase", False))),
    "regex_search": Entry(patterns.regex_search, _MATCH),
    "replace": Entry(filters_text.replace, (("old", REQUIRED), ("new", REQUIRED), ("count", None))),
    "reverse": Entry(filters_list.reverse),
    "round": Entry(filters_number.round_number, (("precision", 0), ("method", "common"))),
    "round_money": Entry(filters_number.round_money, (("places", 2), ("method", "half_up"))),
    "shell_quote": Entry(filters_text.shell_quote),
    "slice": Entry(filters_list.into_slices, (("slices", REQUIRED), ("fill_with", None))),
    "sort": Entry(filters_list.sort, (("reverse", False), *_CASE)),
    "split": Entry(filters_text.split, (("sep", None), ("maxsplit", -1))),
    "strftime": Entry(dates.strftime, (("format", REQUIRED),)),
    "string": Entry(filters_text.string, opaque=True),
    "sum": Entry(filters_list.total, (("attribute", None), ("start", 0))),
    "title": Entry(filters_text.title),
    "tojson": Entry(filters_data.to_json, (("indent", None),), opaque=True),
    "toyaml": Entry(filters_data.to_yaml),
    "trim": Entry(filters_text.trim, (("chars", None),)),
    "truncate": Entry(filters_text.truncate, (("length", 255), ("killwords", False), ("end", "..."), ("leeway", 5))),
    "truncate_tokens": Entry(filters_text.truncate_tokens, (("limit", REQUIRED), ("end", "…"))),
    "unique": Entry(filters_list.unique, _CASE),
    "upper": Entry(filters_text.upper),
    "urlencode": Entry(filters_text.urlencode),
    "wordcount": Entry(filters_text.wordcount),
    "wordwrap": Entry(filters_text.wordwrap, (("width", 79), ("break_long_words", True), ("wrapstring", "\n"))),
    "zip": Entry(filters_list.pair_up, (("other", REQUIRED),)),
}
FILTER_ALIASES: Final[Mapping[str, str]] = {"count": "length", "strip": "trim", "d": "default", "parse_json": "fromjson"}

_OTHER: Final[Parameters] = (("other", REQUIRED),)
TESTS: Final[Mapping[str, Entry]] = {
    name: Entry(work, {"divisibleby": (("num", REQUIRED),), "in": (("seq", REQUIRED),), "matching": _PATTERN}.get(
        name, _OTHER if name in {"eq", "ne", "lt", "le", "gt", "ge"} else ()
    ), opaque=True)
    for name, work in checks.WORK.items()
}  # fmt: skip
TEST_ALIASES: Final[Mapping[str, str]] = {
    "==": "eq", "equalto": "eq", "!=": "ne", "<": "lt", "lessthan": "lt", "<=": "le", ">": "gt", "greaterthan": "gt", ">=": "ge",
}  # fmt: skip

FUNCTIONS: Final[Mapping[str, Entry]] = {
    "dict": Entry(functions.to_dict, (("pairs", MISSING),)),
    "env": Entry(functions.env, (("name", REQUIRED), ("default", MISSING))),
    "now": Entry(functions.now),
    "random": Entry(functions.random, (("min", MISSING), ("max", MISSING))),
    "range": Entry(functions.counted, (("start", REQUIRED), ("stop", MISSING), ("step", 1))),
    "uuid": Entry(functions.uuid),
}
