"""Filling secrets into the parameters of an action, in the process that performs it, right before they are sent."""

from collections.abc import Iterator, Mapping
from typing import Protocol, cast

from treadle.config.redact import Redactor
from treadle.config.secret import Secret
from treadle.core.values import Holed, Json, SecretRef, Value


class SecretSource(Protocol):
    """Whoever knows the values: `treadle.config.secrets.Secrets`."""

    @property
    def redactor(self) -> Redactor:
        """Give what takes out again every value that was given out."""
        ...

    def get(self, name: str) -> Secret:
        """Give a value; may take a moment. Raises RequestError with a stable code."""
        ...


def names_in(value: Value) -> Iterator[str]:
    """Give the name of every secret that a value wants, as often as it stands there."""
    match value:
        case SecretRef():
            yield value.name
        case Holed():
            yield from (part.name for part in value.parts if isinstance(part, SecretRef))
        case list():
            for item in value:
                yield from names_in(item)
        case dict():
            for item in value.values():
                yield from names_in(item)
        case _:
            return


def filled(value: Value, secrets: Mapping[str, Secret]) -> Json:
    """Give a value with its secrets in it; nothing else of it may still be open."""
    match value:
        case SecretRef():
            return secrets[value.name].reveal()
        case Holed():
            return "".join(secrets[part.name].reveal() if isinstance(part, SecretRef) else str(part) for part in value.parts)
        case list():
            return [filled(item, secrets) for item in value]
        case dict():
            return {key: filled(item, secrets) for key, item in value.items()}
        case _:
            return cast(Json, value)
