"""Files that can't serve as ledger: refused before anything is written to them, by an error that names the remedy."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cgk_jobs import Event, ForeignDatabase, Jobs, JobsError, NotConfigured, ProviderUnavailable
from cgk_jobs.engine.sqlite import database
from cgk_jobs.engine.sqlite.database import filesystem_of, open_database


class Placed(Event, name="database.placed"):
    order_id: str = "1"


def place(event: Placed) -> None: ...


def corrupt(path: Path) -> None:
    path.write_bytes(b"not a database at all " * 500)


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute("INSERT INTO customers VALUES ('Ada')")
        connection.commit()


def marked_by_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 12345")
        connection.execute("CREATE TABLE runs (seq INTEGER)")


def newer(path: Path) -> None:
    open_database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def cut_off(path: Path) -> None:
    open_database(path).close()
    path.write_bytes(path.read_bytes()[:5000])


UNUSABLE: list[tuple[Callable[[Path], None], str]] = [
    (corrupt, "is not a usable SQLite database"),
    (foreign, "belongs to another program: choose another path"),
    (marked_by_another_program, "belongs to another program: choose another path"),
    (newer, "update cgk-jobs or choose another path"),
    (cut_off, "restore a backup or choose another path"),
]


@pytest.mark.parametrize(("make", "message"), UNUSABLE, ids=[make.__name__ for make, _ in UNUSABLE])
async def test_a_file_that_is_no_ledger_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "jobs.db"
    make(path)
    before = hashlib.sha256(path.read_bytes()).digest()
    jobs = Jobs(database=path)
    jobs.task(on=Placed, id="place")(place)
    for act in (lambda: jobs.send(Placed(tenant_id="acme")), jobs.start, jobs.tenants.list):
        with pytest.raises(ForeignDatabase) as refusal:
            await act()
        assert message in str(refusal.value)
        assert str(path) in str(refusal.value)
    jobs.close()
    assert hashlib.sha256(path.read_bytes()).digest() == before


async def test_a_folder_in_the_files_place(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").mkdir()
    with pytest.raises(NotConfigured, match=r"JOBS_DATABASE_URL=sqlite:///a/writable/path"):
        await Jobs(database=tmp_path / "jobs.db").send(Placed(tenant_id="acme"))


async def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(NotConfigured, match=r"JOBS_DATABASE_URL=sqlite:///a/writable/path"):
        await Jobs(database=tmp_path / "data" / "jobs.db").send(Placed(tenant_id="acme"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody may write to")
async def test_a_folder_that_can_t_be_written() -> None:
    with pytest.raises(NotConfigured, match=r"JOBS_DATABASE_URL=sqlite:///a/writable/path"):
        await Jobs(database=Path("/proc/self/jobs.db")).send(Placed(tenant_id="acme"))


async def test_a_ledger_that_has_become_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made well, and later mounted read-only, or owned by somebody else."""
    path = tmp_path / "jobs.db"
    open_database(path).close()
    before = path.read_bytes()

    def connect(name: Path, **options: object) -> sqlite3.Connection:
        return sqlite3.Connection(f"file:{name}?mode=ro", uri=True, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(NotConfigured, match=r"writable|read-only|readonly") as refusal:
        await Jobs(database=path).send(Placed(tenant_id="acme"))
    assert "JOBS_DATABASE_URL" in str(refusal.value)
    assert path.read_bytes() == before


MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
server:/export /mnt/share nfs4 rw,vers=4.2 0 0
/dev/sdb1 /mnt/share/local ext4 rw 0 0
//server/c /mnt/windows cifs rw 0 0
user@host: /home/ada/remote fuse.sshfs rw 0 0
share /mnt/vm 9p rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/jobs.db", "ext4"),
        ("/mnt/share/jobs.db", "nfs4"),
        ("/mnt/share/deep/er/jobs.db", "nfs4"),
        ("/mnt/share/local/jobs.db", "ext4"),
        ("/mnt/shares/jobs.db", "ext4"),
        ("/mnt/windows/jobs.db", "cifs"),
        ("/home/ada/remote/jobs.db", "fuse.sshfs"),
        ("/mnt/vm/jobs.db", "9p"),
    ],
)
def test_the_file_system_of_a_path(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert filesystem_of(Path(path), mounts) == kind


def test_without_a_mount_table_nothing_is_known(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path, tmp_path / "none") == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"])
async def test_a_network_file_system_is_refused_before_a_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(database, "filesystem_of", lambda path: kind)
    with pytest.raises(ForeignDatabase, match=f"network file system \\({kind}\\).*choose a local path"):
        await Jobs(database=tmp_path / "data" / "jobs.db").send(Placed(tenant_id="acme"))
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_refuses_the_send_and_keeps_what_was_there(tmp_path: Path) -> None:
    jobs = Jobs(database=tmp_path / "jobs.db")
    jobs.task(on=Placed, id="place")(place)
    kept = await jobs.send(Placed(tenant_id="acme"))
    store = jobs.provider.store
    ledger = store._commits._open()  # type: ignore[attr-defined]
    (pages,) = ledger.db.execute("PRAGMA page_count").fetchone()
    ledger.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ProviderUnavailable, match="Nothing of it was stored"):
        await jobs.send_many([Placed(tenant_id="acme", order_id="x" * 10_000) for _ in range(50)])
    ledger.db.execute("PRAGMA max_page_count = 1000000")
    more = await jobs.send(Placed(tenant_id="acme"))
    jobs.close()
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (2,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert kept.run_id != more.run_id


def test_every_refusal_is_of_the_hierarchy() -> None:
    assert issubclass(ForeignDatabase, NotConfigured)
    assert issubclass(NotConfigured, JobsError)
