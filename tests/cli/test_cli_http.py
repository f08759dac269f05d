"""Requests, end to end: a real server hears a secret header and says it back everywhere; afterwards it is found nowhere."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cli.support import PATIENCE_S
from tests.cli.test_cli_secrets import TOKEN, assert_nowhere, set_token

ASK = """\
name: ask
secrets: [API_TOKEN]
steps:
  - id: ask
    http: {url}/echo
    method: POST
    headers: {{X-Token: "Bearer {{{{ secrets.API_TOKEN }}}}"}}
    json: {{token: "{{{{ secrets.API_TOKEN }}}}"}}
  - id: fail
    http: {url}/fail
    headers: {{X-Token: "{{{{ secrets.API_TOKEN }}}}"}}
    on_error: continue
  - return: "{{{{ [steps.ask.result, steps.fail.error.message] }}}}"
"""


LOOK = """\
name: look
steps:
  - {{id: look, http: {url}/echo, headers: {{X-Token: open}}}}
  - return: "{{{{ steps.look.result.json.heard }}}}"
"""


ONCE = """\
name: once
steps:
  - id: pay
    http: {url}
    method: POST
  - return: paid
"""


class Echo(BaseHTTPRequestHandler):
    """Says back what it heard, in its body and in a header."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        heard = self.headers["x-token"].encode("latin-1").decode()
        self.server.heard.append((heard, body, self.headers.get("idempotency-key")))  # type: ignore[attr-defined]
        said = json.dumps({"heard": heard, "as_it_came": self.headers["x-token"], "body": body.decode()}).encode()
        self.send_response(200 if self.path == "/echo" else 403)
        for name, value in (
            ("content-type", "application/json"),
            ("content-length", str(len(said))),
            ("x-said", "b " + self.headers["x-token"]),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def echoing() -> Iterator[tuple[str, list[tuple[str, bytes, str | None]]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.heard = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.heard  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_secret_header_reaches_the_server_and_is_found_nowhere_afterwards(make_project):
    project = make_project()
    with echoing() as (url, heard):
        project.write("workflows/ask.yaml", ASK.format(url=url))
        set_token(project)
        refused = project.treadle("run", "ask", "--json")
        assert heard == []
        project.write("treadle.toml", f'[http]\nallow = ["{url.removeprefix("http://")}"]\n')
        done = project.treadle("run", "ask", "--json", LOG_LEVEL="debug")
        dry = project.treadle("run", "ask", "--dry-run", "--json")
    assert refused.code == 1
    assert "127.0.0.1` is a loopback address; nothing was sent there" in refused.out
    assert "to `allow` of [http] in treadle.toml" in refused.out
    assert done.code == 4, done.out + done.err
    assert heard[0][:2] == (f"Bearer {TOKEN}", json.dumps({"token": TOKEN}, ensure_ascii=False, separators=(",", ":")).encode())
    assert heard[0][2]
    assert heard[1] == (TOKEN, b"", None)
    first, message = done.json["result"]
    assert (first["status"], first["json"]["heard"]) == (200, "Bearer ***API_TOKEN***")
    assert first["json"]["as_it_came"] == "Bearer ***API_TOKEN***"
    assert first["headers"]["x-said"] == "b Bearer ***API_TOKEN***"
    assert "/fail was answered with status 403" in message
    # A dry run does not do what has an effect.
    assert (dry.json["missing"]["action"], len(heard)) == ("ask", 2)
    shown = [project.treadle(*command).out for command in (("show", "last", "--full"), ("logs", "last", "--all"))]
    assert_nowhere(project, TOKEN, done.out, done.err, dry.out, *shown)


def test_a_dry_run_really_asks_what_only_reads_and_the_guard_allows(make_project):
    project = make_project()
    with echoing() as (url, heard):
        project.write("workflows/look.yaml", LOOK.format(url=url))
        refused = project.treadle("run", "look", "--dry-run", "--json")
        assert heard == []
        allowed = project.treadle("run", "look", "--dry-run", "--json", TREADLE_HTTP_ALLOW=f"10.0.0.0/8, {url.removeprefix('http://')}")
    assert "[address_refused]" in refused.json["failure"]["message"]
    assert (allowed.json["result"], allowed.json["steps"][0]["from"], len(heard)) == ("open", "called for real", 1)


def test_a_process_killed_between_request_and_answer_leaves_the_outcome_unknown_and_asks_once_only(make_project):
    project = make_project()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        project.write("treadle.toml", f'[http]\nallow = ["{address}"]\n')
        project.write("workflows/once.yaml", ONCE.format(url=f"http://{address}/pay"))
        running = project.start("run", "once")
        connection, _ = listening.accept()
        with connection:
            assert connection.recv(4).startswith(b"POST")
            running.kill()
            running.communicate()
        again = project.treadle("resume", "last", "--json")
        assert again.code == 3, again.out + again.err
        assert [(each["id"], each["status"]) for each in project.show()["actions"]] == [("pay", "unknown")]
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()
