"""A text that must not be shown: every accidental way of printing it gives stars."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """Holds a text; only `reveal` gives it. Two are equal when their texts are."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """Give the text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        """Hide the text, also in tracebacks and in the repr of what holds it."""
        return "Secret('***')"

    def __str__(self) -> str:
        """Hide the text in formatting too."""
        return "***"

    def __format__(self, spec: str) -> str:
        """Hide the text in f-strings with any format."""
        return format("***", spec)

    def __reduce__(self) -> str:
        """Refuse pickling: a pickle is a file that shows it."""
        raise TypeError("a Secret cannot be pickled")
