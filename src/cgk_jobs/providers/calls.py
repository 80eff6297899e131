"""What the endpoints of vendors' calls share: the wake-up in a body, what an answer of the ledger is in HTTP, and refusals.

Who is refused is told a status and nothing else; the log says why.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.providers.provider import Answer, Call, Wakeup
from cgk_jobs.wire.asgi import BadRequest, Send, answer
from cgk_jobs.wire.json import loads

__all__ = [
    "BUSY_AGAIN",
    "CallRefused",
    "Reply",
    "as_fields",
    "body_of",
    "call_in",
    "call_of",
    "fields_of",
    "place_of",
    "reply_to",
    "respond",
    "wait_of",
]

BUSY_AGAIN = 30
"""Seconds after which the vendor comes back if a run is busy and nothing better is known."""
LARGEST_SHARED = 64_000
"""Characters of a shared payload; a longer one is left out. It is for looking at: the run's own is in the ledger."""

Reply = tuple[int, object, dict[str, str]]
"""Status, JSON body, headers."""


class CallRefused(Exception):
    """Not let in. ``genuine``: whoever signed it has a key, so it is a mistake of the set-up rather than a stranger."""

    def __init__(self, reason: str, *, genuine: bool = False) -> None:
        super().__init__(reason)
        self.genuine = genuine


async def respond(
    send: Send, logger: logging.Logger, where: str, what: str, reply: Callable[[], Awaitable[Reply]]
) -> None:
    """Answer with what ``reply`` gives or raises. ``where``: the endpoint, ``what``: begins the reason of a refusal."""
    try:
        status, body, headers = await reply()
    except CallRefused as refused:
        # What is genuine and refused all the same is a mistake of the set-up; anybody can cause the rest.
        level = logging.WARNING if refused.genuine else logging.INFO
        logger.log(level, "a call to %s was refused: %s %s", where, what, refused)
        status, body, headers = 401, None, {}
    except BadRequest as bad:
        logger.info("a call to %s was refused: %s", where, bad)
        status, body, headers = bad.status, None, {}
    except ProviderUnavailable as error:
        logger.warning("a call to %s has to come again: the ledger can't be reached", where)
        status, body, headers = 503, None, {"Retry-After": str(wait_of(error.retry_after))}
    except Exception as error:
        logger.error("a call to %s failed with %s", where, place_of(error))
        status, body, headers = 500, None, {}
    await answer(send, status, body, headers)


def place_of(error: BaseException) -> str:
    """Kind and line of an error: its text may hold what a handler was given."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__


def wait_of(seconds: float | None) -> int:
    """Whole seconds until a further try, at least one."""
    return BUSY_AGAIN if seconds is None else max(1, math.ceil(seconds))


def reply_to(found: Answer, refused: Reply) -> Reply:
    """What the vendor is told of the ledger's answer. ``refused``: what makes this vendor stop."""
    match found.kind:
        case "settled" | "nothing":
            return 200, {"kind": found.kind}, {}
        case "busy":
            return 409, {"kind": "busy"}, {"Retry-After": str(wait_of(found.retry_after))}
        case "refused":
            return refused
    raise ValueError("an answer of a kind that is not known")


def body_of(wakeup: Wakeup) -> dict[str, Any]:
    """What a vendor keeps of a wake-up: ids and names, and the payload of a task that shares it."""
    body: dict[str, Any] = {
        "v": 1,
        "wakeup": wakeup.id,
        "queue": wakeup.queue,
        "tenant": wakeup.tenant_key,
        "run": wakeup.run_id,
        "task": wakeup.task,
    }
    if wakeup.payload is not None and len(wakeup.payload) <= LARGEST_SHARED:
        body["payload"] = loads(wakeup.payload)
    return body


def call_of(body: bytes, budget: float | None) -> Call | None:
    """The wake-up in a body of ours; ``None`` for anything else."""
    return call_in(fields_of(body), budget)


def call_in(fields: Mapping[str, Any], budget: float | None) -> Call | None:
    """The wake-up in the fields of such a body; ``None`` for anything else."""
    texts = [fields.get(name) for name in ("wakeup", "queue", "tenant", "run", "task")]
    if fields.get("v") != 1 or not all(isinstance(text, str) and 0 < len(text) <= 255 for text in texts):
        return None
    wakeup, queue, tenant, run, task = cast(list[str], texts)
    return Call(wakeup_id=wakeup, queue=queue, tenant_key=tenant, run_id=run, task=task, budget=budget)


def fields_of(body: bytes) -> dict[str, Any]:
    """The fields of a JSON object; none for anything else."""
    try:
        return as_fields(loads(body))
    except ValueError:
        return {}


def as_fields(value: object) -> dict[str, Any]:
    """A JSON value's fields; none if it is no object."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
