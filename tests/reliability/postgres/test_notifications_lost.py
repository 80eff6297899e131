"""No notification ever arrives (S9): workers look by themselves, and nothing is left lying."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.reliability.application import Quick
from tests.reliability.postgres.application import served
from tests.reliability.postgres.processes import ServerFleet, until

from cgk_jobs.engine.postgres.doorbell import CHANNEL
from cgk_jobs.engine.postgres.server import QUERIES


def work_unheard(folder: Path, url: str, options: dict[str, Any]) -> None:
    """A worker whose own notifications are lost, too."""
    QUERIES["ring_bell"] = "SELECT"
    logging.basicConfig(filename=folder / "log", level=logging.WARNING)
    served(folder, url).run(**options)


def test_s9_with_every_notification_lost_all_runs_are_found(
    fleet: ServerFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(QUERIES, "ring_bell", "SELECT")
    with psycopg.connect(fleet.database.admin_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}".encode())
        for _ in range(2):
            fleet.run(work_unheard, {"concurrency": 5})
        until(lambda: len(fleet.workers()) == 2, "the workers took their seats")
        # One after the other, each into the silence after the one before; then all at once.
        for number in range(10):
            assert fleet.result(fleet.send(Quick(tenant_id="acme", number=number))) == number
        later = fleet.send(Quick(tenant_id="acme", number=10), delay=0.3)
        many = [fleet.send(Quick(tenant_id="acme", number=number)) for number in range(11, 31)]
        assert [fleet.result(run) for run in (later, *many)] == list(range(10, 31))
        assert list(listener.notifies(timeout=0)) == []
    assert len(fleet.history.lines("quick")) == 31
    assert fleet.unfinished() == 0
