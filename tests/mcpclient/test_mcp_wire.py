import mcp_types
import pytest

from treadle.mcpio.client import wire
from treadle.mcpio.client.lines import TooLong


def test_a_message_is_read_whatever_surrounds_it():
    found = wire.read_line(b'\xef\xbb\xbf {"jsonrpc": "2.0", "id": 3, "result": {"a": 1}} \r')
    assert isinstance(found, mcp_types.JSONRPCResponse)
    assert (found.id, found.result) == (3, {"a": 1})


@pytest.mark.parametrize("line", [b"", b"   ", b"\r", b"\xef\xbb\xbf"])
def test_an_empty_line_is_nothing(line: bytes):
    assert wire.read_line(line) is None


@pytest.mark.parametrize(
    "line",
    [
        b"Server listening",
        b"{not json}",
        b"[1, 2]",
        b'{"level": "info", "id": 7, "message": "a log line in JSON"}',
        b'{"jsonrpc": "2.0", "id": 7, "method": 5}',
        b"\xff\xfe\x00",
    ],
)
def test_what_was_never_an_answer_is_garbage(line: bytes):
    assert isinstance(wire.read_line(line), wire.Garbage)


@pytest.mark.parametrize(
    "line, number",
    [
        (b'{"jsonrpc": "2.0", "id": 7}', "7"),
        (b'{"jsonrpc": "2.0", "id": 7, "result": "text"}', "7"),
        (b'{"id": 7, "result": {}}', "7"),
        (b'{"jsonrpc": "2.0", "id": "x-7", "result": 5}', "x-7"),
        (b'{"jsonrpc": "2.0", "id": 7, "result": {"content": [{"tex', "7"),
        (b'{"id": 7, "jsonrpc": "2.0", "result": {"content": [{"tex', "7"),
        (b'{"result": {"content": "a" "b"}, "jsonrpc": "2.0", "id": 7}', "7"),
        (b'{"result": {"content": [{"tex', None),
        (b'{"jsonrpc": "2.0", "result": {"id": 9, "content": [{"tex', None),
        (b'{"jsonrpc": "2.0", "id": true, "result": 5}', None),
        (b'{"jsonrpc": "2.0", "id": 7, "result": {"x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}}", "7"),
        (b'{"jsonrpc": "2.0", "id": 7, "result": {"x": 1' + b"0" * 10_000 + b"}}", "7"),
    ],
)
def test_a_spoilt_answer_names_the_request_only_where_the_line_does(line: bytes, number: str | None):
    found = wire.read_line(line)
    assert isinstance(found, wire.Spoilt)
    assert found.id == number


def test_half_a_surrogate_pair_becomes_a_replacement_character():
    found = wire.read_line(b'{"jsonrpc": "2.0", "id": 1, "result": {"a": "x\\ud83d", "b": "\\ud83d\\ude00"}}')
    assert isinstance(found, mcp_types.JSONRPCResponse)
    assert found.result == {"a": "x\ufffd", "b": "\U0001f600"}


def long(head: bytes, tail: bytes, *, ended: bool = True) -> TooLong:
    return TooLong(head=head, tail=tail if ended else b"", size_bytes=5_000_000, ended=ended)


@pytest.mark.parametrize(
    "line, number",
    [
        (long(b'{"jsonrpc":"2.0","id":4,"result":{"tex', b"", ended=False), "4"),
        (long(b'{"result":{"tex', b'xx"}]},"jsonrpc":"2.0","id":4}'), "4"),
        (long(b'{"result":{"tex', b'xx","id":4}]},"jsonrpc":"2.0"}'), None),
        (long(b'{"jsonrpc":"2.0","result":{"id":4,"tex', b"xx"), None),
    ],
)
def test_of_a_line_over_the_cap_the_id_is_found_at_either_end(line: TooLong, number: str | None):
    found = wire.read_too_long(line, 1_000_000)
    assert isinstance(found, wire.Spoilt)
    assert found.id == number


def test_a_line_over_the_cap_is_judged_at_its_end_where_its_head_does_not_tell():
    assert wire.read_too_long(long(b'{"result":{', b"", ended=False), 10) is None
    assert wire.read_too_long(long(b"xxxx", b"", ended=False), 10) is None
    assert isinstance(wire.read_too_long(long(b"xxxx", b"xx"), 10), wire.Garbage)
