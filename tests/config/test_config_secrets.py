"""What takes secrets out of text, and where their values come from, without the command line (tests/cli/test_cli_secrets.py has that)."""

import base64
import html
import json
import re
import time
from urllib.parse import quote, quote_plus

import pytest

from treadle.config.project import Project
from treadle.config.redact import Redactor
from treadle.config.secret import Secret
from treadle.config.secret_store import Entry, SecretStore
from treadle.config.secrets import Secrets, Source, sound
from treadle.core.errors import RequestError
from treadle.mcpio.client import server_log
from treadle.mcpio.client.server_log import ServerLog

TOKEN = "p\"q\\r/Ω s+t&u<v>w'x%y"


def knowing(*values: str) -> Redactor:
    redactor = Redactor()
    for number, value in enumerate(values):
        redactor.add(f"S{number}", Secret(value))
    return redactor


@pytest.mark.parametrize(
    "written",
    [
        TOKEN, json.dumps(TOKEN)[1:-1], json.dumps(TOKEN, ensure_ascii=False)[1:-1], json.dumps(json.dumps(TOKEN)[1:-1])[1:-1], repr(TOKEN)[1:-1],
        html.escape(TOKEN), quote(TOKEN), quote(TOKEN, safe=""), quote_plus(TOKEN), re.sub("%..", lambda escape: escape[0].lower(), quote(TOKEN)),
        TOKEN.encode().hex(), TOKEN.encode().hex().upper(), base64.b64encode(TOKEN.encode()).decode(), base64.urlsafe_b64encode(TOKEN.encode()).decode(),
    ],
)  # fmt: skip
def test_every_form_in_which_programs_write_a_value_is_taken_out(written):
    redactor = knowing(TOKEN)
    assert redactor.text(f"before {written} after") == "before ***S0*** after"
    assert redactor.value({"a": [f"<{written}>", 1, None, True, 2.5], written: 1}) == {
        "a": ["<***S0***>", 1, None, True, 2.5],
        "***S0***": 1,
    }


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("value", ["123456", "sk-live-0123456789abcdef"])
def test_base64_is_found_wherever_it_begins(before, value):
    written = base64.b64encode(f"{before}{value}:after".encode()).decode()
    left = knowing(value).text(written)
    assert "***S0***" in left
    assert len(left.replace("***S0***", "")) <= len(base64.b64encode(f"{before}:after".encode())) + 4


def test_what_is_left_beside_a_cut_is_taken_out():
    redactor = knowing("sk-live-0123456789abcdef")
    assert redactor.text("no sk-live-01234…") == "no ***S0***…"
    assert redactor.text("no sk-l… and 'sk-live...cdef' and …9abcdef.") == "no ***S0***… and '***S0***...***S0***' and …***S0***."
    assert redactor.text("it ends in sk-live-0123") == "it ends in ***S0***"
    for sound_text in ("ask-…", "it ends in sk-", "…def", "sk-life…", "", "…"):
        assert redactor.text(sound_text) == sound_text


def test_a_value_without_secrets_is_given_as_it_is():
    value = {"a": ["b", {"c": 1}]}
    assert knowing(TOKEN).value(value) is value
    assert Redactor().value(value) is value


def test_a_number_that_is_a_secret_is_taken_out_and_others_stay():
    assert knowing("123456").value([123456, 1234567, "a123456"]) == ["***S0***", 1234567, "a***S0***"]


def test_a_secret_of_several_lines_is_found_by_its_lines():
    redactor = knowing("-----BEGIN-----\n  0123456789\nab\n-----END-----")
    assert redactor.text("x 0123456789 y ab") == "x ***S0*** y ab"


def test_many_secrets_and_much_text_take_no_long():
    redactor = knowing(*(f"secret-number-{n}-{n * 7919}" for n in range(20)))
    value = {"text": "x" * 4_000_000, "rows": [{"id": n, "name": f"row {n}"} for n in range(20_000)]}
    began = time.perf_counter()
    assert redactor.value(value) is value
    assert time.perf_counter() - began < 2


