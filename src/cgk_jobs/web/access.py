"""Who may do what through pages and API: what a login grants, and what is refused before anything is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from cgk_jobs.errors import InvalidEvent
from cgk_jobs.tenancy.ids import parse_tenant_id

__all__ = ["ACTIONS", "EVERYTHING", "Access", "Action", "Refused"]

Action = Literal["read", "payload", "send", "act"]
ACTIONS: frozenset[str] = frozenset(get_args(Action))
"""``read``: everything but payloads and results. ``payload``: these too, secrets masked. ``send``: events. ``act``: cancel,
retry, replay, pause, limit."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may see and do.

    ``tenants``: only these; ``None``: all, and what belongs to the installation (queues, schedules, workers). ``actions``:
    see ``ACTIONS``. ``run_id``: this run alone. ``who``: for the log. Raises ``InvalidEvent`` for an unknown action, a bad
    tenant, or none.
    """

    tenants: frozenset[str] | None
    actions: frozenset[str]
    run_id: str | None = None
    who: str = ""

    def __post_init__(self) -> None:
        unknown = self.actions - ACTIONS
        if unknown or not self.actions:
            raise InvalidEvent(f"actions {sorted(unknown)}: give at least one of {', '.join(sorted(ACTIONS))}")
        if self.tenants is not None:
            if not self.tenants:
                raise InvalidEvent("access to no tenant: name one at least, or None for all")
            for tenant_id in self.tenants:
                parse_tenant_id(tenant_id)

    def may(self, action: str) -> bool:
        """Whether the action is granted."""
        return action in self.actions

    def sees(self, tenant_id: str | None) -> bool:
        """Whether that tenant's rows are granted; ``None``: those of all tenants."""
        return self.tenants is None or tenant_id in self.tenants


EVERYTHING = Access(None, ACTIONS, who="operator")
"""What the operator's token grants, and a caller on this machine where no login is configured."""


class Refused(Exception):
    """A request is not served. The text says why and what to do; it never repeats what was sent."""

    def __init__(self, status: int, reason: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
