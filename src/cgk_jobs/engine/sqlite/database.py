"""Opening the file: checks, migrations, statements."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path

from cgk_jobs.clock import monotonic
from cgk_jobs.errors import ForeignDatabase, NotConfigured, ProviderUnavailable

__all__ = ["APPLICATION_ID", "QUERIES", "is_busy", "open_database", "serves"]

APPLICATION_ID = 0x43474B4A
"""Marks the file as a ledger of this package (``PRAGMA application_id``): "CGKJ"."""

PATIENCE = 10.0
"""Seconds that opening waits for other processes."""

_HERE = Path(__file__).parent
QUERIES: dict[str, str] = {path.stem: path.read_text() for path in (_HERE / "queries").glob("*.sql")}
_MIGRATIONS = sorted((_HERE / "migrations").glob("*.sql"))
_OLDEST_CODE = re.compile(r"-- Oldest code: schema (\d+)\b")
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs"})


def filesystem_of(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The type of the file system ``path`` lies on, by the mount table; empty where there is none to read."""
    if not mounts.exists():
        return ""
    best, kind = "", ""
    for line in mounts.read_text().splitlines():
        _, point, found, *_ = line.split(" ")
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, found
    return kind


def open_database(path: Path, *, full_sync: bool = False) -> sqlite3.Connection:
    """A connection to the ledger at ``path``, created or migrated where needed.

    Raises ``ForeignDatabase`` for a file that is no ledger, is damaged, comes from a newer version, or lies on a network
    file system; ``NotConfigured`` if it can't be opened or written; ``ProviderUnavailable`` if it stays locked.
    """
    path = path.resolve()
    kind = filesystem_of(path)
    if kind in _NETWORK:
        raise ForeignDatabase(
            f"{path} is on a network file system ({kind}), whose locks SQLite can't trust: choose a local path"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=PATIENCE, cached_statements=256
        )
    except (OSError, sqlite3.Error) as error:
        raise NotConfigured(
            f"can't open the ledger {path}: {error}. Set JOBS_DATABASE_URL=sqlite:///a/writable/path"
        ) from error
    try:
        _prepare(connection, path, full_sync)
    except sqlite3.OperationalError as error:
        connection.close()
        if is_busy(error):
            raise ProviderUnavailable(
                f"the ledger {path} is locked by another process: look for a hanging one"
            ) from error
        raise NotConfigured(
            f"can't use the ledger {path}: {error}. Set JOBS_DATABASE_URL=sqlite:///a/writable/path"
        ) from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ForeignDatabase(
            f"{path} is not a usable SQLite database ({error}): restore a backup or choose another path"
        ) from error
    except BaseException:
        connection.close()
        raise
    # From here on nobody waits inside SQLite: its waits grow to 100 ms, ours are fractions of one.
    connection.execute("PRAGMA busy_timeout = 0")
    # A batch of some thousand rows stays in memory until its commit; the log is moved by checkpoints.py where workers run.
    connection.execute("PRAGMA cache_size = -16000")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, full_sync: bool) -> None:
    # One snapshot for both: between two, another process might have made the ledger.
    connection.execute("BEGIN")
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("COMMIT")
    if mark != APPLICATION_ID and tables:
        raise ForeignDatabase(f"{path} belongs to another program: choose another path for the ledger")
    _use_wal(connection)
    connection.execute(f"PRAGMA synchronous = {'FULL' if full_sync else 'NORMAL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not serves(connection, version, len(_MIGRATIONS)):
            raise ForeignDatabase(
                f"{path} has schema {version}, this version knows {len(_MIGRATIONS)} and is too old for it: update cgk-jobs or "
                "choose another path"
            )
        for number, migration in enumerate(_MIGRATIONS[version:], version + 1):
            text = migration.read_text()
            for statement in _statements(text):
                connection.execute(statement)
            oldest = _OLDEST_CODE.match(text)
            if oldest is not None:
                connection.execute("INSERT INTO oldest_code VALUES (?, ?)", (number, int(oldest[1])))
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def serves(connection: sqlite3.Connection, version: int, known: int) -> bool:
    """Whether code that knows ``known`` migrations may work with a ledger of this version: each newer one says in its first line
    which code can (``-- Oldest code: schema 4.``)."""
    if version <= known:
        return True
    (count,) = connection.execute(
        "SELECT count(*) FROM oldest_code WHERE schema > ? AND schema <= ? AND code <= ?", (known, version, known)
    ).fetchone()
    return bool(count == version - known)


def _use_wal(connection: sqlite3.Connection) -> None:
    # Turning the log on takes the file for itself, and SQLite does not wait for that as it does for other locks: processes
    # that make a ledger at the same moment meet here.
    give_up_at = monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() > give_up_at:
                raise
        time.sleep(0.002)


def is_busy(error: sqlite3.OperationalError) -> bool:
    """Whether another process or connection is in the way, so that waiting helps."""
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _statements(script: str) -> list[str]:
    # executescript would commit on its own; a migration is all or nothing.
    found: list[str] = []
    buffer = ""
    for line in script.splitlines(keepends=True):
        buffer += line
        if sqlite3.complete_statement(buffer):
            found.append(buffer)
            buffer = ""
    return found
