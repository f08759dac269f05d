"""Durations (language.md §6): text with units, from large to small; nothing else."""

import pytest

from treadle.core.durations import DurationError, parse_duration_ms


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("1d2h3m4s5ms", 93_784_005), ("0s", 0), ("90m", 5_400_000),
        ("1m500ms", 60_500), ("36500d", 36_500 * 86_400_000),
    ],
)  # fmt: skip
def test_a_duration_is_milliseconds(text, wanted):
    assert parse_duration_ms(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90",
        "1.5h",
        "-5s",
        "5",
        "s",
        "1 h",
        "30s1m",
        "1m1m",
        "1w",
        "PT1H",
        "\uff15s",
        "1h ",
        "\n1h",
        "1h\n",
        "9" * 20 + "s",
        "99999999d",
        "1H",
    ],
)
def test_anything_else_is_an_error(text):
    with pytest.raises(DurationError):
        parse_duration_ms(text)


def test_a_number_without_unit_gets_the_hint():
    with pytest.raises(DurationError, match="write `90s`"):
        parse_duration_ms("90")
