"""Flow control, metadata and bulk cancelling as the commands show them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import MODULE, Command

MORE = """

from cgk_jobs import Batch, Throttle, Unique


class Seen(Event, name="shop.seen"):
    page: str = "/"
    token: Annotated[str, Secret] = "s3cret"


class Once(Event, name="shop.once"):
    pass


class Rare(Event, name="shop.rare"):
    pass


@jobs.task(on=Seen, batch=Batch(2, 60), queue="slow")
async def count(events: list[Seen], ctx: Context) -> int:
    await ctx.metadata(pages=len(events))
    return len(events)


@jobs.task(on=Once, unique=Unique(), retry=Retry(max_attempts=1))
async def once(event: Once) -> None:
    raise ValueError("no")


@jobs.task(on=Rare, throttle=Throttle(1, 60))
async def rare(event: Rare) -> None: ...
"""


@pytest.fixture(autouse=True)
def _more(shop: Path) -> None:
    with (shop / f"{MODULE}.py").open("a") as file:
        file.write(MORE)
    importlib.invalidate_caches()


def sent(run: Command, event: str, *words: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run("jobs", "send", event, "--tenant", "acme", "--json", *words, code=code).stdout
    )
    return found


def test_a_batch_is_shown_with_its_events_masked(run: Command, worked: Callable[[], None]) -> None:
    first, second = sent(run, "shop.seen"), sent(run, "shop.seen")
    assert first["run_ids"] == second["run_ids"]
    worked()
    (run_id,) = first["run_ids"]
    found = json.loads(run("jobs", "show", run_id, "--tenant", "acme", "--json").stdout)
    assert (found["events"], found["metadata"], found["result"]) == (2, {"pages": 2}, 2)
    assert found["payload"] == {"events": [{"tenant_id": "acme", "page": "/", "token": "********"}] * 2}
    plain = run("jobs", "show", run_id, "--tenant", "acme").stdout
    assert "events\t2\n" in plain
    assert 'metadata\t{"pages": 2}\n' in plain
    assert "s3cret" not in plain


def test_a_refused_send_fails_and_says_why(run: Command) -> None:
    assert sent(run, "shop.rare")["status"] == "accepted"
    refused = sent(run, "shop.rare", code=1)
    assert (refused["status"], refused["run_ids"], refused["event_id"]) == ("refused", [], "")
    assert "throttle=" in refused["error"]
    assert "throttle=" in run("jobs", "send", "shop.rare", "--tenant", "acme", code=1).stderr


def test_a_duplicate_and_a_retry_in_its_way(run: Command, worked: Callable[[], None]) -> None:
    (failed,) = sent(run, "shop.once")["run_ids"]
    worked()
    (other,) = sent(run, "shop.once")["run_ids"]
    again = sent(run, "shop.once")
    assert (again["status"], again["run_ids"]) == ("duplicate", [other])
    assert other in run("jobs", "retry", failed, "--tenant", "acme", code=1).stderr


def test_cancel_by_filter(run: Command) -> None:
    for event in ("shop.seen", "shop.once", "shop.rare"):
        sent(run, event)
    assert run("jobs", "cancel", "--queue", "slow", "--tenant", "acme").stdout == "1\n"
    assert run("jobs", "cancel", "--task", "once", "--state", "scheduled", "--tenant", "acme").stdout == "0\n"
    assert run("jobs", "cancel", "--since", "1h", "--alone", "--tenant", "acme").stdout == "2\n"
    assert "say which" in run("jobs", "cancel", "--alone", "--tenant", "acme", code=2).stderr
