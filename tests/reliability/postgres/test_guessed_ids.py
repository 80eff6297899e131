"""A tenant that knows or guesses ids of others' runs (S31)."""

from __future__ import annotations

from tests.reliability.postgres.guessing import guess
from tests.servers.postgres import LedgerDatabase


async def test_s31_ids_of_others_are_as_unknown_as_any(postgres_database: LedgerDatabase) -> None:
    await guess(postgres_database, calls=2_000, seed=31)
