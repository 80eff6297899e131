"""Mutations of the calls of generated tasks: signature, time, nonce, body, path."""

from __future__ import annotations

import itertools
import random

from tests.providers.hostile import Attempt, changed_text
from tests.providers.qstash.harness import Ledger

from cgk_jobs.clock import SystemClock
from cgk_jobs.providers.trigger_dev.dispatch import CLOCK_PATH, PATH
from cgk_jobs.providers.trigger_dev.provider import TriggerDevProvider
from cgk_jobs.wire.json import dumps, loads
from cgk_jobs.wire.request_signing import NONCE, SIGNATURE, TIMESTAMP, RequestSigner

NEW, OLD, FORMER = (
    "a-signing-key-of-thirty-two-characters",
    "the-one-before-it-of-thirty-two-chars",
    "long-gone-and-forgotten-for-good-now",
)
PATHS = (PATH, CLOCK_PATH)
_numbers = itertools.count()


class _Target:
    def __init__(self) -> None:
        self._ledger = Ledger()
        self._provider = TriggerDevProvider.from_settings(
            {
                "TRIGGER_SECRET_KEY": "tr_prod_" + "a1" * 16,
                "JOBS_PUBLIC_URL": "https://shop.example/jobs",
                "JOBS_SIGNING_KEY": f"{NEW},{OLD}",
            }
        )
        self._routes = self._provider.routes(self._ledger.deliver, self._ledger.drain)

    def accepted(self) -> int:
        return len(self._ledger.calls) + len(self._ledger.drained)

    def good(self) -> Attempt:
        number = next(_numbers)
        body = dumps(
            {
                "v": 1,
                "wakeup": f"w{number}",
                "queue": "default",
                "tenant": "rawdog",
                "run": f"r{number}",
                "task": "sync_order",
            }
        ).encode()
        return self._signed("good", PATHS[number % 2], body)

    def _signed(
        self, what: str, path: str, body: bytes, *, keys: tuple[str, ...] = (NEW,), age: int = 0, method: str = "POST",
        signed_path: str | None = None, signed_body: bytes | None = None,
    ) -> Attempt:  # fmt: skip
        now = SystemClock().micros() // 1_000_000 - age
        signer = RequestSigner([key.encode() for key in keys])
        headers = signer.sign(method, signed_path or f"/jobs{path}", body if signed_body is None else signed_body, now)
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        return Attempt(self._routes[path], what, lines, body, path=path)

    def mutate(self, attempt: Attempt, chance: random.Random) -> Attempt:
        kinds = [self._body, self._header, self._missing, self._twice, self._key, self._path, self._time, self._tenant,
                 self._method, self._broken_off, self._elsewhere, self._version]  # fmt: skip
        return chance.choice(kinds)(attempt, chance)

    def _body(self, attempt: Attempt, chance: random.Random) -> Attempt:
        return self._signed("body", attempt.path, changed_text(attempt.body, chance), signed_body=attempt.body)

    def _header(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "header"
        at = chance.randrange(3)
        name, value = attempt.headers[at]
        attempt.headers[at] = name, changed_text(value, chance)
        return attempt

    def _missing(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "missing"
        attempt.headers.pop(chance.randrange(3))
        return attempt

    def _twice(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "twice"
        name, value = chance.choice(attempt.headers)
        attempt.headers.insert(chance.randrange(4), (name.upper(), changed_text(value, chance)))
        return attempt

    def _key(self, attempt: Attempt, chance: random.Random) -> Attempt:
        near = changed_text(NEW.encode(), chance)[:64].decode("latin-1").rstrip("\0")
        key = near if len(near) >= 32 and near not in (NEW, OLD) else FORMER
        return self._signed("key", attempt.path, attempt.body, keys=(chance.choice([key, FORMER]),))

    def _path(self, attempt: Attempt, chance: random.Random) -> Attempt:
        own = f"/jobs{attempt.path}"
        other = chance.choice(
            [own + "/", attempt.path, own + "?x=1", own.upper(), "/" + own, "/jobs/providers/qstash", ""]
        )
        return self._signed("path", attempt.path, attempt.body, signed_path=other or "/")

    def _time(self, attempt: Attempt, chance: random.Random) -> Attempt:
        age = chance.choice([302, -303, 86_400, -86_400, 302 + chance.randrange(10**7)])
        return self._signed("time", attempt.path, attempt.body, age=age)

    def _tenant(self, attempt: Attempt, chance: random.Random) -> Attempt:
        other = chance.choice(["acme", "platform", "rawdog ", "", "*", "' OR 1=1 --", "rawdog\u0000"])
        body = dumps({**loads(attempt.body), "tenant": other}).encode()
        return self._signed("tenant", attempt.path, body, signed_body=attempt.body)

    def _method(self, attempt: Attempt, chance: random.Random) -> Attempt:
        made = self._signed("method", attempt.path, attempt.body)
        made.method = chance.choice(["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "post", "TRACE"])
        return made

    def _broken_off(self, attempt: Attempt, chance: random.Random) -> Attempt:
        attempt.what = "broken off"
        end = chance.randrange(len(attempt.body))
        attempt.messages = [{"type": "http.request", "body": attempt.body[:end], "more_body": chance.random() < 0.8}]
        return attempt

    def _elsewhere(self, attempt: Attempt, chance: random.Random) -> Attempt:
        (other,) = [path for path in PATHS if path != attempt.path]
        return self._signed("another endpoint", other, attempt.body, signed_path=f"/jobs{attempt.path}")

    def _version(self, attempt: Attempt, chance: random.Random) -> Attempt:
        values = {name.decode(): value.decode() for name, value in attempt.headers}
        changed = chance.choice(["v0=", "v2=", "V1=", "", "v1:", "v1= "])
        values[SIGNATURE] = values[SIGNATURE].replace("v1=", changed)
        names = (TIMESTAMP, NONCE, SIGNATURE)
        attempt.what, attempt.headers = "version", [(name.encode(), values[name].encode()) for name in names]
        return attempt


def make_target() -> _Target:
    """Both endpoints."""
    return _Target()
