"""Mutations of QStash's calls: body, signature, its claims, its keys, its algorithm, the address, the time, the tenant."""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime

from tests.providers.hostile import Attempt, changed_text
from tests.providers.qstash.harness import Ledger, provider_of

from cgk_jobs.clock import ManualClock
from cgk_jobs.testing.peers.qstash import sign
from cgk_jobs.wire.json import dumps, loads

__all__ = ["make_target"]

CURRENT, NEXT, FORMER = (f"sig_{letter * 28}" for letter in "cnf")
ORIGIN = "https://shop.example/jobs"
PATHS = ("/providers/qstash", "/providers/qstash/failed", "/providers/qstash/clock")


class _Target:
    def __init__(self) -> None:
        self._clock = ManualClock(datetime(2026, 11, 25, 12, tzinfo=UTC))
        self._ledger = Ledger()
        environment = {
            "QSTASH_TOKEN": base64.b64encode(b"a token of forty and more characters").decode(),
            "QSTASH_CURRENT_SIGNING_KEY": CURRENT,
            "QSTASH_NEXT_SIGNING_KEY": NEXT,
            "JOBS_PUBLIC_URL": ORIGIN,
        }
        self._routes = provider_of(environment, clock=self._clock).routes(self._ledger.deliver, self._ledger.drain)
        self._numbers = itertools.count(1)

    def accepted(self) -> int:
        return len(self._ledger.calls) + len(self._ledger.drained)

    def good(self) -> Attempt:
        # What was seen is forgotten after five minutes, as it would be.
        self._clock.advance(0.01)
        number = next(self._numbers)
        path = PATHS[number % 2 * 2]
        body = dumps(
            {"v": 1, "wakeup": f"w{number:025d}", "queue": "q", "tenant": "rawdog", "run": f"r{number}", "task": "t"}
        ).encode()
        key = (CURRENT, NEXT)[number % 3 == 0]
        # Nothing is left to chance but what the seed decides, so that a finding can be looked at again.
        token = sign(key, ORIGIN + path, body, self._now(), jti=f"jwt_{number:028d}")
        return self._attempt("good", path, body, token)

    def mutate(self, attempt: Attempt, chance: random.Random) -> Attempt:
        return chance.choice(self._mutations())(attempt, chance)

    def _now(self) -> float:
        return self._clock.micros() / 1e6

    def _attempt(self, what: str, path: str, body: bytes, token: str | bytes) -> Attempt:
        text = token.encode("latin-1", "replace") if isinstance(token, str) else token
        return Attempt(self._routes[path], what, [(b"upstash-signature", text)], body, path=path)

    def _mutations(self) -> list[Callable[[Attempt, random.Random], Attempt]]:
        return [
            self._body,
            self._body,
            self._token,
            self._token,
            self._part,
            self._claims,
            self._header,
            self._key,
            self._address,
            self._time,
            self._tenant,
            self._missing,
            self._twice,
            self._method,
            self._length,
            self._broken_off,
            self._elsewhere,
        ]

    def _body(self, attempt: Attempt, chance: random.Random) -> Attempt:
        return self._attempt("body", attempt.path, changed_text(attempt.body, chance), attempt.headers[0][1])

    def _token(self, attempt: Attempt, chance: random.Random) -> Attempt:
        return self._attempt("token", attempt.path, attempt.body, changed_text(attempt.headers[0][1], chance))

    def _part(self, attempt: Attempt, chance: random.Random) -> Attempt:
        parts = attempt.headers[0][1].split(b".")
        place = chance.randrange(3)
        parts[place] = changed_text(parts[place], chance)
        return self._attempt("part of a token", attempt.path, attempt.body, b".".join(parts))

    def _claims(self, attempt: Attempt, chance: random.Random) -> Attempt:
        """Other claims under the signature of the former ones."""
        head, payload, mac = attempt.headers[0][1].split(b".")
        claims = loads(base64.urlsafe_b64decode(payload + b"=="))
        name = chance.choice(sorted(claims))
        claims[name] = chance.choice(["x", 0, None, [], {}, 1e308, -1, True, "9" * 300, claims[name] * 2])
        if chance.random() < 0.3:
            del claims[name]
        other = base64.urlsafe_b64encode(dumps(claims).encode()).rstrip(b"=")
        return self._attempt("claims", attempt.path, attempt.body, b".".join((head, other, mac)))

    def _header(self, attempt: Attempt, chance: random.Random) -> Attempt:
        """Another algorithm, under a signature with a good key."""
        algorithm = chance.choice(["none", "None", "HS384", "HS512", "RS256", "", "hs256", "HS256 "])
        token = sign(CURRENT, ORIGIN + attempt.path, attempt.body, self._now(), alg=algorithm)
        if chance.random() < 0.3:
            token = token.rpartition(".")[0] + "."
        return self._attempt("algorithm", attempt.path, attempt.body, token)

    def _key(self, attempt: Attempt, chance: random.Random) -> Attempt:
        near = changed_text(CURRENT.encode(), chance).decode("latin-1")
        key = chance.choice([FORMER, near, "", ORIGIN, CURRENT + NEXT, NEXT[4:]])
        if key in (CURRENT, NEXT) or key.rstrip("\0") in (CURRENT, NEXT):
            key = FORMER  # zeros at a key's end change no HMAC
        token = sign(key, ORIGIN + attempt.path, attempt.body, self._now())
        return self._attempt("key", attempt.path, attempt.body, token)

    def _address(self, attempt: Attempt, chance: random.Random) -> Attempt:
        own = ORIGIN + attempt.path
        url = chance.choice(
            [
                changed_text(own.encode(), chance).decode("latin-1"),
                own + "/",
                own + "?",
                own.upper(),
                own.replace("https", "http"),
                own.replace("shop.example", "shop.example."),
                own.replace("shop.example", "evil.example"),
                own.replace("/jobs", "//jobs"),
                *(ORIGIN + path for path in PATHS if path != attempt.path),
            ]
        )
        return self._attempt("address", attempt.path, attempt.body, sign(CURRENT, url, attempt.body, self._now()))

    def _time(self, attempt: Attempt, chance: random.Random) -> Attempt:
        away = chance.choice([-301, -86_400, -301 - chance.randrange(10**8), 62, 3_600, 62 + chance.randrange(10**8)])
        token = sign(CURRENT, ORIGIN + attempt.path, attempt.body, self._now() + away)
        if chance.random() < 0.3:
            token = sign(CURRENT, ORIGIN + attempt.path, attempt.body, self._now() + away, exp=10**12)
        return self._attempt("time", attempt.path, attempt.body, token)

    def _tenant(self, attempt: Attempt, chance: random.Random) -> Attempt:
        other = chance.choice(["acme", "platform", "rawdog ", "", "*", "' OR 1=1 --", "rawdog\u0000", "RAWDOG"])
        body = dumps({**loads(attempt.body), "tenant": other}).encode()
        return self._attempt("tenant", attempt.path, body, attempt.headers[0][1])

    def _missing(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "no signature"
        names = [b"authorization", b"x-upstash-signature", b"upstash_signature", b"upstash-signature-v2", b"signature"]
        attempt.headers = [(chance.choice(names), attempt.headers[0][1])]
        return attempt

    def _twice(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "two signatures"
        other = (
            chance.choice([b"upstash-signature", b"Upstash-Signature"]),
            changed_text(attempt.headers[0][1], chance),
        )
        attempt.headers = [other, *attempt.headers] if chance.random() < 0.5 else [*attempt.headers, other]
        return attempt

    def _method(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "method"
        attempt.method = chance.choice(["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "post", "TRACE"])
        return attempt

    def _length(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "length"
        own = len(attempt.body)
        length = chance.choice(["-1", "x", "", " ", "1e3", "٣", "9" * 5_000, str(own + 1), str(own - 1), "0"])
        attempt.headers.append((b"content-length", length.encode()))
        return attempt

    def _broken_off(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "broken off"
        end = chance.randrange(len(attempt.body))
        attempt.messages = [{"type": "http.request", "body": attempt.body[:end], "more_body": chance.random() < 0.8}]
        return attempt

    def _elsewhere(self, attempt: Attempt, chance: random.Random) -> Attempt:
        """A good call, at another of this application's endpoints."""
        path = chance.choice([path for path in PATHS if path != attempt.path])
        return self._attempt("another endpoint", path, attempt.body, attempt.headers[0][1])


def make_target() -> _Target:
    """QStash's three endpoints."""
    return _Target()
