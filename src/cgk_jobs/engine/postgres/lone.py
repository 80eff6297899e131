"""The most common send of all, one event that makes one plain run, by the shortest way.

Behind a caller that waits for each send, everything a process does between two statements is done with cold caches and costs
several times what a benchmark of it alone says. So what such a send can't need is not looked at: quotas, flow control, waits
for events, priorities, several listeners.
"""

from __future__ import annotations

from collections.abc import Sequence

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.records import NewEvent, Stored, Subscription
from cgk_jobs.wire.ids import Nonces

__all__ = ["LoneSends"]

_NO_OPTIONS = NewEvent("", "", 1, "")[4:]


class LoneSends:
    """Stores single events; what is not plain enough is left to ``Sending``."""

    def __init__(self, database: Database, configuration: Configuration, placing: Placing, nonces: Nonces) -> None:
        self._database = database
        self._configuration = configuration
        self._placing = placing
        self._nonces = nonces

    def target(self, events: Sequence[NewEvent]) -> Subscription | None:
        """The one task that gets a run, if there is no more to it as far as memory tells."""
        if len(events) != 1:
            return None
        (event,) = events
        if event[4:] != _NO_OPTIONS:
            return None
        configuration = self._configuration
        if event.tenant_id not in configuration.seen or configuration.has_exceptions(event.tenant_id):
            return None
        return configuration.alone.get(event.name)

    async def store(self, event: NewEvent, target: Subscription) -> Stored | None:
        """Store it with its run; ``None`` if nothing was stored, since the settings or the tenant's clock must be read anew."""
        version = self._configuration.version
        with self._placing.giving() as places:
            vstart, unsure = places.place(target.queue, event.tenant_id, 0)
            if unsure:
                places.unused()
                return None
            nonce = self._nonces.draw()
            tenant_id, name, event_version, payload = event[:4]
            expires = None if target.expires is None else round(target.expires * 1e6)
            event_seq: int | None = await self._database.value(
                "insert_lone", version, self._database.now, nonce, vstart,
                tenant_id, target.task, target.queue, name, event_version, payload, expires, target.tags,
            )  # fmt: skip
            if event_seq is None:
                places.unused()
                return None
        return Stored(event_seq, nonce, (event_seq + 1,))
