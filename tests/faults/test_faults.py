"""Every fault of the table, made for real: what the terminal, an agent and doctor are told, and that the work is whole when it is mended."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from tests.cli.support import Project
from tests.faults.table import FAULTS
from tests.mcpserver.processes import serving
from treadle.engine.embedded import schema

ROOT = Path(__file__).parents[2]
SMALL = "name: small\nsteps:\n  - {id: ask, prompt: What}\n  - {id: more, prompt: More}\n  - return: '{{ steps.ask.result }}'\n"
LARGE = "x" * 100_000
NOISE = {"open_to_others", "not_on_path", "slow_disk", "unknown_variable"}


class Site:
    """A project with one run, in which a large answer was acknowledged before the server was killed; `spec` is what later processes lack."""

    def __init__(self, base):
        self.project = Project(base, small=SMALL)
        self.folder = self.project.folder / ".treadle"
        self.folder.mkdir(mode=0o700)
        self.file = self.folder / "treadle.db"
        self.log = self.folder / "treadle.db-wal"
        self.spec = {}
        self.run = self._walk_and_kill()

    def _walk_and_kill(self):
        with self.server() as server:
            step = server.tool("start_workflow", workflow="small")
            assert server.do(step["next"], result=LARGE)["action"] == "more"
            server.kill()
        return step["run_id"]

    def _command(self, *arguments):
        return [sys.executable, "-m", "tests.faults.under", json.dumps(self.spec), *arguments]

    @property
    def environment(self):
        return self.project.environment | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}

    def treadle(self, *arguments):
        """Run a command; gives the code of its error, or an empty text, and what it printed."""
        done = subprocess.run(
            self._command("cli", *arguments), cwd=self.project.folder, env=self.environment, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        last = (done.stderr.strip().splitlines() or [""])[-1]
        error = json.loads(last)["error"] if last.startswith('{"error"') else None
        if error is not None:
            assert error["message"], error
            assert error["hint"], error
            assert done.returncode in {1, 2}
        return error["code"] if error is not None else "", done.stdout

    @contextlib.contextmanager
    def server(self):
        with serving(self.project.folder, argv=tuple(self._command("mcp")), **self.environment) as server:
            server.greet()
            yield server

    def over_mcp(self):
        """Give the codes with which a server answers a request to read the run, and one to start another."""
        with self.server() as server:
            told = [server.tool("get_run", run_id=self.run, full=True), server.tool("start_workflow", workflow="small")]
            server.end()
        for each in told:
            assert each["kind"] != "error" or (each["message"] and each["next"]), each
        return tuple(each.get("code", "") if each["kind"] == "error" else "" for each in told)

    def found(self):
        code, out = self.treadle("doctor", "--json")
        assert code == "", code
        findings = [each for each in json.loads(out)["findings"] if each["state"] in {"failed", "warning"}]
        assert all(each["hint"] for each in findings), findings
        return {each["code"] for each in findings} - NOISE

    def whole(self, still=frozenset()):
        """Check that what was acknowledged is there, and that the run goes on to its end."""
        self.spec = {}
        with self.server() as server:
            step = server.tool("get_next_step", run_id=self.run, take_over=True)
            assert step["action"] == "more", step
            ended = server.do(step["next"], result="and that")
            assert ended["status"] == "completed", ended
            assert ended["result"].startswith(LARGE[:10_000])  # an agent is shown the beginning
            assert server.end()[0] == 0
        assert self.found() == still


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    if made.folder.exists():
        made.folder.chmod(0o700)


def kept(path):
    """Remember a file or folder; gives what puts it back."""
    copy = path.with_name(f"{path.name}.kept")
    (shutil.copytree if path.is_dir() else shutil.copy2)(path, copy)

    def restore():
        (shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True))
        copy.rename(path)

    return restore


def told_and_found(site, name):
    """Compare what is told with the table's row."""
    fault = FAULTS[name]
    assert site.treadle("show", site.run, "--json")[0] == fault.reading
    assert site.treadle("run", "small", "--json")[0] == fault.writing
    assert site.over_mcp() == fault.mcp
    assert site.found() == set(fault.doctor)


def lacking(name, **spec):
    """Make a fault of what every process of ours lacks."""

    def broken(site):
        site.spec = spec
        return lambda: None

    return name, broken


def read_only_files(site):
    files = [each for each in site.folder.iterdir() if each.is_file()]
    for each in files:
        each.chmod(0o400)
    site.spec = {"plain_user": True}
    return lambda: [each.chmod(0o600) for each in files]


def read_only_folder(site):
    site.folder.chmod(0o500)
    site.spec = {"plain_user": True}
    return lambda: site.folder.chmod(0o700)


