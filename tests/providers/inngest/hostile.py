"""Mutations of Inngest's calls: signature, time, key, body, method."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import random

from tests.providers.hostile import Attempt, changed_text
from tests.providers.inngest.test_calls import DATA, body_of
from tests.providers.qstash.harness import Ledger

from cgk_jobs.clock import SystemClock
from cgk_jobs.providers.inngest.canonical import canonical
from cgk_jobs.providers.inngest.provider import PATH, InngestProvider
from cgk_jobs.providers.provider import Plan, PlannedTask
from cgk_jobs.wire.json import loads

KEY, FALLBACK, FORMER = "ab" * 32, "cd" * 32, "ef" * 32
FUNCTION = "cgk-default-queue-default"
_numbers = itertools.count()


class _Target:
    def __init__(self) -> None:
        self._ledger = Ledger()
        provider = InngestProvider.from_settings(
            {
                "INNGEST_EVENT_KEY": "an-event-key-of-some-characters",
                "INNGEST_SIGNING_KEY": f"signkey-prod-{KEY}",
                "INNGEST_SIGNING_KEY_FALLBACK": f"signkey-prod-{FALLBACK}",
                "JOBS_PUBLIC_URL": "https://shop.example/jobs",
            }
        )
        provider.learn(Plan("default", [PlannedTask("sync", "default", 3.0, 1, None)], []))
        self._app = provider.routes(self._ledger.deliver, self._ledger.drain)[PATH]

    def accepted(self) -> int:
        return len(self._ledger.calls)

    def good(self) -> Attempt:
        return self._signed("good", body_of(FUNCTION, {**DATA, "wakeup": f"w{next(_numbers)}"}))

    def _signed(
        self, what: str, body: bytes, *, key: str = KEY, age: int = 0, signed: bytes | None = None, method: str = "POST"
    ) -> Attempt:
        timestamp = str(SystemClock().micros() // 1_000_000 - age)
        of = canonical(signed if signed is not None else body) or body
        mac = hmac.new(key.encode(), of + timestamp.encode(), hashlib.sha256).hexdigest()
        headers = [(b"host", b"shop.example"), (b"x-inngest-signature", f"t={timestamp}&s={mac}".encode())]
        query = f"fnId={FUNCTION}&stepId=step".encode()
        return Attempt(self._app, what, headers, body, method=method, path=f"/jobs{PATH}", query=query)

    def mutate(self, attempt: Attempt, chance: random.Random) -> Attempt:
        kinds = [self._body, self._header, self._missing, self._twice, self._key, self._time, self._tenant, self._method,
                 self._broken_off, self._other_time, self._form]  # fmt: skip
        return chance.choice(kinds)(attempt, chance)

    def _body(self, attempt: Attempt, chance: random.Random) -> Attempt:
        while True:
            body = changed_text(attempt.body, chance)
            # Other white space or order is the same body in the form that is signed.
            if canonical(body) != canonical(attempt.body):
                return self._signed("body", body, signed=attempt.body)

    def _header(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "header"
        name, value = attempt.headers[1]
        attempt.headers[1] = name, changed_text(value, chance)
        return attempt

    def _missing(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "missing"
        names = [b"x-inngest-signature-v2", b"inngest-signature", b"authorization", b"x-signature"]
        attempt.headers[1] = chance.choice(names), attempt.headers[1][1]
        return attempt

    def _twice(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "twice"
        name, value = attempt.headers[1]
        attempt.headers.insert(chance.randrange(3), (name.upper(), changed_text(value, chance)))
        return attempt

    def _key(self, attempt: Attempt, chance: random.Random) -> Attempt:
        near = changed_text(KEY.encode(), chance).decode("latin-1").rstrip("\0")
        key = FORMER if near in (KEY, FALLBACK) else near
        return self._signed(
            "key", attempt.body, key=chance.choice([key, FORMER, f"signkey-prod-{KEY}", "", KEY.upper()])
        )

    def _time(self, attempt: Attempt, chance: random.Random) -> Attempt:
        age = chance.choice([302, -303, 86_400, -86_400, 302 + chance.randrange(10**7)])
        return self._signed("time", attempt.body, age=age)

    def _other_time(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "other time"
        name, value = attempt.headers[1]
        timestamp, _, mac = value[2:].partition(b"&")
        attempt.headers[1] = name, b"t=%d&%s" % (int(timestamp) + chance.choice([-60, -1, 1, 60]), mac)
        return attempt

    def _form(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "form"
        name, value = attempt.headers[1]
        changed = chance.choice([b"s=%s", b"t=&%s", b"%s&s=", b"%s&t=1", b" %s", b"%s ", b"T=%s", b"%s\x00"]) % value
        attempt.headers[1] = name, changed
        return attempt

    def _tenant(self, attempt: Attempt, chance: random.Random) -> Attempt:
        other = chance.choice(["acme", "platform", "rawdog ", "", "*", "' OR 1=1 --", "rawdog\u0000"])
        data = {**loads(attempt.body)["event"]["data"], "tenant": other}
        return self._signed("tenant", body_of(FUNCTION, data), signed=attempt.body)

    def _method(self, attempt: Attempt, chance: random.Random) -> Attempt:
        return self._signed(
            "method", attempt.body, method=chance.choice(["PATCH", "DELETE", "HEAD", "OPTIONS", "post"])
        )

    def _broken_off(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "broken off"
        end = chance.randrange(len(attempt.body))
        attempt.messages = [{"type": "http.request", "body": attempt.body[:end], "more_body": chance.random() < 0.8}]
        return attempt


def make_target() -> _Target:
    """The endpoint, the vendor's own behind it."""
    return _Target()
