"""Starting, stopping and killing processes, and waiting for what they do."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.forking import forks
from tests.reliability.application import Application, application

from cgk_jobs import Event, Sent, tenant_context
from cgk_jobs.engine.sqlite.liveness import is_stopped

LIMIT = 40.0
"""Seconds after which a condition is taken for one that never comes true. No test expects it sooner than 'at last'."""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until ``condition()`` is true, and answer it."""
    give_up_at = time.monotonic() + LIMIT
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < give_up_at, f"never happened: {what}"
        time.sleep(0.005)


async def until_async(condition: Callable[[], Any]) -> Any:
    """As :func:`until`, while the loop goes on."""
    async with asyncio.timeout(LIMIT):
        while not (answer := condition()):  # noqa: ASYNC110 - what other processes do
            await asyncio.sleep(0.005)
    return answer


class Fleet:
    """The processes of one test, all on one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: Application = application(folder)
        self.history = self.jobs.history
        self._processes: list[BaseProcess] = []

    def run(self, target: Callable[..., None], *arguments: Any) -> BaseProcess:
        """Start a process that calls ``target(folder, *arguments)``."""
        process = forks.Process(target=target, args=(self.folder, *arguments))
        process.start()
        self._processes.append(process)
        return process

    def worker(self, *, die_at: str = "", **options: Any) -> BaseProcess:
        """Start a worker. ``options`` are those of ``Jobs.run``; ``die_at``: where it kills itself."""
        return self.run(work, die_at, options)

    def send(self, event: Event, **options: Any) -> str:
        """Send from the test's own process; the id of the run."""
        sent = self.jobs.sync.send(event, **options)
        assert isinstance(sent, Sent)
        return sent.run_id

    def result(self, run_id: str, tenant_id: str = "acme") -> Any:
        """Wait for the end of a run; its result."""
        with tenant_context(tenant_id):
            return self.jobs.sync.runs.wait(run_id, LIMIT)

    def get(self, run_id: str, tenant_id: str = "acme") -> Any:
        """The run as it is."""
        with tenant_context(tenant_id):
            return self.jobs.sync.runs.get(run_id)

    def open(self, gate: str) -> None:
        """Open a gate at which a handler waits."""
        (self.folder / gate).touch()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the ledger's file itself."""
        with closing(sqlite3.connect(self.folder / "jobs.db", timeout=LIMIT)) as connection:
            return connection.execute(query, values).fetchall()

    def stop(self, process: BaseProcess) -> None:
        """SIGSTOP: the process keeps its memory, locks and connections, and does nothing.

        Not in the middle of a transaction: SQLite's write lock would go on being held, and all others would wait for it.
        """
        assert process.pid is not None
        while True:
            os.kill(process.pid, signal.SIGSTOP)
            until(lambda: is_stopped(process.pid or 0), "the process stopped")
            with closing(sqlite3.connect(self.folder / "jobs.db", timeout=1, isolation_level=None)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    os.kill(process.pid, signal.SIGCONT)
                else:
                    return

    def intact(self) -> bool:
        """What SQLite says of its file."""
        return self.rows("PRAGMA integrity_check") == [("ok",)]

    def complaints(self) -> str:
        """What workers wrote to their log from WARNING on."""
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def close(self) -> None:
        """Kill what is left."""
        for process in self._processes:
            process.kill()
            process.join()
            process.close()
        self.jobs.close()


def kill(process: BaseProcess) -> None:
    """kill -9, and wait until the process is gone."""
    process.kill()
    process.join()


def resume(process: BaseProcess) -> None:
    """SIGCONT."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGCONT)


def work(folder: Path, die_at: str, options: dict[str, Any]) -> None:
    """The main function of a worker process."""
    logging.basicConfig(filename=folder / "log", level=logging.WARNING)
    jobs = application(folder)
    jobs.die_at = die_at
    _die_in_the_engine(jobs)
    jobs.run(**options)


def _die_in_the_engine(jobs: Application) -> None:
    store: Any = jobs.provider.store
    exchange, record_step = store.exchange, store.record_step

    async def dying_exchange(worker: int, settlements: Any, appetite: Any) -> Any:
        if settlements:
            jobs.point("before the settlement")
        answer = await exchange(worker, settlements, appetite)
        if settlements:
            jobs.point("after the settlement")
        if answer.claims:
            jobs.point("after the claim")
        return answer

    async def dying_record_step(claim: Any, name: str, result: str | None, **options: Any) -> bool:
        jobs.point("before the step is stored")
        landed: bool = await record_step(claim, name, result, **options)
        jobs.point("after the step is stored")
        return landed

    store.exchange, store.record_step = dying_exchange, dying_record_step