def unreadable_folder(site):
    site.folder.chmod(0)
    site.spec = {"plain_user": True}
    return lambda: site.folder.chmod(0o700)


def damaged_page(site):
    site.treadle("show", site.run)  # which moves the log into the file as it closes
    restore = kept(site.file)
    data = bytearray(site.file.read_bytes())
    for at in range(3 * 4096, len(data), 4096):
        data[at : at + 200] = bytes(200 * [0xA5])
    site.file.write_bytes(data)
    return restore


def the_value(site):
    (value,) = (each for each in (site.folder / "blobs").rglob("*") if each.is_file())
    return value


def damaged_value(site):
    value = the_value(site)
    right = value.read_bytes()
    value.write_bytes(right[:500] + b"y" + right[501:])
    return lambda: value.write_bytes(right)


def missing_value(site):
    value = the_value(site)
    aside = value.rename(site.folder.parent / "aside")
    return lambda: aside.rename(value)


def missing_log(site):
    assert site.log.stat().st_size > 0
    aside = site.log.rename(site.folder.parent / "aside")
    (site.folder / "treadle.db-shm").unlink()
    return lambda: (site.log.unlink(missing_ok=True), aside.rename(site.log))


def newer_schema(site):
    def number(schema_number, oldest):
        db = apsw.Connection(str(site.file))
        db.execute(
            f"BEGIN; UPDATE meta SET schema = {schema_number}, oldest_writer = {oldest}; PRAGMA user_version = {schema_number}; COMMIT"
        )
        db.close()

    oldest = schema.oldest_writer(schema.MIGRATIONS, schema.SCHEMA)
    number(schema.SCHEMA + 1, schema.SCHEMA + 1)
    return lambda: number(schema.SCHEMA, oldest)


def foreign_file(site):
    restore = kept(site.file)
    site.file.write_bytes(b"hello " * 999)
    return restore


def emptied_file(site):
    restore = kept(site.file)
    log = site.log.read_bytes()
    site.file.write_bytes(b"")

    def mend():
        assert site.log.read_bytes() == log
        restore()

    return mend


BROKEN = dict(
    [
        lacking("size_limit", FSIZE=40_000),
        lacking("clock_back", clock_ms=-30 * 86_400_000),
        lacking("clock_forward", clock_ms=3_650 * 86_400_000),
        lacking("no_descriptors", NOFILE=10),
        lacking("network", network=True),
        lacking("stale_locks"),
    ]
) | {
    made.__name__: made
    for made in (read_only_files, read_only_folder, unreadable_folder, damaged_page, damaged_value, missing_value, missing_log,
                 newer_schema, foreign_file, emptied_file)
}  # fmt: skip
QUICK = {"read_only_files", "missing_log", "missing_value", "emptied_file"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(BROKEN)])
def test_a_fault_is_named_found_and_nothing_is_lost(site, name):
    mend = BROKEN[name](site)
    told_and_found(site, name)
    mend()
    site.whole(still={"clock_back"} if name == "clock_forward" else set())


def test_every_fault_of_the_table_has_its_test():
    assert set(FAULTS) == {*BROKEN, "cut_log"}


def test_a_locked_file_lets_reads_through_and_says_why_writes_wait(site):
    holding = "import apsw, sys; db = apsw.Connection(sys.argv[1]); db.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.readline()"
    with site.server() as server:
        holder = subprocess.Popen([sys.executable, "-c", holding, str(site.file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with holder:
            assert holder.stdout.readline() == "held\n"
            server.send(
                {
                    "jsonrpc": "2.0",
                    "id": 900,
                    "method": "tools/call",
                    "params": {"name": "start_workflow", "arguments": {"workflow": "small"}},
                }
            )
            while "writes_wait" not in (told := server.tool("get_run", run_id=site.run)):
                assert told["kind"] == "run"
            assert str(holder.pid) in told["writes_wait"]
            holder.stdin.write("let go\n")
        while not any(json.loads(line).get("id") == 900 for line in server.lines):
            server.tool("get_run", run_id=site.run)
        (answer,) = (json.loads(line) for line in server.lines if json.loads(line).get("id") == 900)
        assert answer["result"]["structuredContent"]["kind"] == "step"
        server.end()


@pytest.mark.slow
def test_a_log_that_was_cut_off_is_named_found_and_what_is_left_is_salvaged(site):
    size = site.log.stat().st_size
    os.truncate(site.log, size - 1000)
    (site.folder / "treadle.db-shm").unlink()
    told_and_found(site, "cut_log")
    assert site.treadle("doctor", "--accept-loss", "--json")[0] == ""
    assert site.treadle("show", site.run, "--json")[0] == ""
    assert site.found() == set()
