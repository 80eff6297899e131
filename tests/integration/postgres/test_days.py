"""The days of finished runs, made and dropped by the owner's functions for the worker's login."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase

DAY = 86_400_000_000


@pytest.fixture
def worker(postgres_database: LedgerDatabase) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_database.worker_url, autocommit=True) as connection:
        yield connection


def value(connection: psycopg.Connection[Any], statement: bytes, *values: object) -> Any:
    return connection.execute(statement, values or None).fetchall()[0][0]


def days(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE c.relname ~ '^finished_runs_[0-9]+$' ORDER BY 1"
    )
    return [row[0] for row in rows]


def today(connection: psycopg.Connection[Any]) -> int:
    moment: int = value(connection, b"SELECT (extract(epoch FROM now()) * 1000000)::bigint")
    return moment // DAY * DAY


def finish(connection: psycopg.Connection[Any], seq: int, finished_at: int) -> str:
    row = connection.execute(
        "INSERT INTO cgk_jobs.finished_runs (seq, nonce, event_seq, claim, created_at, finished_at, event_version, attempt, rank, lane, "
        "tenant_id, task, queue, state, event_name, payload, tags) VALUES (%s, 1, 1, 1, 1, %s, 1, 1, 0, 0, 'acme', 't', 'q', "
        "'completed', 'x', '{}', '') RETURNING tableoid::regclass::text",
        (seq, finished_at),
    )
    where: str = row.fetchall()[0][0]
    return where.removeprefix("cgk_jobs.")


def test_days_are_made_once_and_take_their_runs(worker: psycopg.Connection[Any]) -> None:
    assert value(worker, b"SELECT cgk_jobs.make_days(3)") == 4
    assert value(worker, b"SELECT cgk_jobs.make_days(3)") == 0
    made = days(worker)
    begins = today(worker)
    assert [finish(worker, n, begins + n * DAY) for n in range(4)] == made
    assert [finish(worker, 10 + n, begins + (n + 1) * DAY - 1) for n in range(4)] == made
    assert finish(worker, 20, begins + 4 * DAY) == finish(worker, 21, begins - 1) == "finished_runs_other"


def test_a_day_that_has_runs_elsewhere_stays_there(worker: psycopg.Connection[Any]) -> None:
    begins = today(worker)
    finish(worker, 1, begins + DAY + 5)
    assert value(worker, b"SELECT cgk_jobs.make_days(2)") == 2
    assert finish(worker, 2, begins + DAY + 6) == "finished_runs_other"


def test_days_are_dropped_when_they_are_over(worker: psycopg.Connection[Any]) -> None:
    value(worker, b"SELECT cgk_jobs.make_days(3)")
    begins, made = today(worker), days(worker)
    for n in range(4):
        finish(worker, n, begins + n * DAY)
    assert value(worker, b"SELECT cgk_jobs.drop_days(%s)", begins + 2 * DAY - 1) == 1
    assert days(worker) == made[1:]
    assert value(worker, b"SELECT cgk_jobs.drop_days(%s)", begins + 3 * DAY) == 2
    assert days(worker) == made[3:]
    assert value(worker, b"SELECT count(*) FROM cgk_jobs.finished_runs") == 1
    assert value(worker, b"SELECT cgk_jobs.drop_days(%s)", begins + 3 * DAY) == 0


@pytest.mark.parametrize("ahead", [b"-1", b"32", b"NULL"])
def test_other_numbers_are_refused(ahead: bytes, worker: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        worker.execute(b"SELECT cgk_jobs.make_days(" + ahead + b")")
    assert days(worker) == []


def test_nobody_reaches_a_day_itself(postgres_database: LedgerDatabase, worker: psycopg.Connection[Any]) -> None:
    value(worker, b"SELECT cgk_jobs.make_days(0)")
    (day,) = days(worker)
    finish(worker, 1, today(worker))
    for url in (postgres_database.worker_url, postgres_database.tenant_url):
        with (
            psycopg.connect(url) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"),
        ):
            connection.execute(f"SELECT * FROM cgk_jobs.{day}".encode())


def test_two_workers_make_days_together(postgres_database: LedgerDatabase, worker: psycopg.Connection[Any]) -> None:
    with psycopg.connect(postgres_database.worker_url) as other:
        assert value(other, b"SELECT cgk_jobs.make_days(1)") == 2
        # The other has not committed: it is about it, so there is nothing to wait for.
        assert value(worker, b"SELECT cgk_jobs.make_days(1)") == 0
        other.rollback()
    assert value(worker, b"SELECT cgk_jobs.make_days(1)") == 2
