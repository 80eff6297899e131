"""A run that waited and called others, as the commands show it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.cli.conftest import MODULE, Command

WORKFLOW = """

class Approved(Event, name="shop.approved"):
    order_id: str
    pin: Annotated[str, Secret] = "1234"


jobs.events.add(Approved)  # no task listens to it, and people send it by its name

class Checked(Event, name="shop.checked"):
    order_id: str


@jobs.task(on=Checked, retry=Retry(max_attempts=1))
async def check(event: Checked, ctx: Context) -> int:
    await ctx.wait_for(Approved, "order_id")
    orders = [OrderPlaced(tenant_id=event.tenant_id, order_id=name) for name in ("o1", "bad1")]
    return len(await ctx.map(sync_order, orders))
"""


@pytest.fixture
def checked(shop: Path, run: Command, worked: Callable[[], None]) -> str:
    """A run that has waited for an event with a secret, and failed with one of the runs it called."""
    with (shop / f"{MODULE}.py").open("a") as module:
        module.write(WORKFLOW)
    words = ("jobs", "send", "--tenant", "acme", "--data", '{"order_id":"o1"}')
    sent = run(*words, "shop.checked").stdout.strip()
    run(*words, "shop.approved")
    worked()
    return sent


def test_show_has_the_runs_it_called_and_what_it_waited_for(checked: str, run: Command) -> None:
    found = json.loads(run("jobs", "show", checked, "--tenant", "acme", "--json").stdout)
    assert found["state"] == "failed"
    assert found["parent_id"] is None
    waited, called = found["steps"]
    assert waited["result"]["payload"] == {"tenant_id": "acme", "order_id": "o1", "pin": "********"}
    assert (called["name"], called["result"]) == ("map", {"count": 2})
    good, bad = (
        json.loads(run("jobs", "show", child, "--tenant", "acme", "--json").stdout) for child in found["children"]
    )
    assert (good["parent_id"], good["state"], bad["state"]) == (checked, "completed", "failed")
    plain = run("jobs", "show", checked, "--tenant", "acme").stdout
    assert "1234" not in plain
    assert f"children\t{bad['id']}\tsync-order\tfailed\tValueError: no such order" in plain
    assert "steps\tmap\tdone\t" in plain
    assert f"called by\t{checked}\n" in run("jobs", "show", bad["id"], "--tenant", "acme").stdout
    raw = run("jobs", "show", checked, "--tenant", "acme", "--json", "--raw").stdout
    assert json.loads(raw)["steps"][0]["result"]["payload"]["pin"] == "1234"


def test_what_nobody_can_mask_is_left_out(checked: str, shop: Path, run: Command) -> None:
    (shop / "pyproject.toml").write_text("")
    shown = run("jobs", "show", checked, "--tenant", "acme", "--json").stdout
    assert "1234" not in shown
    assert json.loads(shown)["steps"][0]["result"]["payload"] is None


def test_runs_of_a_parent_and_replays_are_found(checked: str, run: Command) -> None:
    listed = json.loads(run("jobs", "runs", "--tenant", "acme", "--parent", checked, "--json").stdout)["runs"]
    assert [one["parent_id"] for one in listed] == [checked] * 2
    again = run("jobs", "replay", checked, "--tenant", "acme").stdout.strip()
    assert f"replay of\t{checked}\n" in run("jobs", "show", again, "--tenant", "acme").stdout
    run("jobs", "runs", "--tenant", "bolt", "--parent", checked, code=1)
