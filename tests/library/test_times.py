"""Times of day in time zones: days on which a time is skipped or comes twice, and days that are skipped whole."""

import pytest

from treadle.library.times import next_time_of_day


@pytest.mark.parametrize(
    "after,time_of_day,zone,instant,date",
    [
        ("2026-01-01T00:00:00Z", "06:00", "UTC", "2026-01-01T06:00:00.000Z", "2026-01-01"),
        ("2026-01-01T06:00:00Z", "06:00", "UTC", "2026-01-02T06:00:00.000Z", "2026-01-02"),
        ("2026-01-01T00:00:00+13:00", "09:00", "Pacific/Auckland", "2025-12-31T20:00:00.000Z", "2026-01-01"),
        # Clocks go forward from 2 to 3: half past two is not shown, half past three is.
        ("2026-03-28T20:00:00Z", "02:30", "Europe/Zurich", "2026-03-29T01:00:00.000Z", "2026-03-29"),
        ("2026-03-28T20:00:00Z", "03:30", "Europe/Zurich", "2026-03-29T01:30:00.000Z", "2026-03-29"),
        # By half an hour, on the other side.
        ("2026-10-03T14:00:00Z", "02:15", "Australia/Lord_Howe", "2026-10-03T15:30:00.000Z", "2026-10-04"),
        # Clocks go back from 3 to 2: the first half past two, and once only.
        ("2026-10-24T20:00:00Z", "02:30", "Europe/Zurich", "2026-10-25T00:30:00.000Z", "2026-10-25"),
        ("2026-10-25T00:30:00Z", "02:30", "Europe/Zurich", "2026-10-26T01:30:00.000Z", "2026-10-26"),
        # At midnight.
        ("2018-11-03T12:00:00Z", "00:00", "America/Sao_Paulo", "2018-11-04T03:00:00.000Z", "2018-11-04"),
    ],
)
def test_the_next_time_of_day(after: str, time_of_day: str, zone: str, instant: str, date: str):
    assert next_time_of_day(after, time_of_day, zone) == {"instant": instant, "date": date}


@pytest.mark.parametrize(
    "after,time_of_day,zone,message",
    [
        ("2026-01-01T00:00:00Z", "25:00", "UTC", "no time of day"),
        ("2026-01-01T00:00:00", "06:00", "UTC", "has no zone"),
        ("2026-01-01T00:00:00Z", "06:00", "Mars/Olympus", "no time zone 'Mars/Olympus'"),
        ("2026-01-01T00:00:00Z", "06:00", "../etc/passwd", "no time zone"),
        ("2026-01-01T00:00:00Z", "06:00", "", "no time zone"),
    ],
)
def test_what_is_no_time_or_zone_is_told(after: str, time_of_day: str, zone: str, message: str):
    with pytest.raises(ValueError, match=message):
        next_time_of_day(after, time_of_day, zone)
