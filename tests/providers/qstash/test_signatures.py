"""Who is let in, once, and who is not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
from qstash import Receiver
from tests.providers.qstash.harness import Ledger, ask, provider_of

from cgk_jobs.clock import ManualClock, SystemClock, from_micros
from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.providers.provider import AsgiApp
from cgk_jobs.testing.peers.qstash import sign
from cgk_jobs.wire.replays import SeenHere

CURRENT, NEXT, FORMER = (f"sig_{letter * 28}" for letter in "cnf")
URL = "https://shop.example/jobs/providers/qstash"
BODY = b'{"v":1,"wakeup":"w1","queue":"q","tenant":"rawdog","run":"r1","task":"t"}'
ENVIRONMENT = {
    "QSTASH_TOKEN": base64.b64encode(b"a token of forty and more characters").decode(),
    "QSTASH_CURRENT_SIGNING_KEY": CURRENT,
    "QSTASH_NEXT_SIGNING_KEY": NEXT,
    "JOBS_PUBLIC_URL": "https://shop.example/jobs",
}


class Door:
    """The endpoint, at a clock that stands still."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock(datetime(2026, 11, 25, 12, tzinfo=UTC))
        self.ledger = Ledger()
        provider = provider_of(ENVIRONMENT, clock=self.clock, **options)
        self.app: AsgiApp = provider.routes(self.ledger.deliver, self.ledger.drain)["/providers/qstash"]

    def token(self, key: str = CURRENT, url: str = URL, **claims: Any) -> str:
        return sign(key, url, BODY, self.clock.micros() / 1e6, **claims)

    async def knock(self, token: str | None, body: bytes = BODY, **options: Any) -> int:
        headers = {} if token is None else {"Upstash-Signature": token}
        status, given, content = await ask(self.app, body, headers, **options)
        assert status == 200 or content == b"", "who is refused is told nothing"
        assert set(given) <= {"content-length", "content-type", "cache-control", "allow"}
        return status


@pytest.mark.parametrize("key", [CURRENT, NEXT])
async def test_both_keys_open(key: str) -> None:
    door = Door()
    assert await door.knock(door.token(key)) == 200
    assert len(door.ledger.calls) == 1


@pytest.mark.parametrize("key", [FORMER, "", "sig_", CURRENT[:-1], CURRENT + "c", CURRENT.upper()])
async def test_no_other_key_opens(key: str) -> None:
    door = Door()
    assert await door.knock(door.token(key)) == 401
    assert door.ledger.calls == []


@pytest.mark.parametrize(
    ("age", "status"),
    [(0, 200), (299, 200), (300, 401), (301, 401), (86_400, 401), (-59, 200), (-61, 401), (-86_400, 401)],
)
async def test_the_time_window(age: int, status: int) -> None:
    door = Door()
    token = door.token()
    door.clock.advance(age)
    assert await door.knock(token) == status


async def test_a_long_life_does_not_help_an_old_token() -> None:
    door = Door()
    token = door.token(exp=int(door.clock.micros() / 1e6) + 86_400)
    door.clock.advance(301)
    assert await door.knock(token) == 401
    assert door.ledger.calls == []


@pytest.mark.parametrize(
    "claims",
    [
        {"alg": "none"},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {"iss": "upstash"},
        {"iss": None},
        {"sub": None},
        {"sub": "https://evil.example/jobs/providers/qstash"},
        {"sub": URL + "/"},
        {"sub": [URL]},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"nbf": None},
        {"iat": None},
        {"iat": 1e400},
        {"jti": None},
        {"jti": ""},
        {"jti": "j" * 257},
        {"jti": 7},
        {"body": None},
        {"body": ""},
        {"body": "=" * 44},
        {"body": base64.b64encode(hashlib.sha256(b"other").digest()).decode()},
        {"body": hashlib.sha256(BODY).hexdigest()},
        {"body": 7},
    ],
)
async def test_a_good_key_is_not_enough(claims: dict[str, Any]) -> None:
    door = Door()
    assert await door.knock(door.token(**claims)) == 401
    assert door.ledger.calls == []


@pytest.mark.parametrize("padded", [True, False])
async def test_the_hash_of_the_body_may_be_padded(padded: bool) -> None:
    text = base64.urlsafe_b64encode(hashlib.sha256(BODY).digest()).decode()
    assert text.endswith("=")
    door = Door()
    assert await door.knock(door.token(body=text if padded else text.rstrip("="))) == 200


@pytest.mark.parametrize(
    "token",
    [None, "", ".", "..", "...", "a.b.c", "a" * 100_000, "é.é.é", "eyJhbGciOiJub25lIn0.e30."],
)
async def test_what_is_no_token(token: str | None) -> None:
    door = Door()
    assert await door.knock(token) == 401


async def test_a_token_is_good_as_it_is_written_and_not_otherwise() -> None:
    door = Door()
    head, payload, mac = door.token().split(".")
    # The last letter of a MAC has two bits that say nothing: four texts decode to the same bytes.
    twin = "".join(mac[:-1]) + chr(ord(mac[-1]) + 1)
    for token in (
        f"{head}.{payload}.{twin}",
        f"{head}.{payload}.{mac}=",
        f"{head}.{payload}.{mac}.",
        f" {head}.{payload}.{mac}",
        f"{head}.{payload}.{mac}\n",
        f"Bearer {head}.{payload}.{mac}",
        f"{head}=.{payload}.{mac}",
    ):
        assert await door.knock(token) == 401
    assert await door.knock(f"{head}.{payload}.{mac}") == 200


