"""What a tenant may add in its own transaction: runs that can only become ready, and nothing that is ahead of anybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.reliability.walled_worlds import Session, World
from tests.servers.ledgers import Ledgers

RUN: dict[str, Any] = {
    "seq": 900,
    "nonce": 1,
    "event_seq": 899,
    "due_at": 1,
    "created_at": 1,
    "event_version": 1,
    "rank": 0,
    "lane": 0,
    "tenant_id": "attacker",
    "task": "sync",
    "queue": "default",
    "state": "scheduled",
    "event_name": "x",
    "payload": "{}",
}

FORGED: dict[str, dict[str, Any]] = {
    "another tenant": {"tenant_id": "victim"},
    "the installation": {"tenant_id": "platform"},
    "no binding's form": {"tenant_id": ""},
    "ready": {"state": "queued"},
    "running": {"state": "running", "worker": 1},
    "waiting": {"state": "waiting"},
    "never due": {"due_at": None},
    "claimed": {"claim": 5},
    "a worker": {"worker": 1},
    "started": {"started_at": 1},
    "a later attempt": {"attempt": 0},
    "a place": {"vstart": -1e300},
    "moved": {"moved_for": 7},
    "a tick": {"tick_at": 60},
    "held": {"held_by": "limit"},
    "slots": {"slots": "a"},
    "cancelled": {"cancel_asked": True},
    "an error": {"error": "x"},
    "progress": {"progress": "x"},
    "ahead of others": {"rank": -1},
    "another queue": {"queue": "fast"},
    "an unknown task": {"task": "nobody's"},
    "a key of flow control": {"flow_key": "unique:sync:[]"},
    "a place in a line": {"order_key": "sync:[]"},
    "metadata": {"metadata": "{}"},
    "several events": {"events": 2},
    "undecided, where there is nothing to decide": {"arriving": True},
    "decided, where the engine decides": {"task": "once"},
}


@pytest.fixture(scope="module")
def world(postgres_ledgers: Ledgers) -> Iterator[World]:
    database = postgres_ledgers.fresh()
    world = World(database)
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(
            'INSERT INTO cgk_jobs.subscriptions SELECT (jsonb_populate_record(s, \'{"task": "once", "flow": "{}"}\')).* '
            "FROM cgk_jobs.subscriptions s WHERE task = 'sync'"
        )
    yield world
    postgres_ledgers.drop(database)


@pytest.fixture
def bound(world: World) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the tenant ``attacker``, rolled back at the end."""
    with world.session() as session:
        session.bind("attacker")
        yield session.connection


def insert(connection: psycopg.Connection[Any], table: str, row: dict[str, Any]) -> None:
    places = ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO cgk_jobs.{table} ({', '.join(row)}) VALUES ({places})".encode(), row)


def test_a_run_is_sent(bound: psycopg.Connection[Any]) -> None:
    number = bound.execute("SELECT nextval('cgk_jobs.numbers')").fetchall()[0][0]
    insert(bound, "runs", RUN | {"seq": 900 + number, "lane": 5, "tags": "a", "expires_at": 9, "replay_of": 1})
    insert(bound, "run_tags", {"run_seq": 900, "tenant_id": "attacker", "tag": "a"})
    insert(
        bound,
        "unrouted_events",
        {"seq": 901, "nonce": 1, "created_at": 1, "version": 1, "tenant_id": "attacker", "name": "x", "payload": "{}"},
    )
    insert(bound, "idempotency_keys", {"event_seq": 1, "nonce": 1, "expires_at": 9, "tenant_id": "attacker", "event": "x", "key": "new", "payload": "{}", "run_seqs": [900]})  # fmt: skip
    assert bound.execute("SELECT count(*) FROM cgk_jobs.runs WHERE state = 'scheduled'").fetchall() == [(1,)]
    assert bound.execute("SELECT DISTINCT queue FROM cgk_jobs.subscriptions").fetchall() == [("default",)]
    assert len(bound.execute("SELECT version FROM cgk_jobs.configuration").fetchall()) == 1


def test_a_run_is_sent_whose_fate_the_engine_decides(bound: psycopg.Connection[Any]) -> None:
    insert(bound, "runs", RUN | {"task": "once", "arriving": True})


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_run_is_refused(name: str, bound: psycopg.Connection[Any]) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)):
        insert(bound, "runs", RUN | FORGED[name])


def test_a_new_tenant_is_seen_and_sets_nothing(world: World) -> None:
    with world.session() as session:
        session.bind("newcomer")
        row: dict[str, Any] = {"id": "newcomer", "created_at": 1, "added": False}
        for forged in (
            row | {"added": True},
            row | {"id": "other"},
            row | {"weight": 100.0},
            row | {"concurrency": 100},
        ):
            session.connection.execute("SAVEPOINT a")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                insert(session.connection, "tenants", forged)
            session.connection.execute("ROLLBACK TO a")
        insert(session.connection, "tenants", row)
        session.connection.execute(
            "INSERT INTO cgk_jobs.tenants (id, created_at, added) VALUES ('newcomer', 1, false) ON CONFLICT (id) DO NOTHING"
        )
        assert session.connection.execute("SELECT id FROM cgk_jobs.tenants").fetchall() == [("newcomer",)]


def test_nothing_is_sent_without_a_binding(world: World) -> None:
    with world.session() as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        insert(session.connection, "runs", RUN)


def test_a_worker_may_write_all_of_it(world: World) -> None:
    """Control: what is refused above is refused by the wall, not by the table."""
    with psycopg.connect(world.database.worker_url) as connection:
        session = Session(connection, world.tokens)
        for change in FORGED.values():
            session.connection.execute("SAVEPOINT a")
            if change.get("tenant_id") != "":
                insert(session.connection, "runs", RUN | change)
            session.connection.execute("ROLLBACK TO a")
        session.connection.rollback()
