"""Forms of configured values: how each is read, how it is written, and what the reference page calls it.

Readers raise ValueError with words that fit behind the name of the key: `mcp.timeout must be a duration…`.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from treadle.config.origin import did_you_mean
from treadle.config.quantities import duration_ms, duration_text, size_bytes, size_text
from treadle.config.secret import Secret
from treadle.core.definition import EFFECTS
from treadle.net.guard import Allowed, read_allowed


def _as_it_is(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """`words` name the form; `read` takes what a file or a variable holds, `write` gives it back as JSON has it."""

    words: str
    read: Callable[[object], Any]
    write: Callable[[Any], Any] = _as_it_is


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"must be text, not {value!r}")
    return value


def _word(value: object) -> str:
    if not _text(value):
        raise ValueError("must be text, and is empty")
    return _text(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
        hint = f"; write [{json.dumps(value)}]" if isinstance(value, str) else ""
        raise ValueError(f"must be a list of texts, not {value!r}{hint}")
    return tuple(value)


def _paths(value: object) -> tuple[str, ...]:
    return _texts([part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value)


def _hosts(value: object) -> tuple[Allowed, ...]:
    return tuple(map(read_allowed, _texts([part.strip() for part in value.split(",")] if isinstance(value, str) else value)))


def _hosts_as_written(value: tuple[Allowed, ...]) -> list[str]:
    return [each.text for each in value]


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")  # noqa: TRY004 - one error family for authors
    return value


def _url(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
        raise ValueError(f"must be an http(s) address without user, query or fragment, not {value!r}")
    return value.rstrip("/")


def _variables(value: object) -> dict[str, Secret]:
    if not isinstance(value, dict) or not all(isinstance(item, str | int | float | bool) for item in value.values()):
        raise ValueError("must be a table of texts")
    return {name: Secret(item if isinstance(item, str) else json.dumps(item)) for name, item in value.items()}


def _effects(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("must be a table of tool = effect")  # noqa: TRY004 - as above
    for tool, effect in value.items():
        if effect not in EFFECTS:
            hint = did_you_mean(effect, EFFECTS) if isinstance(effect, str) else ""
            raise ValueError(f"{tool} = {effect!r}: an effect is one of {', '.join(EFFECTS)}{hint and f'; {hint}'}")
    return dict(value)


def _arguments(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) and item for item in value.values()):
        raise ValueError("must be a table of tool = the name of the argument that takes the key")
    return dict(value)


def choice(*words: str) -> Form:
    """Give the form of one of a few words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value.lower() not in words:
            hint = did_you_mean(value.lower(), words) if isinstance(value, str) else ""
            raise ValueError(f"must be one of {', '.join(filter(None, words))}, not {value!r}{hint and f'; {hint}'}")
        return value.lower()

    return Form(words=" or ".join(f'`"{word}"`' for word in words if word), read=read)


TEXT: Final = Form(words="text", read=_text)
WORD: Final = Form(words="text", read=_word)
TEXTS: Final = Form(words="list of texts", read=_texts)
PATHS: Final = Form(words="list of paths", read=_paths)
HOSTS: Final = Form(words="list of addresses, networks and hosts", read=_hosts, write=_hosts_as_written)
FLAG: Final = Form(words="`true` or `false`", read=_flag)
URL: Final = Form(words="address", read=_url)
DURATION: Final = Form(words="duration", read=duration_ms, write=duration_text)
SIZE: Final = Form(words="size", read=size_bytes, write=size_text)
VARIABLES: Final = Form(words="table of texts", read=_variables)
TOOL_EFFECTS: Final = Form(words="table of effects by tool", read=_effects)
TOOL_ARGUMENTS: Final = Form(words="table of arguments by tool", read=_arguments)