async def test_two_tokens_are_none() -> None:
    door = Door()
    headers = [(b"upstash-signature", door.token().encode()), (b"upstash-signature", door.token().encode())]
    assert (await ask(door.app, BODY, headers))[0] == 401
    assert door.ledger.calls == []


async def test_a_good_call_replayed_ten_thousand_times_counts_once() -> None:
    """Over an hour: at first the table refuses it, then its age."""
    door = Door()
    token = door.token()
    answers = []
    for _ in range(10_000):
        answers.append(await door.knock(token))
        door.clock.advance(0.36)
    assert answers == [200] + [401] * 9_999
    assert len(door.ledger.calls) == 1


async def test_many_at_the_same_moment_count_once() -> None:
    door = Door()
    token = door.token()
    answers = await asyncio.gather(*(door.knock(token) for _ in range(200)))
    assert sorted(answers) == [200] + [401] * 199
    assert len(door.ledger.calls) == 1


async def test_processes_that_share_what_was_seen_take_a_call_once() -> None:
    clock = ManualClock(datetime(2026, 11, 25, 12, tzinfo=UTC))
    seen = SeenHere(clock)
    doors = [Door(seen=seen) for _ in range(3)]
    token = doors[0].token()
    assert sorted([await door.knock(token) for door in doors]) == [200, 401, 401]


async def test_what_is_seen_is_forgotten_when_it_is_worth_nothing_any_more() -> None:
    clock = ManualClock(datetime(2026, 11, 25, 12, tzinfo=UTC))
    now = clock.micros()
    seen = SeenHere(clock, most=3)
    for n in range(3):
        assert await seen.first(f"k{n}", now + 100_000_000 * (n + 1))
    with pytest.raises(ProviderUnavailable):
        await seen.first("k3", now + 300_000_000)
    clock.advance(101)
    assert await seen.first("k3", now + 400_000_000)
    assert [await seen.first(f"k{n}", now + 400_000_000) for n in (1, 2, 3)] == [False] * 3


async def test_a_token_is_remembered_as_long_as_it_is_good() -> None:
    class Asked:
        async def first(self, key: str, until: int) -> bool:
            asked.append((key, until))
            return True

    asked: list[tuple[str, int]] = []
    door = Door(seen=Asked())
    assert await door.knock(door.token(jti="jwt_1")) == 200
    assert asked == [("qstash:jwt_1", door.clock.micros() + 300_000_000)]


async def test_the_body_is_read_only_after_the_token_and_only_so_far() -> None:
    door = Door()

    async def never() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    statuses: list[int | None] = []
    headers = [(b"upstash-signature", door.token(FORMER).encode()), (b"content-length", b"10")]
    await door.app({"type": "http", "method": "POST", "path": "/", "headers": headers}, never, send)
    long = [(b"upstash-signature", door.token().encode()), (b"content-length", b"1000000")]
    await door.app({"type": "http", "method": "POST", "path": "/", "headers": long}, never, send)
    assert statuses == [401, None, 413, None]


@pytest.mark.parametrize(
    ("messages", "length", "status"),
    [
        ([{"body": b"x" * 200_000, "more_body": True}, {"body": b"x" * 200_000}], None, 413),
        ([{"body": BODY[:9], "more_body": True}, {"type": "http.disconnect"}], None, 400),
        ([{"body": BODY[:9]}], str(len(BODY)), 400),
        ([{"body": BODY}], "9" * 5_000, 413),
        ([{"body": BODY}], "-1", 400),
        ([{"body": BODY}], "ten", 400),
        ([{"body": BODY[:9]}], None, 401),
        ([{"body": BODY + b" "}], None, 401),
        ([{"body": BODY[:9], "more_body": True}, {"body": BODY[9:]}], str(len(BODY)), 200),
    ],
)
async def test_bodies_too_long_broken_off_and_in_pieces(
    messages: list[dict[str, Any]], length: str | None, status: int
) -> None:
    door = Door()
    headers = [(b"upstash-signature", door.token().encode())]
    if length is not None:
        headers.append((b"content-length", length.encode()))
    incoming = [{"type": "http.request", **message} for message in messages]
    answered, _, _ = await ask(door.app, b"", headers, messages=incoming)
    assert answered == status
    assert len(door.ledger.calls) == (status == 200)


async def test_other_methods() -> None:
    door = Door()
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        assert await door.knock(door.token(), method=method) == 405
    assert door.ledger.calls == []


async def test_the_log_says_why_and_shows_no_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    door = Door()
    token, forged, late = door.token(url="https://proxy.internal/x"), door.token(FORMER), door.token()
    await door.knock(token)
    await door.knock(forged)
    door.clock.advance(301)
    await door.knock(late)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in said] == ["WARNING", "INFO", "WARNING"]
    assert "JOBS_PUBLIC_URL" in said[0][1]
    assert "fits neither key" in said[1][1]
    assert "too old" in said[2][1]
    for piece in {*token.split("."), *forged.split("."), *late.split(".")} - {token.split(".")[0]}:
        assert piece not in caplog.text


async def test_what_the_vendors_reader_lets_through_and_this_one_does_not() -> None:
    door = Door()
    door.clock.set(from_micros(SystemClock().micros()))  # the vendor's reader asks the machine
    now = int(door.clock.micros() / 1e6)
    eternal = door.token(exp=now + 10 * 365 * 86_400)
    reader = Receiver(CURRENT, NEXT)
    for _ in range(2):
        reader.verify(signature=eternal, body=BODY.decode(), url=URL)
    assert [await door.knock(eternal) for _ in range(2)] == [200, 401]
    with pytest.raises(KeyError):
        reader.verify(signature=door.token(body=None), body=BODY.decode(), url=URL)
    assert await door.knock(secrets.token_urlsafe(40)) == 401
