import tomllib

from hypothesis import given
from hypothesis import strategies as st

from treadle.config.toml_lines import key_lines, line_of

FILE = '''# a comment with [brackets] and a = sign
title = "x"  # [not.a.table]
[log]
level = "a = b"
'quoted key' = """
[fake]
key = 1
"""
[servers.web]
command = "treadle"
args = [
    "server", # = "web"
    "[web]",
]
env = { A = "1", "B C" = "}", nested = { D = 2 } }
a.b.c = 5
[[runs]]
name = 1
[[runs]]
name = 2
'''


def test_every_key_has_the_line_it_stands_on():
    tomllib.loads(FILE)
    assert key_lines(FILE) == {
        ("title",): 2,
        ("log",): 3,
        ("log", "level"): 4,
        ("log", "quoted key"): 5,
        ("servers",): 9,
        ("servers", "web"): 9,
        ("servers", "web", "command"): 10,
        ("servers", "web", "args"): 11,
        ("servers", "web", "env"): 15,
        ("servers", "web", "env", "A"): 15,
        ("servers", "web", "env", "B C"): 15,
        ("servers", "web", "env", "nested"): 15,
        ("servers", "web", "env", "nested", "D"): 15,
        ("servers", "web", "a"): 16,
        ("servers", "web", "a", "b"): 16,
        ("servers", "web", "a", "b", "c"): 16,
        ("runs",): 17,
        ("runs", "name"): 18,
    }


def test_an_unknown_key_has_the_line_of_the_table_that_would_hold_it():
    assert line_of(key_lines(FILE), ("log", "missing", "deeper")) == 3
    assert line_of(key_lines(FILE), ("nowhere",)) == 0


@given(st.text(alphabet="ab=[]{}\"'#.,\n \\", max_size=200))
def test_it_ends_on_any_text(text: str):
    assert all(1 <= line <= text.count("\n") + 1 for line in key_lines(text).values())
