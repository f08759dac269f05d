import stat
from pathlib import Path

from treadle.mcpio.client import server_log
from treadle.mcpio.client.server_log import ServerLog


def test_lines_go_to_the_file_and_the_last_ones_stay_at_hand(tmp_path: Path):
    log = ServerLog(tmp_path / "logs" / "x.log", lambda: 0.0)
    log.begin()
    log.stderr(b"one\ntw")
    log.stderr(b"o\nthree")
    assert log.tail(2) == "two\nthree"
    log.close()
    lines = (tmp_path / "logs" / "x.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["[treadle] the server is started", "one", "two", "three"]
    assert stat.S_IMODE((tmp_path / "logs" / "x.log").stat().st_mode) == 0o600


def test_a_new_process_does_not_answer_for_the_words_of_the_last(tmp_path: Path):
    log = ServerLog(None, lambda: 0.0)
    log.stderr(b"old\n")
    log.begin()
    assert log.tail() == ""


def test_control_and_direction_characters_never_reach_a_terminal(tmp_path: Path):
    log = ServerLog(tmp_path / "x.log", lambda: 0.0)
    log.stderr("\x1b]0;title\x07a\u202eb\x00c\r\n".encode())
    log.close()
    assert log.tail() == "]0;titleabc"
    assert "\x1b" not in (tmp_path / "x.log").read_text()


def test_the_file_is_turned_over_at_its_size(tmp_path: Path):
    log = ServerLog(tmp_path / "x.log", lambda: 0.0)
    for _ in range(3 * server_log.FILE_BYTES_MAX // 1_000):
        log.stderr(b"y" * 975 + b"\n")
    log.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= server_log.FILE_BYTES_MAX


def test_a_flood_is_asked_to_wait_for_the_rest_of_the_second():
    now = [100.0]
    log = ServerLog(None, lambda: now[0])
    assert log.stderr(b"x\n" * 1_000) == 0
    now[0] = 100.25
    assert log.stderr(b"x" * (2 * server_log.RATE_BYTES)) == 0.75
    now[0] = 101.5
    assert log.stderr(b"x\n") == 0


def test_a_line_without_end_is_cut(tmp_path: Path):
    log = ServerLog(None, lambda: 0.0)
    for _ in range(100):
        log.stderr(b"z" * 1_000)
    assert all(len(line) <= server_log.LINE_CHARS + 1 for line in log.tail(100).splitlines())


def test_a_log_that_cannot_be_written_costs_only_the_log(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    log = ServerLog(tmp_path / "file" / "x.log", lambda: 0.0)
    log.stderr(b"still heard\n")
    assert log.tail() == "still heard"
