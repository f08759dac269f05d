"""`treadle config`: what is in force, and where it comes from."""

import pytest

from tests.cli.here import Here

TOML = """\
[log]
level = "debug"

[servers.web]
command = "npx"
args = ["-y", "web", "--api-key", "sk-hidden", "--token=sk-hidden", "https://me:sk-hidden@example.org/a?key=sk-hidden", "${PORT}"]
timeout = "2m"

[servers.web.env]
API_KEY = "sk-hidden"
PLAIN = "sk-hidden-${X}"
OTHER = "${OTHER}"

[people.ann]
roles = ["editor"]

[secrets.TOKEN]
env = "MY_TOKEN"
"""


@pytest.fixture
def configured(here: Here) -> Here:
    here.write("treadle.toml", TOML)
    here.write(
        ".mcp.json", '{"mcpServers": {\n  "files": {"type": "http", "url": "https://me:sk-hidden@example.org/mcp?key=sk-hidden#x"}}}'
    )
    return here


def rows(text: str) -> dict[str, tuple[str, str]]:
    found = [line.split("  ") for line in text.splitlines()[1:]]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in found]
    return {cell[0]: (cell[1], cell[2]) for cell in cells if len(cell) == 3}


def test_every_setting_is_shown_with_value_and_origin(configured: Here):
    done = configured.treadle("config", "show", LOG_FORMAT="text")
    shown = rows(done.out)
    assert done.code == 0
    assert shown["log.level"] == ('"debug"', "file treadle.toml:2")
    assert shown["log.format"] == ('"text"', "environment LOG_FORMAT")
    assert shown["mcp.timeout"] == ('"1m"', "default")
    assert shown["servers.web.timeout"] == ('"2m"', "file treadle.toml:7")
    assert shown["servers.files.url"] == ('"https://***@example.org/mcp?***"', "file .mcp.json:2")
    assert shown["people.ann.roles"] == ('["editor"]', "file treadle.toml:15")
    assert shown["people.ann.user"] == ('"ann"', "default")


@pytest.mark.parametrize("arguments", [(), ("--json",), ("servers",), ("servers.web.env",), ("servers.web.args", "--json")])
def test_what_may_be_a_credential_is_never_shown(configured: Here, arguments: tuple[str, ...]):
    done = configured.treadle("config", "show", *arguments, MY_TOKEN="sk-hidden")
    assert done.code == 0
    assert "sk-hidden" not in done.out + done.err


def test_of_a_secret_it_is_told_where_it_is_found(configured: Here):
    assert (
        configured.treadle("config", "show", "secrets.TOKEN.env").out
        == 'secrets.TOKEN.env = "MY_TOKEN"\n  from:      file treadle.toml:17\n'
    )
    found = configured.treadle("config", "show", "--json").json["secrets"]
    assert found == [{"name": "TOKEN", "kind": "env", "where": "MY_TOKEN", "origin": "treadle.toml:17"}]


def test_a_mere_reference_to_a_variable_is_shown(configured: Here):
    (server,) = configured.treadle("config", "show", "servers.web", "--json").json["servers"]
    assert server["env"] == {"API_KEY": "***", "PLAIN": "***", "OTHER": "${OTHER}"}
    assert server["args"][-1] == "${PORT}"
    assert server["origin"] == {"file": "treadle.toml", "line": 4}


def test_one_setting_is_shown_whole_however_narrow(configured: Here):
    done = configured.treadle("config", "show", "log.level", COLUMNS="30")
    assert done.out.startswith('log.level = "debug"\n  from:      file treadle.toml:2\n')
    assert "TREADLE_LOG_LEVEL, LOG_LEVEL" in done.out
    table = configured.treadle("config", "show", "log", COLUMNS="40").out
    assert max(len(line) for line in table.splitlines()) <= 40
    assert "\x1b" not in table


def test_a_table_or_a_name_narrows_what_is_shown(configured: Here):
    found = configured.treadle("config", "show", "log", "--json").json
    assert [row["name"] for row in found["settings"]] == ["log.level", "log.format"]
    assert found["settings"][0]["origin"] == {"kind": "file", "where": "treadle.toml:2"}
    assert (found["servers"], found["people"]) == ([], [])
    assert [person["name"] for person in configured.treadle("config", "show", "people.ann", "--json").json["people"]] == ["ann"]


def test_an_unknown_name_suggests_the_nearest(configured: Here):
    done = configured.treadle("config", "show", "log.lvel", "--json")
    assert (done.code, done.error["code"], done.error["hint"]) == (2, "unknown_setting", "did you mean 'log.level'?")


def test_stray_variables_and_bad_servers_are_warned_of(configured: Here):
    configured.write(".mcp.json", "{")
    done = configured.treadle("config", "show", TREADLE_LOG_LEVLE="x")
    assert done.code == 0
    assert "TREADLE_LOG_LEVLE is not known; did you mean 'TREADLE_LOG_LEVEL'?" in done.err
    assert "warning: .mcp.json:1: not JSON" in done.out
    found = configured.treadle("config", "show", "--json", TREADLE_LOG_LEVLE="x").json
    assert "TREADLE_LOG_LEVLE" in found["warnings"][0]
    assert found["problems"][0].startswith(".mcp.json:1")


def test_the_path_is_told_whether_the_file_is_there_or_not(here: Here):
    assert here.treadle("config", "path").out == f"{here.folder / 'treadle.toml'}\n"
    assert here.treadle("config", "path", "--json").json["exists"] is False
    assert "There is no treadle.toml here" in here.treadle("config", "show").out
