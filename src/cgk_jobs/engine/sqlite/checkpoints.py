"""Moving the write-ahead log into the database in the background, so that no send waits for it."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from pathlib import Path

from cgk_jobs.engine.sqlite.forks import ForkGuard

__all__ = ["Checkpointer"]

_logger = logging.getLogger("cgk_jobs.engine")

_EVERY = 0.25
_ENOUGH = 4 * 1024 * 1024
_TOO_LARGE = 64 * 1024 * 1024


class Checkpointer:
    """A thread with a connection of its own. SQLite does the copying without Python's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._stop = threading.Event()
        self._warned = False
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._fork_guard = ForkGuard(self._lock, self._close_connection)
        self._thread = threading.Thread(target=self._work, name="cgk-jobs-checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            while not self._stop.wait(_EVERY):
                size = self._log.stat().st_size if self._log.exists() else 0
                if size < _ENOUGH:
                    continue
                mode = "PASSIVE"
                if size > _TOO_LARGE:
                    # Readers and writers never let it start over by themselves: wait for them, briefly.
                    mode = "TRUNCATE"
                with self._lock, contextlib.suppress(sqlite3.OperationalError):
                    self._open().execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
                self._watch()
        finally:
            with self._lock:
                self._close_connection()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=0, check_same_thread=False)
        return self._connection

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _watch(self) -> None:
        size = self._log.stat().st_size if self._log.exists() else 0
        if size > 4 * _TOO_LARGE and not self._warned:
            self._warned = True
            _logger.warning(
                "the write-ahead log %s has %d MB: a reader holds an old snapshot open; end it", self._log, size >> 20
            )
        elif size < _TOO_LARGE:
            self._warned = False
