"""How long a server asks to be left alone."""

from __future__ import annotations

import pytest

from cgk_jobs.wire.pauses import RetryRules, pause_by, seconds_of

NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (" 1.5 ", 1.5),
        ("6m5s", 365.0),
        ("1d2h", 93_600.0),
        ("250s", 250.0),
        ("0.5s", 0.5),
        ("Wed, 18 Nov 2026 11:07:40 GMT", 60.0),
        (str(int(NOW) + 30), 30.0),
        (str(int(NOW + 30) * 1000), 30.0),
        (str(int(NOW) - 30), 0.0),
        ("Wed, 18 Nov 2020 09:07:40 GMT", 0.0),
    ],
)
def test_each_form_that_servers_use(text: str, seconds: float) -> None:
    assert seconds_of(text, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-5",
        "5 minutes",
        "1e9",
        "nan",
        "inf",
        "99999999999999999999",
        "m",
        "Wed, 99 Nov 2026",
        "0x10",
        "400d",
        "٣",
    ],
)
def test_what_is_not_understood_is_none(text: str) -> None:
    assert seconds_of(text, NOW) is None


def test_the_first_header_that_can_be_read_counts() -> None:
    pause = pause_by("Retry-After", "x-ratelimit-reset")
    assert pause(429, {"x-ratelimit-reset": str(int(NOW * 1000) + 2_000)}, NOW) == pytest.approx(2.0)
    assert pause(429, {"retry-after": "soon", "x-ratelimit-reset": "7"}, NOW) == 7.0
    assert pause(429, {"retry-after": "3", "x-ratelimit-reset": "7"}, NOW) == 3.0
    assert pause(429, {}, NOW) is None


def test_waits_grow_to_the_maximum_and_never_shorten_what_was_asked_for() -> None:
    rules = RetryRules(initial=1.0, maximum=8.0)
    for tries, full in ((1, 1.0), (2, 2.0), (4, 8.0), (5, 8.0), (2_000, 8.0)):
        waits = [rules.wait(tries, None) for _ in range(200)]
        assert full / 2 <= min(waits) <= max(waits) <= full
        assert max(waits) - min(waits) > full / 8, "clients that failed together come back together"
    assert all(30.0 <= rules.wait(1, 30.0) <= 31.0 for _ in range(200))
