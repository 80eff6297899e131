"""Mutations of the calls to ``/cron/…`` and ``/drain``: the secret, and how it is brought."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tests.providers.hostile import Attempt, changed_text

from cgk_jobs.providers.vercel_cron.receive import Guarded

SECRET, PREVIOUS, FORMER = (
    "a-secret-of-thirty-two-characters",
    "the-one-before-it-that-still-counts",
    "long-gone-and-forgotten",
)
GOOD = (f"Bearer {SECRET}".encode(), f"Bearer {PREVIOUS}".encode())


class _Target:
    def __init__(self) -> None:
        self._worked = 0
        self._app = Guarded([SECRET, PREVIOUS], self._work)

    async def _work(self) -> Mapping[str, int]:
        self._worked += 1
        return {"runs": 0, "left": 0}

    def accepted(self) -> int:
        return self._worked

    def good(self) -> Attempt:
        return self._attempt("good", [(b"authorization", GOOD[0])])

    def _attempt(self, what: str, headers: list[tuple[bytes, bytes]], method: str = "GET") -> Attempt:
        usual = [(b"user-agent", b"vercel-cron/1.0"), (b"x-vercel-cron-schedule", b"* * * * *")]
        return Attempt(self._app, what, [*usual, *headers], b"", method=method, path="/cron/tick")

    def mutate(self, attempt: Attempt, chance: random.Random) -> Attempt:
        kinds = [self._changed, self._cut, self._word, self._other, self._none, self._name, self._method, self._long,
                 self._case, self._spaces, self._doubled]  # fmt: skip
        return chance.choice(kinds)(chance)

    def _bearer(self, what: str, value: bytes) -> Attempt:
        return self._attempt(what, [(b"authorization", b"x" if value in GOOD else value)])

    def _changed(self, chance: random.Random) -> Attempt:
        return self._bearer("changed", changed_text(chance.choice(GOOD), chance))

    def _cut(self, chance: random.Random) -> Attempt:
        good = chance.choice(GOOD)
        return self._bearer("cut", good[: chance.randrange(len(good))])

    def _word(self, chance: random.Random) -> Attempt:
        word = chance.choice([b"Basic ", b"bearer ", b"BEARER ", b"Token ", b"", b"Bearer", b"Bearer: ", b"Bearer\t"])
        return self._bearer("word", word + SECRET.encode())

    def _other(self, chance: random.Random) -> Attempt:
        return self._bearer("other secret", b"Bearer " + chance.choice([FORMER.encode(), b"", b"None", b"null", b"*"]))

    def _none(self, chance: random.Random) -> Attempt:
        return self._attempt("none", [])

    def _name(self, chance: random.Random) -> Attempt:
        names = [b"x-authorization", b"authorisation", b"cookie", b"proxy-authorization", b"x-vercel-signature"]
        return self._attempt("name", [(chance.choice(names), GOOD[0])])

    def _method(self, chance: random.Random) -> Attempt:
        methods = ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get", "TRACE"]
        return self._attempt("method", [(b"authorization", GOOD[0])], chance.choice(methods))

    def _long(self, chance: random.Random) -> Attempt:
        return self._bearer(
            "long", GOOD[0] + bytes(chance.randrange(1, 256) for _ in range(chance.randrange(1, 3_000)))
        )

    def _case(self, chance: random.Random) -> Attempt:
        return self._bearer("case", b"Bearer " + chance.choice([SECRET.upper(), SECRET.title()]).encode())

    def _spaces(self, chance: random.Random) -> Attempt:
        return self._bearer(
            "spaces", chance.choice([b" %s", b"%s ", b"%s\t", b"\xa0%s", b"%s,%s"]).replace(b"%s", GOOD[0])
        )

    def _doubled(self, chance: random.Random) -> Attempt:
        """Two headers: which of them counts is nobody's to choose, so neither does."""
        other = (b"authorization", changed_text(GOOD[0], chance))
        headers = [other, (b"authorization", GOOD[0])]
        chance.shuffle(headers)
        return self._attempt("doubled", headers)


def make_target() -> _Target:
    """Both endpoints are one application."""
    return _Target()
