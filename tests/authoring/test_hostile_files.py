"""Files made to hurt: each ends in one plain error, within time and memory that an honest file would take."""

import os
import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from tests.authoring.support import found, load
from tests.needs import missing
from treadle.authoring.yaml_reader import FILE_BYTES_MAX, PROBLEMS_MAX, read_bytes, read_file

SECONDS_MAX = 1.0  # a bound for slow machines under load; each takes milliseconds
HEAD = "name: a\nsteps: [{prompt: hi}]\n"


def bomb(levels: int = 9) -> str:
    lines = ['a0: &a0 ["lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol"]']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


HOSTILE = {
    "billion laughs": (bomb(), "too_many_values"),
    "laughs in long texts": (f"x: &x '{'y' * 60_000}'\nz: [{', '.join(['*x'] * 100)}]\n", "too_many_values"),
    "laughs in keys": (
        f"x: &x {{{', '.join(f'k{n}: 1' for n in range(1000))}}}\nz: [{', '.join(['*x'] * 200)}]\n",
        "too_many_values",
    ),
    "a chain of aliases": ("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 500)), "too_deep"),
    "30,000 open brackets": ("x: " + "[" * 30_000, "too_deep"),
    "30,000 open braces": ("x: " + "{a: " * 30_000, "too_deep"),
    "30,000 braces": ("x: " + "{" * 30_000, "unquoted_template"),
    "30,000 dashes": ("- " * 30_000, "too_deep"),
    "30,000 question marks": ("? " * 30_000, "key_not_text"),
    "200,000 values": (HEAD + "initial_state:\n  x:\n" + "  - 1\n" * 200_000, "too_many_values"),
    "an alias to itself": ("x: &x {y: *x}\n", "recursive_alias"),
    "an object of Python": ("x: !!python/object/apply:os.system [echo]\n" + HEAD, "yaml_tag"),
    "a NUL": (HEAD + "description: a\0b\n", "control_character"),
    "an escape to a lone surrogate": (HEAD + 'description: "\\ud800"\n', "yaml_syntax"),
    "40,000 digits": (HEAD + f"initial_state: {{x: {'9' * 40_000}}}\n", "number_range"),
    "an exponent": (HEAD + "initial_state: {x: 1e999999999}\n", "number_range"),
    "a long number of zeros": (HEAD + f"initial_state: {{x: {'0' * 40_000}1}}\n", ""),
    "a million tabs in a comment": (HEAD + "# " + "y\t" * 500_000 + "\n", ""),
    "a million tabs behind marks": (HEAD + f'description: "{"#" * 300_000}" # ' + "y\t" * 300_000 + "\n", ""),
    "many invisible characters": (HEAD + "description: " + "x\u200f" * 200_000 + "\n", "invisible_text"),
    "two documents": (HEAD + "---\n" + HEAD, "several_documents"),
    "100 anchors on one node": ("&a " * 100 + "x", "yaml_syntax"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_quickly_and_in_little_memory(name: str) -> None:
    text, code = HOSTILE[name]
    tracemalloc.start()
    began = time.perf_counter()
    codes = [p.code for p in load(text).problems]
    seconds = time.perf_counter() - began
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (code in codes) if code else not codes
    # Tracing makes everything several times slower.
    assert seconds < SECONDS_MAX * 5
    assert peak_bytes < 100 << 20


def test_many_faulty_reads_are_told_without_looking_for_each_of_them() -> None:
    reads = ", ".join(f"'{{{{ state.x{n} }}}}'" for n in range(3_000))
    began = time.perf_counter()
    loaded = load(f"name: a\ninitial_state: {{y: 1}}\nsteps: [{{mcp_call: a.b, parameters: {{xs: [{reads}]}}}}]")
    assert [p.code for p in loaded.problems] == ["unknown_state"] * 3_000
    assert time.perf_counter() - began < SECONDS_MAX * 5


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(20 << 20)
    tracemalloc.start()
    document = read_file(path, "large.yaml")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [p.code for p in document.problems] == ["file_too_large"]
    assert peak_bytes < 1 << 20


def test_a_file_of_exactly_the_largest_size_is_read() -> None:
    text = HEAD + "description: "
    data = (text + "x" * (FILE_BYTES_MAX - len(text))).encode()
    assert read_bytes(data, "f").root is not None
    assert [p.code for p in read_bytes(data + b"x", "f").problems] == ["file_too_large"]


@pytest.mark.parametrize(
    "data,place",
    [
        (HEAD.encode("utf-16"), (1, 1)),
        (HEAD.encode("utf-32"), (1, 1)),
        (b"name: a\nsteps: \xff\n", (2, 8)),
        (b"name: a\ndescription: \xed\xa0\x80\n", (2, 14)),
        (b"\xef\xbb\xbfname: \xe9\n", (1, 7)),
    ],
)
def test_what_is_not_utf8_is_told_at_its_byte(data: bytes, place: tuple[int, int]) -> None:
    document = read_bytes(data, "f.yaml")
    assert [(p.code, p.line, p.column) for p in document.problems] == [("not_utf8", *place)]


def test_a_byte_order_mark_is_taken_at_the_start_only() -> None:
    assert read_bytes(b"\xef\xbb\xbf" + HEAD.encode(), "f").problems == []
    assert [p.code for p in read_bytes(HEAD.encode() + b"description: \xef\xbb\xbfx\n", "f").problems] == ["invisible_text"]


def test_a_directory_or_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    assert [p.code for p in read_file(tmp_path, "d").problems] == ["unreadable"]
    assert [p.code for p in read_file(tmp_path / "no.yaml", "no").problems] == ["unreadable"]


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe, loop = tmp_path / "pipe.yaml", tmp_path / "loop.yaml"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path in (pipe, loop, Path("/dev/zero"), Path("/dev/tty")):
        (problem,) = read_file(path, "f").problems
        assert (problem.code, problem.line, problem.column) == ("unreadable", 1, 1)
        assert problem.suggestion


# Each once more in a process of its own, where memory can be asked for: text that was never meant to be a workflow.
MEASURED = {
    **{name: text.encode() for name, (text, _) in HOSTILE.items()},
    "a scalar of 20 MB": b"name: " + b"x" * (20 << 20),
    "a scalar of 4 MB": HEAD.encode() + b"description: " + b"x" * (4_000_000),
    "4 MB of brackets": b"[" * 4_000_000,
    "4 MB of wide characters": HEAD.encode() + b"description: " + "\U0001f600".encode() * 1_000_000,
    "4 MB of one template": HEAD.encode() + b'description: x\noutput: {x: "' + b"{{ 1 }}" * 500_000 + b'"}',
    "4 MB of quotes": b"'" * 4_000_000,
    "a million steps": b"name: a\nsteps:\n" + b"- a:\n" * 800_000,
}
CHILD = """
import re, sys, time
from pathlib import Path
from treadle.authoring.yaml_reader import read_bytes
from treadle.authoring.parse import parse
parse(read_bytes(b"name: a\\nsteps: [{prompt: '{{ 1 }}'}]", "f"))  # what any file makes Python import
began = time.process_time()
tree = parse(read_bytes(sys.stdin.buffer.read((4 << 20) + 1), "f"))
seconds = time.process_time() - began
# Not the resource usage: that of a new process begins with its parent's.
peak_kib = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(seconds, int(peak_kib) >> 10, *{p.code for p in tree.problems})
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURED)
def test_a_hostile_file_takes_little_time_and_memory_of_a_process(name: str) -> None:
    if not Path("/proc/self/status").exists():
        missing("the peak of a process's memory is asked of /proc")
    done = subprocess.run([sys.executable, "-c", CHILD], input=MEASURED[name], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    seconds, memory_mib, *_ = done.stdout.decode().split()
    assert int(memory_mib) < 100, f"{memory_mib} MiB"
    # 100 ms on an idle machine; CI is slower.
    assert float(seconds) < 0.5, f"{seconds} s"


def test_many_faults_are_told_at_once_and_their_number_is_bounded() -> None:
    text = HEAD + "initial_state:\n" + "".join(f"  x{n}: !!t {n}\n" for n in range(5_000))
    problems = load(text).problems
    assert len(problems) == PROBLEMS_MAX
    assert problems[0].code == "yaml_tag"


def test_a_bomb_of_brackets_does_not_kill_the_process_under_a_small_stack() -> None:
    """libyaml's composer dies at this depth; ours must stop while events arrive, whatever the stack allows."""
    script = "from treadle.authoring.yaml_reader import read_text\nprint([p.code for p in read_text('x: ' + '[' * 200_000, 'f').problems])"

    def small_stack() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 1 << 20))

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, preexec_fn=small_stack, timeout=20, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "['too_deep']"), done.stderr


def test_a_file_with_a_hundred_faults_tells_all_of_them() -> None:
    steps = "".join(f"  - {{id: s{n}, prompt: hi, outputto: x}}\n" for n in range(100))
    assert found(load("name: a\nsteps:\n" + steps)) == [
        ("unknown_field", n + 3, len(f"  - {{id: s{n}, prompt: hi, ") + 1) for n in range(100)
    ]