def test_a_server_log_holds_no_part_of_a_secret_however_it_is_cut(tmp_path):
    secret = "0123456789" * 5
    for shift in range(0, 70, 3):
        file = tmp_path / f"{shift}.log"
        log = ServerLog(file, lambda: 0.0, knowing(secret))
        data = b"w" * (server_log.LINE_CHARS - 60 + shift) + secret.encode() + b"w" * server_log.LINE_CHARS
        for at in range(0, len(data), 37):
            log.stderr(data[at : at + 37])
        tail = log.tail()
        log.close()
        assert "0123" not in tail + file.read_text()


def test_a_log_takes_out_what_is_given_to_a_server_later(tmp_path):
    redactor = Redactor()
    log = ServerLog(None, lambda: 0.0, redactor)
    log.stderr(b"before\n")
    redactor.add("LATER", Secret("given-now"))
    log.stderr(b"it is given-now\n")
    assert log.tail() == "before\nit is ***LATER***"


# Where values come from


def secrets_in(tmp_path, environ=None, **in_file: str) -> Secrets:
    project = Project(root=tmp_path / "p", home=tmp_path / "p")
    project.root.mkdir(exist_ok=True)
    sources = {name: Source(name=name, kind="env", where=where, origin="treadle.toml:2") for name, where in in_file.items()}
    return Secrets(project, sources, SecretStore(tmp_path / "data", project), environ or {})


def test_what_is_kept_for_the_account_goes_before_the_file(tmp_path):
    secrets = secrets_in(tmp_path, {"V": "from-the-variable"}, A="V")
    assert secrets.get("A").reveal() == "from-the-variable"
    assert secrets.store.set(Entry(name="A", kind="value", secret=Secret("kept-here"))) is False
    assert secrets.get("A").reveal() == "kept-here"
    assert secrets.redactor.text("kept-here from-the-variable") == "***A*** ***A***"
    secrets.store.remove("A")
    assert secrets.get("A").reveal() == "from-the-variable"
    assert not (tmp_path / "data" / "secrets").exists()


def test_projects_and_names_do_not_share_entries(tmp_path):
    one = secrets_in(tmp_path)
    for name in ("Token", "TOKEN"):
        one.store.set(Entry(name=name, kind="value", secret=Secret(f"value-of-{name}")))
    assert len({path.name.lower() for path in one.store.folder.iterdir()}) == 2
    other = SecretStore(tmp_path / "data", Project(root=tmp_path / "q", home=tmp_path / "q"))
    assert list(other.names()) == []
    assert one.get("Token").reveal() == "value-of-Token"


def test_an_entry_that_others_can_read_is_not_used_and_its_value_not_told(tmp_path):
    secrets = secrets_in(tmp_path)
    secrets.store.set(Entry(name="A", kind="value", secret=Secret("kept-here")))
    (path,) = secrets.store.folder.iterdir()
    path.chmod(0o644)
    with pytest.raises(RequestError) as error:
        secrets.get("A")
    assert error.value.code == "secret_file_open"
    path.write_text('{"version": 9, "value": "kept-here"}')
    path.chmod(0o600)
    with pytest.raises(RequestError) as error:
        secrets.get("A")
    assert error.value.code == "secrets_unreadable"
    assert "kept-here" not in f"{error.value.message} {error.value.hint} {error.value.__cause__}"
    secrets.expect_in_logs()  # must not stop whoever only starts a server


def test_every_secret_that_is_missing_is_told_at_once(tmp_path):
    secrets = secrets_in(tmp_path, A="V")
    with pytest.raises(RequestError) as error:
        secrets.check(["A", "B"])
    assert error.value.code == "secret_missing"
    for part in ("variable V", "secret B is not set"):
        assert part in error.value.message
    assert "treadle secrets set B" in error.value.hint


def test_a_name_is_suggested_for_one_that_is_not_set(tmp_path):
    with pytest.raises(RequestError) as error:
        secrets_in(tmp_path, API_TOKEN="V").get("API_TOKN")
    assert "did you mean 'API_TOKEN'?" in error.value.hint


@pytest.mark.parametrize(
    "raw, wanted", [("abcdef\n", "abcdef"), (b"abcdef\r\n", "abcdef"), ("abcdef\n\n", "abcdef\n"), (" abcdef ", " abcdef ")]
)
def test_one_line_end_is_no_part_of_a_value(raw, wanted):
    assert sound(raw, "it").reveal() == wanted


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(RequestError) as error:
        sound(b"\xff\xfe123456", "it")
    assert error.value.code == "bad_secret"
