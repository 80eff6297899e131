"""One delivery of a run: which attempt holds it, and what it is to work on."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Claim", "RunKey"]


class RunKey(NamedTuple):
    """Which run: every row is found by its tenant and its number, never by the number alone."""

    tenant_id: str
    seq: int


class Claim(NamedTuple):
    """One attempt's hold on a run. ``token`` is the fence: it rises at every claim, and every write carries it.

    Moments are microseconds since 1970 UTC. ``vstart``, ``lane`` and ``jumped`` are its place in the fair order; ``slots``
    (JSON list of keys) are the concurrency limits it counts for. ``parent_seq`` is the run that called it, ``parent_step``
    the entry of that run's journal its outcome goes to, ``depth`` how many runs are above it. ``failing``: it has failed
    for good with this error, and its steps are being undone. ``order_key`` is the line others wait in behind it.
    """

    seq: int
    nonce: int
    token: int
    tenant_id: str
    task: str
    queue: str
    attempt: int
    event_seq: int
    event_name: str
    event_version: int
    payload: str
    tags: str
    expires_at: int | None
    vstart: float
    lane: int
    jumped: float
    created_at: int
    slots: str | None
    parent_seq: int | None = None
    parent_step: str | None = None
    depth: int = 0
    failing: str | None = None
    order_key: str | None = None

    @property
    def key(self) -> RunKey:
        """Where the run is found."""
        return RunKey(self.tenant_id, self.seq)
