"""The automaton: agrees with Python's `re` where both have the syntax, is linear, and refuses by name what it has not (ruling 51)."""

import random
import re

import pytest

from treadle.core.regex.matching import PROGRAM_MAX, Regex, regex_of
from treadle.core.regex.syntax import RegexError


def spans(pattern, text, *, ignore_case=False):
    return Regex(pattern, ignore_case=ignore_case).search(text, 0, lambda _: None)


def charged(pattern, text):
    total = 0

    def charge(moves):
        nonlocal total
        total += moves

    Regex(pattern).search(text, 0, charge)
    return total


@pytest.mark.parametrize(
    "pattern, text, wanted",
    [
        ("b", "abc", (1, 2)),
        ("", "abc", (0, 0)),
        ("a|ab", "ab", (0, 1)),
        ("(a)(b)?", "ac", (0, 1, 0, 1, -1, -1)),
        ("(?:a|(b))+", "ab", (0, 2, 1, 2)),
        ("a*?b", "aab", (0, 3)),
        ("a{2,3}?", "aaa", (0, 2)),
        ("^b", "ab", None),
        ("(?m)^b$", "a\nb\nc", (2, 3)),
        ("b$", "b\n", None),
        ("a.c", "a\nc", None),
        ("(?s)a.c", "a\nc", (0, 3)),
        ("(?i)ÄB", "äb", (0, 2)),
        ("(?i)[a-c]+", "ABC", (0, 3)),
        ("(?i)[^a]", "aAb", (2, 3)),
        (r"\bcat\b", "a cat.", (2, 5)),
        (r"\Bat", "cat", (1, 3)),
        (r"[\d\-x]+", "a1-x", (1, 4)),
        (r"[^\s]+", " ab ", (1, 3)),
        (r"[\]\[^]+", "a[^]", (1, 4)),
        (r"\x41\u0042\u{1f600}", "AB😀", (0, 3)),
        (r"[😀-😂]", "x😁", (1, 2)),
        (r"\/\.\-\{", "/.-{", (0, 4)),
        (r"\A\d+\z", "12", (0, 2)),
        ("(?P<y>[0-9]{4})-(?<m>[0-9]{2})", "2026-11", (0, 7, 0, 4, 5, 7)),
        ("x{0}y", "xy", (1, 2)),
        ("(|a)+b", "aab", (0, 3, 1, 2)),
    ],
)
def test_a_pattern_finds_its_first_match(pattern, text, wanted):
    found = spans(pattern, text)
    assert (found[:2] if found and wanted and len(wanted) == 2 else found) == wanted


@pytest.mark.parametrize(
    "pattern, says",
    [
        ("(", "not closed"), (")", "closes nothing"), ("[a", "not closed"), ("[]", "empty"), ("*a", "nothing to repeat"), ("a**", "cannot be repeated"),
        ("^*", "nothing to repeat"), ("a{2,1}", "low to high"), ("a{", "begins a repetition"), ("a{,3}", "begins a repetition"), ("a{1001}", "1,000"), ("[b-a]", "range"),
        (r"(a)\1", "back-references"), ("(?=a)", "look-ahead"), ("(?!a)", "look-ahead"), ("(?<=a)", "look-behind"), ("(?<!a)", "look-behind"), ("(?>a)", "atomic"),
        ("a++", "possessive"), ("(?P<a>x)(?P<a>y)", "name"), ("(?P<1>x)", "name"), (r"\p{L}", "means nothing"), (r"\q", "means nothing"), (r"\xZZ", "hexadecimal"),
        (r"\ud800", "hexadecimal"), (r"\u{110000}", "hexadecimal"), ("[[:alpha:]]", "named classes"), ("\\", "ends too early"), ("x" * 2_001, "longer"),
        ("(" * 51 + ")" * 51, "nested"), ("((a{100}){100}){100}", "too large"), ("(?x)a", "group"),
    ],
)  # fmt: skip
def test_a_pattern_that_cannot_be_used_says_why(pattern, says):
    with pytest.raises(RegexError) as caught:
        Regex(pattern)
    assert says in str(caught.value)
    assert caught.value.code == "bad_regex"


def generated(rng, depth):
    kind = rng.random()
    if depth == 0 or kind < 0.35:
        return rng.choice(["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", r"\S", "x"])
    if kind < 0.6:
        return generated(rng, depth - 1) + generated(rng, depth - 1)
    if kind < 0.72:
        return f"(?:{generated(rng, depth - 1)}|{generated(rng, depth - 1)})"
    if kind < 0.85:
        return f"({generated(rng, depth - 1)})"
    if kind < 0.95:
        # A repeated part that may be empty is where engines differ among themselves; it begins with a character here.
        return f"(?:{rng.choice('abx.')}{generated(rng, depth - 1)})" + rng.choice(
            ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?", "{1,}"]
        )
    return rng.choice(["^", "$", r"\b"]) + generated(rng, depth - 1)


def test_it_agrees_with_python_on_2000_random_patterns():
    rng = random.Random(20_261_120)
    for _ in range(2_000):
        pattern = generated(rng, 4)
        text = "".join(rng.choice("abcx1 \nA") for _ in range(rng.randint(0, 12)))
        flags = re.IGNORECASE if rng.random() < 0.2 else 0
        wanted = re.search(pattern.replace("$", r"\Z"), text, re.ASCII | flags)
        found = spans(pattern, text, ignore_case=bool(flags))
        assert (found[:2] if found else None) == (wanted.span() if wanted else None), (pattern, text)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a|a)*b",
        "(a|aa)+$b",
        "(.*)(.*)(.*)b",
        "(a*)*b",
        "(x+x+)+y",
        "(a?){50}a{50}b",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
    ],
)
def test_time_grows_with_the_text_and_no_faster(pattern):
    short, long = charged(pattern, "a" * 500), charged(pattern, "a" * 2_000)
    assert long <= 4.2 * short


def test_the_program_is_bounded():
    assert len(Regex("a{900}b{900}").code) <= PROGRAM_MAX


def test_a_compiled_pattern_costs_the_same_again():
    costs = []
    for _ in range(2):
        moves = []
        regex_of("a{5}[bc]", moves.append)
        costs.append(sum(moves))
    assert costs[0] == costs[1] > 8


def test_all_matches_do_not_overlap_and_empty_ones_go_on():
    found = list(Regex("a*").matches("baac", lambda _: None))
    assert [span[:2] for span in found] == [match.span() for match in re.finditer("a*", "baac")]
