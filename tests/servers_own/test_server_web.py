"""`treadle server web`, over real stdio; SearXNG is a scripted server on loopback."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.mcpclient.peers import own, pool_of
from treadle.config.secret import Secret
from treadle.core.errors import RequestError
from treadle.servers import web
from treadle.servers.search_files import FilesProvider, title_and_body
from treadle.servers.search_searxng import SearxngProvider


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "guide").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "node_modules").mkdir()
    (folder / "resume.md").write_text("---\nlayout: x\n---\n# Resuming after a crash\n\nEvery finished step is kept on disk.\n")
    (folder / "guide" / "approve.html").write_text(
        "<html><head><title>Approvals</title><style>crash{}</style></head><body><h1>Who</h1><p>People &amp; roles decide.</p></body></html>"
    )
    (folder / "guide" / "retry.rst").write_text("Retries\n=======\n\nA step is tried again after a crash of its server.\n")
    (folder / "notes.txt").write_text("plain words about elephants")
    (folder / "code.py").write_text("crash crash crash")
    (folder / ".hidden" / "x.md").write_text("crash")
    (folder / "node_modules" / "x.md").write_text("crash")
    (folder / "link.md").symlink_to("/etc/hostname")
    return folder


async def test_section_9e_search_gives_sources_and_names_the_provider(tmp_path: Path, docs: Path):
    toml = f'[web_search]\nprovider = "files"\nfolder = "{docs.name}"\n'
    (tmp_path / "treadle.toml").write_text(toml)
    async with pool_of(own("web", annotations_confirmed=True), root=tmp_path) as pool:
        outcome = await pool.call("web", "search", {"query": "how do I resume after a crash?", "max_results": 2})
        assert outcome.failure is None
        assert outcome.value == {
            "query": "how do I resume after a crash?",
            "provider": "files",
            "sources": [
                {
                    "title": "Resuming after a crash",
                    "url": "docs/resume.md",
                    "snippet": "# Resuming after a crash Every finished step is kept on disk.",
                },
                {
                    "title": "Retries",
                    "url": "docs/guide/retry.rst",
                    "snippet": "Retries ======= A step is tried again after a crash of its server.",
                },
            ],
        }
        (tool,) = await pool.tools("web")
        assert (tool.name, tool.effect) == ("search", "read")


async def test_without_a_provider_the_error_says_so_and_how_to_configure_one(tmp_path: Path):
    async with pool_of(own("web"), root=tmp_path) as pool:
        outcome = await pool.call("web", "search", {"query": "anything"})
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.code) == ("failed", "tool_error")
        assert "no_provider: web search has no provider configured" in outcome.failure.message
        for word in ("[web_search]", "searxng", "files", "treadle.toml", "--provider"):
            assert word in outcome.failure.message


def test_an_incomplete_provider_is_refused_before_serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.chdir(tmp_path)
    for arguments, words in (
        (["--provider", "searxng"], "needs an address"),
        (["--provider", "files"], "needs a folder"),
        (["--provider", "altavista"], "must be one of"),
        (["--provider", "searxng", "--url", "file:///etc/passwd"], "http(s) address"),
    ):
        assert web.main(arguments) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert words in shown.err


# ---- files


async def urls(provider: FilesProvider, query: str) -> list[str]:
    return [source.url for source in await provider.search(query, 10)]


async def test_only_documents_are_searched_and_nothing_hidden_linked_or_installed(docs: Path):
    provider = FilesProvider(docs, root=docs)
    assert sorted(await urls(provider, "crash")) == ["guide/retry.rst", "resume.md"]


async def test_nothing_found_is_an_empty_list(docs: Path):
    provider = FilesProvider(docs, root=docs)
    assert await urls(provider, "zebra") == []
    assert await urls(provider, "what is the zebra for?") == []
    assert await urls(provider, "?!") == []


async def test_stems_match_and_titles_count_more(docs: Path):
    (docs / "aside.md").write_text("# Something else\n\nIt resumes, resuming and resumed. " + "filler " * 50)
    provider = FilesProvider(docs, root=docs)
    assert (await urls(provider, "resume"))[0] == "resume.md"
    assert "aside.md" in await urls(provider, "resume")


async def test_documents_with_all_words_come_before_documents_with_some(docs: Path):
    provider = FilesProvider(docs, root=docs)
    assert await urls(provider, "crash server") == ["guide/retry.rst", "resume.md"]


async def test_the_index_follows_the_folder(docs: Path):
    provider = FilesProvider(docs, root=docs)
    assert await urls(provider, "elephants") == ["notes.txt"]
    (docs / "notes.txt").write_text("now about tigers alone")
    (docs / "new.md").write_text("# Tigers\n")
    assert await urls(provider, "elephants") == []
    assert await urls(provider, "tigers") == ["new.md", "notes.txt"]
    (docs / "new.md").unlink()
    assert await urls(provider, "tigers") == ["notes.txt"]


async def test_a_published_folder_gives_addresses_and_one_outside_the_project_file_addresses(docs: Path, tmp_path: Path):
    (docs / "a b.md").write_text("# Space\n")
    site = FilesProvider(docs, root=docs, site="https://example.org/docs")
    assert await urls(site, "space") == ["https://example.org/docs/a%20b.md"]
    elsewhere = FilesProvider(docs, root=tmp_path / "other")
    assert await urls(elsewhere, "elephants") == [(docs / "notes.txt").as_uri()]


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(RequestError) as caught:
        await FilesProvider(tmp_path / "nowhere", root=tmp_path).search("x", 5)
    assert caught.value.code == "folder_missing"


@pytest.mark.parametrize("query", ['"', "a AND", "NEAR(", "*", "title:x", "(", "^", "'; DROP TABLE page"])
async def test_any_text_is_a_query(docs: Path, query: str):
    await FilesProvider(docs, root=docs).search(query, 5)


@pytest.mark.parametrize(
    "name, text, title",
    [
        ("a.md", "intro\n\n# The title #\n", "The title"),
        ("a.md", "no heading", "a.md"),
        ("a.md", "Under\n=====\n", "Under"),
        ("a.rst", "Title\n-----\n# no comment\n", "Title"),
        ("a.html", "<h1>Only <b>this</b></h1>", "Only"),
        ("a.html", "<title>T</title><script>x</script>", "T"),
        ("a.html", "<not closed <<<", "a.html"),
    ],
)
def test_titles_are_found_by_format(name: str, text: str, title: str):
    assert title_and_body(name, text)[0] == title


def test_html_gives_what_a_reader_sees():
    assert title_and_body("a.html", "<script>no</script><p>a &lt; b</p><style>no</style>")[1] == "a < b"


# ---- searxng


class Script(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_GET(self):
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        type(self).asked.append((self.path, dict(self.headers)))
        word = query["q"]
        results = [
            {
                "title": f"One\x1b[31m {word}",
                "url": "https://example.org/1",
                "content": "first\n result " + "x" * 2_000,
            },
            {"title": "Two", "url": "javascript:alert(1)", "content": ""},
            {"title": None, "url": "http://example.org/2"},
            "nonsense",
            {"title": "Three", "url": "https://example.org/3", "content": "third"},
        ]
        status, body, extra = 200, json.dumps({"results": results}).encode(), {}
        if word.isdigit():
            status, extra = int(word), {"Location": "http://127.0.0.1:1/"}
        if word == "html":
            body = b"<html>not JSON</html>"
        if word == "list":
            body = b'["results"]'
        if word == "huge":
            body = b'{"results": "' + b"x" * (3 << 20) + b'"}'
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def searxng() -> Iterator[str]:
    Script.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Script) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_searxng_results_become_sources_and_unfit_ones_are_left_out(searxng: str, tmp_path: Path):
    proxy = {"HTTP_PROXY": Secret("http://127.0.0.1:1"), "http_proxy": Secret("http://127.0.0.1:1")}
    async with pool_of(own("web", "--provider", "searxng", "--url", searxng, env=proxy), root=tmp_path) as pool:
        outcome = await pool.call("web", "search", {"query": "treadle & co", "max_results": 5})
        assert outcome.failure is None
        assert isinstance(outcome.value, dict)
        assert outcome.value["provider"] == "searxng"
        sources = outcome.value["sources"]
        assert isinstance(sources, list)
        assert [source["url"] for source in sources if isinstance(source, dict)] == [
            "https://example.org/1",
            "http://example.org/2",
            "https://example.org/3",
        ]
        first = sources[0]
        assert isinstance(first, dict)
        assert first["title"] == "One [31m treadle & co"
        assert len(str(first["snippet"])) <= 600
    assert Script.asked[0][0] == "/search?q=treadle+%26+co&format=json"


@pytest.mark.parametrize(
    "query, code, words",
    [
        ("429", "rate_limited", "429"),
        ("403", "search_refused", "settings.yml"),
        ("302", "search_refused", "not followed"),
        ("500", "search_failed", "500"),
        ("html", "search_failed", "no search result"),
        ("list", "search_failed", "no search result"),
        ("huge", "search_failed", "more than"),
    ],
)
async def test_a_search_that_could_not_be_made_is_an_error_and_never_an_empty_list(searxng: str, query: str, code: str, words: str):
    with pytest.raises(RequestError) as caught:
        await SearxngProvider(searxng).search(query, 5)
    assert caught.value.code == code
    assert words in caught.value.message + caught.value.hint


async def test_an_instance_that_is_not_there_is_an_error():
    with pytest.raises(RequestError) as caught:
        await SearxngProvider("http://127.0.0.1:1").search("x", 5)
    assert caught.value.code == "search_failed"


async def test_an_instance_that_never_answers_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(RequestError) as caught:
            await SearxngProvider(f"http://127.0.0.1:{port}", timeout_s=0.2).search("x", 5)
    assert caught.value.code in {"search_timeout", "search_failed"}
