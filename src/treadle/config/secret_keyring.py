"""The keyring of this account: the one module that knows the package `keyring`, an extra; whoever wants it imports it late."""

from typing import Any, Final

from treadle.core.errors import RequestError

# What keyring gives where there is no keyring: one refuses, the other forgets.
_NOT_THERE: Final = frozenset({"keyring.backends.fail", "keyring.backends.null"})


def get(service: str, account: str) -> str | None:
    """Read an entry; None where there is none. Raises RequestError `no_keyring`."""
    return _asked("get_password", service, account)


def set_entry(service: str, account: str, value: str) -> None:
    """Write an entry. Raises RequestError `no_keyring`."""
    _asked("set_password", service, account, value)


def delete(service: str, account: str) -> None:
    """Remove an entry; that there is none is no error. Raises RequestError `no_keyring`."""
    if get(service, account) is not None:
        _asked("delete_password", service, account)


def _asked(what: str, *arguments: str) -> str | None:
    backend = _backend()
    try:
        return getattr(backend, what)(*arguments)
    except Exception as error:  # noqa: BLE001 - the border to whatever backend is installed; its words may quote what it was given
        reason = type(error).__name__
        raise RequestError(f"the keyring did not answer: {reason}", code="no_keyring", hint="unlock it and try again") from None


def _backend() -> Any:
    try:
        # The extra `keyring`.
        import keyring
    except ImportError as error:
        raise RequestError(
            "the package for keyrings is not installed",
            code="no_keyring",
            hint='`pip install "treadle[keyring]"`, or keep the secret without: `treadle secrets set NAME`',
        ) from error
    backend = keyring.get_keyring()
    if type(backend).__module__ in _NOT_THERE:
        raise RequestError(
            "this account has no keyring that can be used (none of its backends works here)",
            code="no_keyring",
            hint="start a keyring service, or keep the secret without: `treadle secrets set NAME`",
        )
    return backend
