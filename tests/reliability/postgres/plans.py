"""Statements of the engine as PostgreSQL would run them, on ledgers with many rows that were put there directly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.server import QUERIES

__all__ = ["Plan", "Planner", "fill_finished", "fill_ready"]


@dataclass(frozen=True)
class Plan:
    """One plan: its nodes, and the blocks it touched where it was executed."""

    nodes: tuple[dict[str, Any], ...]
    blocks: int = 0

    def scans(self, table: str) -> set[str]:
        """By what the rows of a table are found: names of indexes, or the kind of scan where none is used."""
        return {
            node.get("Index Name", node["Node Type"])
            for node in self.nodes
            # The table that is written is named in its own node, which finds nothing.
            if _table(node) == table and node["Node Type"] not in ("ModifyTable", "LockRows", "Bitmap Heap Scan")
        }

    def rows_of(self, index: str) -> float:
        """How many rows were taken from an index."""
        return sum(node["Actual Rows"] * node["Actual Loops"] for node in self.nodes if node.get("Index Name") == index)


class Planner:
    """A session of the worker's login, with its settings."""

    def __init__(self, database: LedgerDatabase) -> None:
        self.connection = psycopg.connect(database.worker_url, autocommit=True)
        self._prepared: dict[str, int] = {}

    def generic(self, name: str) -> Plan:
        """The plan for any values, which a statement gets once it has been used some times."""
        count = self._prepare(name)
        with self.connection.transaction(force_rollback=True):
            self.connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            return self._explain("FORMAT JSON", name, ["NULL"] * count)

    def custom(self, name: str, values: Sequence[str]) -> Plan:
        """The plan for these values (SQL), as a statement gets it when it is new."""
        self._prepare(name)
        with self.connection.transaction(force_rollback=True):
            self.connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            return self._explain("FORMAT JSON", name, values)

    def executed(self, name: str, values: Sequence[str], *, generic: bool = True) -> Plan:
        """The plan, and what running it took; rolled back."""
        self._prepare(name)
        with self.connection.transaction(force_rollback=True):
            mode = "force_generic_plan" if generic else "force_custom_plan"
            self.connection.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
            return self._explain("ANALYZE, BUFFERS, TIMING off, FORMAT JSON", name, values)

    def _explain(self, how: str, name: str, values: Sequence[str]) -> Plan:
        arguments = f"({', '.join(values)})" if values else ""
        row = self.connection.execute(f"EXPLAIN ({how}) EXECUTE {name}{arguments}".encode()).fetchone()
        assert row is not None
        found = row[0] if isinstance(row[0], list) else json.loads(row[0])
        top = found[0]["Plan"]
        return Plan(tuple(_nodes(top)), top.get("Shared Hit Blocks", 0) + top.get("Shared Read Blocks", 0))

    def _prepare(self, name: str) -> int:
        if name not in self._prepared:
            text = QUERIES[name]
            self.connection.execute(f"PREPARE {name} AS {text}".encode())
            self._prepared[name] = max((int(number) for number in re.findall(r"\$(\d+)", text)), default=0)
        return self._prepared[name]

    def close(self) -> None:
        """End the session."""
        self.connection.close()


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for below in plan.get("Plans", ()):
        for node in _nodes(below):
            # A bitmap's index scan does not name the table it is of.
            if node["Node Type"] == "Bitmap Index Scan" and "Relation Name" not in node:
                node = {**node, "Relation Name": plan.get("Relation Name", "")}  # noqa: PLW2901 - the same node, named
            yield node
    yield plan


def _table(node: dict[str, Any]) -> str:
    name = str(node.get("Relation Name", ""))
    # A day of finished runs is reached by way of all days.
    return "finished_runs" if name.startswith("finished_runs") else name


def fill_ready(database: LedgerDatabase, *, tenants: int, runs: int) -> None:
    """Runs that are ready, of so many tenants in turn; one tenant, ``hot``, has as many again."""
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(
            b"INSERT INTO cgk_jobs.tenants (id, created_at, added) "
            b"SELECT 't' || n, 1, false FROM generate_series(0, %s - 1) n UNION ALL SELECT 'hot', 1, false",
            (tenants,),
        )
        admin.execute(
            b"INSERT INTO cgk_jobs.tenant_clocks (value, given, tenant_id, queue) SELECT 1, 1, id, 'default' FROM cgk_jobs.tenants"
        )
        admin.execute(
            b"INSERT INTO cgk_jobs.runs (seq, nonce, event_seq, vstart, created_at, event_version, tenant_id, task, queue, state, "
            b"event_name, payload) "
            b"SELECT 8 * n + 1, n, 8 * n, n, 1, 1, CASE n %% 2 WHEN 0 THEN 'hot' ELSE 't' || (n / 2) %% %s END, 'sync', 'default', "
            b"'queued', 'placed', '{}' FROM generate_series(1, 2 * %s) n",
            (tenants, runs),
        )
    _analyze(database)


def fill_finished(database: LedgerDatabase, *, runs: int) -> None:
    """Runs that have ended, today and earlier."""
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(b"SELECT cgk_jobs.make_days(1)")
        admin.execute(
            b"INSERT INTO cgk_jobs.finished_runs (seq, nonce, event_seq, claim, created_at, finished_at, event_version, attempt, rank, "
            b"lane, tenant_id, task, queue, state, event_name, payload, tags) "
            b"SELECT 8 * n, n, 8 * n, 1, 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - CASE n %% 4 WHEN 0 THEN "
            b"90000000000 ELSE n END, 1, 1, 0, 0, 't' || n %% 100, 'sync', 'default', 'completed', 'placed', '{}', '' "
            b"FROM generate_series(1, %s) n",
            (runs,),
        )
    _analyze(database)


def _analyze(database: LedgerDatabase) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        for table in ("runs", "finished_runs", "tenants", "tenant_clocks"):
            admin.execute(f"VACUUM ANALYZE cgk_jobs.{table}".encode())
