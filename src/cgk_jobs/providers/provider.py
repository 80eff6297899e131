"""The boundary of a provider: it wakes runs, the ledger holds them.

A provider hands *wake-ups* to whatever will ring when a run is due (a Redis queue, a vendor over HTTP), takes them back, and
passes each ring on to ``deliver``, which claims a run in the ledger, executes it and settles it. It knows no payload, no
result and no retry policy. What one wake-up is for is only a hint: it is a permit to claim one run of its queue, and the
ledger's fair order decides which. A doubled, late or forged wake-up can therefore do no harm, and a lost one is replaced.

To add a provider, implement ``JobProvider`` and name its factory in the entry point group ``cgk_jobs.providers``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from cgk_jobs.providers.capabilities import Capabilities

__all__ = [
    "Answer",
    "AsgiApp",
    "BoundsCalls",
    "Call",
    "Deliver",
    "Drain",
    "Handed",
    "Health",
    "JobProvider",
    "LearnsPlan",
    "Plan",
    "PlannedTask",
    "PlannedTick",
    "Receipt",
    "RingsAtOnce",
    "Setup",
    "SetupKey",
    "Wakeup",
]


class Wakeup(NamedTuple):
    """A permit to claim one run of ``queue``, to be rung at ``due_at``.

    ``id``: 26 characters of ``a-z 0-9``, starting with a letter; unique, and the key by which a vendor removes doubles.
    ``tenant_key``: the tenant's id, or a keyed hash of it where the installation shows vendors no names; for the vendor's
    own queues and filters alone. ``run_id``, ``task``: of the run it was made for. ``due_at``: microseconds since 1970 UTC;
    in the past: now. ``priority``: 0 to 100, higher first. ``payload``: JSON, only of a task with ``share_payload=True``.
    """

    id: str
    queue: str
    tenant_key: str
    run_id: str
    task: str
    due_at: int
    priority: int = 0
    payload: str | None = None


class Receipt(NamedTuple):
    """What became of a wake-up that was handed over.

    ``reference``: the vendor's name for it, which ``withdraw`` needs. ``refused``: why the vendor will never take it as it
    is (no payload, no secret in it); the run is then woken by the overdue sweep, and the reason is shown to operators.
    """

    wakeup_id: str
    reference: str = ""
    refused: str | None = None


class Handed(NamedTuple):
    """A wake-up at the vendor: what it is taken back by."""

    wakeup_id: str
    queue: str
    reference: str


class Call(NamedTuple):
    """A ring: what a vendor said when it woke the application, after its signature was checked.

    ``budget``: seconds the caller waits at most, ``None`` without such a limit.
    """

    wakeup_id: str
    queue: str
    tenant_key: str
    run_id: str
    task: str
    budget: float | None = None


class Answer(NamedTuple):
    """What a ring led to.

    ``settled``: an attempt ran and its outcome is in the ledger, whatever it was: the vendor is done (2xx). ``nothing``:
    there was nothing to claim, for a reason in ``detail`` (finished, paused, over a limit, not due): done as well (2xx).
    ``busy``: the run is held by a worker that lives, or this process has no slot free: ring again after ``retry_after``
    seconds (409). ``refused``: it names a wake-up, run, task or tenant that do not belong together, or a task nobody here
    knows (4xx, no use in trying again). ``outcome``: how the attempt ended, in the words of the run's attempts.
    ``seconds``: what it took.
    """

    kind: Literal["settled", "nothing", "busy", "refused"]
    detail: str = ""
    outcome: str = ""
    retry_after: float | None = None
    seconds: float = 0.0


Deliver = Callable[[Call], Awaitable[Answer]]
"""Claim, execute, settle. Raises ``ProviderUnavailable`` where the ledger can't be reached: answer 503."""
Drain = Callable[[float], Awaitable[Mapping[str, int]]]
"""Fire schedules, hand out wake-ups, and work off what is due, for so many seconds: ``{"runs", "left", "next_ms"}``, which are
the attempts begun, the runs left that are ready, and milliseconds until the next one is due (-1: none is known of)."""
AsgiApp = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether work gets done: ``ok``, and why not, and what ought to be mended although it does."""

    ok: bool
    reason: str = ""
    warnings: tuple[str, ...] = ()


class PlannedTask(NamedTuple):
    """A task as a vendor may be told of it. ``timeout``: seconds. ``tenant_concurrency``: runs of one tenant at a time."""

    id: str
    queue: str
    timeout: float
    max_attempts: int
    tenant_concurrency: int | None = None


class PlannedTick(NamedTuple):
    """A schedule. ``expression`` has five fields, read on the clock of ``timezone`` (IANA)."""

    task: str
    expression: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What an application has: for providers that are told beforehand.

    ``public_url``: where the vendor reaches ``jobs.asgi()``, without a slash at the end; ``None`` where it need not.
    ``ring_every``: seconds between the rings of the vendor's clock at ``/drain`` or its like.
    """

    app: str
    tasks: Sequence[PlannedTask]
    ticks: Sequence[PlannedTick]
    public_url: str | None = None
    ring_every: float = 60.0


