from hypothesis import given
from hypothesis import strategies as st

from treadle.mcpio.client.lines import KEEP_BYTES, LineSplitter, TooLong


def split(data: bytes, cuts: list[int], cap: int) -> list[bytes | TooLong]:
    splitter, found, start = LineSplitter(cap), [], 0
    for cut in sorted(min(cut, len(data)) for cut in cuts):
        found += splitter.feed(data[start:cut])
        start = cut
    return [*found, *splitter.feed(data[start:])]


@given(
    st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"-"))),
    st.lists(st.integers(min_value=0, max_value=600), max_size=20),
)
def test_lines_are_the_same_however_the_bytes_arrive(lines: list[bytes], cuts: list[int]):
    data = b"".join(line + b"\n" for line in lines)
    assert split(data, cuts, cap=1000) == lines


@given(st.lists(st.integers(min_value=0, max_value=20_000), max_size=20))
def test_a_line_over_the_cap_gives_head_and_tail_and_then_the_next_line(cuts: list[int]):
    long = bytes(range(48, 58)) * 1_500
    early, ended, after = split(long + b"\nok\n", cuts, cap=10_000)
    assert isinstance(early, TooLong)
    assert isinstance(ended, TooLong)
    assert (early.ended, ended.ended) == (False, True)
    assert ended.size_bytes == len(long)
    assert long.startswith(ended.head)
    assert long.endswith(ended.tail)
    assert after == b"ok"


def test_a_long_line_costs_head_and_tail_only():
    splitter = LineSplitter(1_000_000)
    for _ in range(300):
        list(splitter.feed(b"x" * 1_000_000))
    kept = [value for value in vars(splitter).values() if isinstance(value, bytes | list)]
    assert sum(len(value) if isinstance(value, bytes) else sum(map(len, value)) for value in kept) <= 2 * KEEP_BYTES
    assert splitter.held_bytes == 300_000_000


def test_a_line_of_exactly_the_cap_passes():
    assert list(LineSplitter(5).feed(b"12345\n")) == [b"12345"]
