"""Worker processes on a ledger on PostgreSQL, and looking at that ledger as its administrator."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psycopg
from tests.forking import forks
from tests.reliability.application import Application
from tests.reliability.postgres.application import served
from tests.reliability.processes import LIMIT, Fleet, kill, resume, until, until_async
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.heartbeat import is_stopped
from cgk_jobs.engine.postgres.server import QUERIES

__all__ = ["ServerFleet", "kill", "resume", "until", "until_async", "until_within", "work_unheard"]


def until_within(seconds: float, condition: Callable[[], Any], what: str) -> Any:
    """As ``until``, for what a full-size scenario may take longer for."""
    give_up_at = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < give_up_at, f"never happened: {what}"
        time.sleep(0.02)


class ServerFleet(Fleet):
    """The processes of one test, all on one database."""

    def __init__(self, folder: Path, database: LedgerDatabase) -> None:
        self.folder = folder
        self.database = database
        self.jobs: Application = served(folder, database.worker_url)
        self.history = self.jobs.history
        self._processes: list[BaseProcess] = []
        self._admin: psycopg.Connection[Any] | None = None

    def run(self, target: Callable[..., None], *arguments: Any) -> BaseProcess:
        """Start a process that calls ``target(folder, url, *arguments)``."""
        process = forks.Process(target=target, args=(self.folder, self.database.worker_url, *arguments))
        process.start()
        self._processes.append(process)
        return process

    def worker(self, *, die_at: str = "", **options: Any) -> BaseProcess:
        """Start a worker. ``options`` are those of ``Jobs.run``."""
        assert not die_at, "points of death are those of the embedded engine's scenarios"
        return self.run(work, options)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the server, past the engine; waits for a server that is restarting."""

        def ask() -> list[tuple[Any, ...]] | None:
            try:
                if self._admin is None or self._admin.closed:
                    self._admin = psycopg.connect(self.database.admin_url, autocommit=True)
                cursor = self._admin.execute(query.encode(), values or None)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self._admin = None
                return None

        answers: list[list[tuple[Any, ...]]] = []

        def answered() -> bool:
            found = ask()
            if found is not None:
                answers.append(found)
            return found is not None

        until(answered, "the server answers")
        return answers[0]

    def await_lines(self, count: int, *first: str, within: float = LIMIT) -> None:
        """Wait until so many lines of the history begin with these words."""
        until_within(within, lambda: len(self.history.lines(*first)) >= count, f"{count} lines {' '.join(first)}")

    def value(self, query: str, *values: object) -> Any:
        """The first column of the first row."""
        return self.rows(query, *values)[0][0]

    def ended(self, state: str = "completed") -> int:
        """How many runs have ended so."""
        return int(self.value("SELECT count(*) FROM cgk_jobs.finished_runs WHERE state = %s", state))

    def unfinished(self) -> int:
        """How many have not ended."""
        return int(self.value("SELECT count(*) FROM cgk_jobs.runs"))

    def workers(self) -> dict[int, int]:
        """The seats: when a process was last heard of, in microseconds, by its pid."""
        return dict(self.rows("SELECT pid, beat_at FROM cgk_jobs.workers"))

    def stop(self, process: BaseProcess) -> None:
        """SIGSTOP: the process keeps its memory, locks and connections, and does nothing.

        Not in the middle of a transaction: the rows it has locked would stay so until the server ends its session.
        """
        assert process.pid is not None
        while True:
            os.kill(process.pid, signal.SIGSTOP)
            until(lambda: is_stopped(process.pid or 0), "the process stopped")
            # A statement it has sent may still be on its way.
            until(
                lambda: not self._sessions("state = 'active' AND wait_event IS DISTINCT FROM 'ClientRead'"),
                "the server is done",
            )
            # In a transaction, or with half of a statement sent.
            if not self._sessions("state <> 'idle'"):
                return
            os.kill(process.pid, signal.SIGCONT)

    @contextmanager
    def holding(self, statement: str) -> Iterator[None]:
        """Somebody's transaction that has run ``statement`` and is left open for the length of the block."""
        connection = psycopg.connect(self.database.admin_url)
        try:
            connection.execute(statement.encode())
            yield
        finally:
            connection.close()

    def waiting_for_locks(self) -> int:
        """How many sessions wait for a row or a transaction of another one."""
        return int(
            self.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )

    def others(self) -> int:
        """How many sessions there are beside the test's own."""
        return self._sessions("true")

    def _sessions(self, which: str) -> int:
        return int(
            self.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
                f"AND backend_type = 'client backend' AND {which}"
            )
        )

    def intact(self) -> bool:
        """No run is both alive and ended, and none has ended twice."""
        twice = self.value(
            "SELECT count(*) - count(DISTINCT (tenant_id, seq)) FROM (SELECT tenant_id, seq FROM cgk_jobs.runs "
            "UNION ALL SELECT tenant_id, seq FROM cgk_jobs.finished_runs) AS all_runs"
        )
        return bool(twice == 0)

    def close(self) -> None:
        """Kill what is left."""
        super().close()
        if self._admin is not None:
            self._admin.close()


def work(folder: Path, url: str, options: dict[str, Any]) -> None:
    """The main function of a worker process."""
    logging.basicConfig(filename=folder / "log", level=logging.WARNING)
    served(folder, url).run(**options)


def work_unheard(folder: Path, url: str, options: dict[str, Any]) -> None:
    """A worker whose own notifications are lost, too."""
    QUERIES["ring_bell"] = "SELECT"
    work(folder, url, options)