@dataclass(frozen=True, slots=True)
class SetupKey:
    """A setting a person must fetch. ``page``: the exact address of the vendor's page that shows it.

    ``pattern``: a regular expression the whole value matches. ``example``: the shape, with no real secret.
    """

    variable: str
    page: str
    where: str
    pattern: str
    example: str
    secret: bool = True
    required: bool = True


@dataclass(frozen=True, slots=True)
class Setup:
    """What a person does before a provider works: for the command line."""

    title: str
    sign_up: str | None
    keys: Sequence[SetupKey] = ()
    needs_public_url: bool = False
    notes: Sequence[str] = field(default_factory=tuple)


class JobProvider(Protocol):
    """Hands over wake-ups and passes on the rings. Its methods are called on any running event loop."""

    @property
    def name(self) -> str:
        """As in ``JOBS_PROVIDER``."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it delivers natively."""
        ...

    async def dispatch(self, wakeups: Sequence[Wakeup]) -> list[Receipt]:
        """Hand wake-ups over, in this order; a receipt for each.

        Again with the same ids after an error whose effect is not known: the vendor then holds each once, or rings it twice,
        which is harmless. Raises ``ProviderUnavailable`` if none, or it is not known which, was taken, and ``NotConfigured``
        for a key that is refused. Never answers for a wake-up the vendor has not acknowledged.
        """
        ...

    async def withdraw(self, handed: Sequence[Handed]) -> list[bool]:
        """Take wake-ups back; ``True`` where it will certainly not ring any more. Unknown ones are no error."""
        ...

    async def sync(self, plan: Plan) -> list[str]:
        """Tell the vendor of the application: its clock, limits, functions. A line for each thing changed; again: none."""
        ...

    async def health(self) -> Health:
        """Ask the vendor, changing nothing. A vendor that can't be reached is not ``ok``; it raises nothing."""
        ...

    def work(
        self, deliver: Deliver, drain: Drain, *, queues: Sequence[str], concurrency: int
    ) -> AbstractAsyncContextManager[None] | None:
        """A loop in this process that rings for these queues (``None``: this provider calls the application from outside).

        Leaving it lets the rings under way end.
        """
        ...

    def routes(self, deliver: Deliver, drain: Drain) -> Mapping[str, AsgiApp]:
        """What ``jobs.asgi()`` serves for the vendor's calls, by path below where it is mounted. Empty: none.

        A path with a slash at its end stands for all below it.

        Each refuses what is not signed before it reads a body (``wire/signing.py``), and answers 2xx only once the ledger
        has what the call led to.
        """
        ...

    def setup(self) -> Setup:
        """What a person does before it works."""
        ...

    async def close(self) -> None:
        """Let go of connections. What is used again opens again."""
        ...


@runtime_checkable
class LearnsPlan(Protocol):
    """A provider whose endpoints or workers are made of the application's tasks."""

    def learn(self, plan: Plan) -> None:
        """What there is to be called for. Called before ``work`` and ``routes``, in every process, also where ``sync`` is not."""
        ...


@runtime_checkable
class BoundsCalls(Protocol):
    """A provider whose calls of the application end after some time, whatever it is doing."""

    @property
    def longest_call(self) -> float:
        """Seconds of a call in which work can be done."""
        ...


@runtime_checkable
class RingsAtOnce(Protocol):
    """A provider that takes no wake-ups (``capabilities.batch`` is 0), and can be asked to ring before its clock does."""

    async def ring(self) -> None:
        """Have the application called, so that what was sent is begun now; returns as soon as the call is on its way.

        Does nothing where it does not know the application's address. Raises ``ProviderUnavailable``: the clock will ring.
        """
        ...
