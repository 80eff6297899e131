"""A tenant's folder: on local files, in memory, and in a store of objects."""

# mypy: disable-error-code="import-untyped", allow-subclassing-any, allow-untyped-calls

from __future__ import annotations

import asyncio
import os
import pickle
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from cgk_jobs import NotConfigured, TenantMismatch, TenantRequired, across_tenants, tenant
from cgk_jobs.tenancy import TenantFiles

FIRST, SECOND = "acme", "other-1"

ESCAPES = [
    "../other-1/secret", "..", "a/../../other-1/secret", "a/..", "./secret", "a/./b", "/etc/passwd", "/acme/a", "//host/share",
    "file:///etc/passwd", "memory://files/other-1/secret", "s3://bucket/x", "tenant://a", "simplecache::file://x",
    "~/secret", "~root/secret", "..\\other-1\\secret", "a\\b", "C:\\x", "a//b", "a\0b", "a/../..", "../acme-2/x",
]  # fmt: skip


class ObjectStore(MemoryFileSystem):
    """A store as S3 is to fsspec: names begin with the bucket, there are no folders, and listings are cached."""

    protocol = "objects"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    root_marker = ""

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return path.removeprefix("objects://").strip("/")


@pytest.fixture(params=["file", "memory", "objects"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> TenantFiles:
    if request.param == "file":
        return TenantFiles(f"file://{tmp_path}/files")
    if request.param == "memory":
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]
        return TenantFiles("memory://files")
    ObjectStore.store.clear()
    return TenantFiles("objects://bucket/files", fs=ObjectStore())


def write(files: TenantFiles) -> None:
    for name in (FIRST, SECOND):
        with tenant(name):
            files.makedirs("reports", exist_ok=True)
            files.pipe("reports/a.txt", f"of {name}".encode())
            files.write_text("b.csv", "1,2")


def test_tenants_do_not_meet(files: TenantFiles) -> None:
    write(files)
    with tenant(FIRST):
        assert files.cat("reports/a.txt") == b"of acme"
        assert files.read_text("b.csv") == "1,2"
        with files.open("reports/a.txt", "rt") as file:
            assert file.read() == "of acme"
        files.rm("reports/a.txt")
        assert not files.exists("reports/a.txt")
        with pytest.raises(FileNotFoundError):
            files.cat("reports/a.txt")
    with tenant(SECOND):
        assert files.cat_file("reports/a.txt", start=3) == b"other-1"


def test_names_are_the_tenants_own(files: TenantFiles) -> None:
    write(files)
    with tenant(FIRST):
        assert sorted(files.ls("", detail=False)) == ["b.csv", "reports"]
        assert files.ls("reports", detail=False) == ["reports/a.txt"]
        assert sorted(files.find("")) == ["b.csv", "reports/a.txt"]
        assert files.glob("**/*.txt") == ["reports/a.txt"]
        assert files.glob("*") == ["b.csv", "reports"]
        assert [root for root, _, _ in files.walk("")] == ["", "reports"]
        assert files.info("reports/a.txt")["name"] == "reports/a.txt"
        assert files.info("reports/a.txt")["size"] == len("of acme")
        assert files.cat(["reports/a.txt", "b.csv"]) == {"reports/a.txt": b"of acme", "b.csv": b"1,2"}
        assert files.du("") == 10
        assert [files.isfile("b.csv"), files.isdir("b.csv"), files.isdir("reports")] == [True, False, True]


def test_copying_moving_deleting(files: TenantFiles, tmp_path: Path) -> None:
    write(files)
    with tenant(FIRST):
        files.cp("b.csv", "reports/c.csv")
        files.mv("reports/c.csv", "d.csv")
        assert sorted(files.find("")) == ["b.csv", "d.csv", "reports/a.txt"]
        files.get("d.csv", str(tmp_path / "taken"))
        assert (tmp_path / "taken").read_text() == "1,2"
        files.put(str(tmp_path / "taken"), "put.csv")
        files.touch("empty")
        assert files.size("empty") == 0
        files.rm("reports", recursive=True)
        assert sorted(files.find("")) == ["b.csv", "d.csv", "empty", "put.csv"]
        assert files.modified("b.csv").tzinfo is not None
        files.rm("*.csv")
        assert files.find("") == ["empty"]
    with tenant(SECOND):
        assert sorted(files.find("")) == ["b.csv", "reports/a.txt"]


def test_a_tenants_first_file_makes_its_folder(files: TenantFiles) -> None:
    with tenant("new"):
        files.pipe("a", b"1")
        assert files.cat("a") == b"1"


METHODS: list[Any] = [
    "cat", "cat_file", "open", "ls", "info", "exists", "lexists", "isdir", "isfile", "rm", "rm_file", "mkdir", "makedirs", "rmdir",
    "touch", "created", "modified", "ukey", "sign", "find", "glob", "size", "head", "read_text", "invalidate_cache", "checksum",
    "tail", "du", "stat", "delete", "read_bytes",
]  # fmt: skip


@pytest.mark.parametrize("path", ESCAPES, ids=repr)
def test_a_path_that_would_leave_is_refused(files: TenantFiles, path: str) -> None:
    write(files)
    with tenant(FIRST):
        for method in METHODS:
            with pytest.raises(TenantMismatch):
                getattr(files, method)(path)
        with pytest.raises(TenantMismatch):
            list(files.walk(path))
        for act in (
            lambda: files.pipe(path, b"planted"),
            lambda: files.pipe_file(path, b"planted"),
            lambda: files.write_text(path, "planted"),
            lambda: files.open(path, "wb"),
            lambda: files.cp(path, "taken"),
            lambda: files.cp_file("b.csv", path),
            lambda: files.mv(path, "taken"),
            lambda: files.mv("b.csv", path),
            lambda: files.get_file(path, os.devnull),
            lambda: files.put_file(os.devnull, path),
            lambda: files.cat([path, "b.csv"]),
            lambda: files.get_mapper(path)["secret"],
        ):
            with pytest.raises(TenantMismatch):
                act()
        assert sorted(files.find("")) == ["b.csv", "reports/a.txt"]
    with tenant(SECOND):
        assert sorted(files.find("")) == ["b.csv", "reports/a.txt"]


@pytest.mark.parametrize("method", METHODS)
def test_the_root_of_the_storage_is_refused(files: TenantFiles, method: str) -> None:
    write(files)
    with tenant(FIRST), pytest.raises(TenantMismatch):
        getattr(files, method)("/")


def test_paths_may_be_objects(files: TenantFiles) -> None:
    write(files)
    with tenant(FIRST):
        assert files.cat_file(Path("reports") / "a.txt") == b"of acme"
        with files.open(Path("b.csv"), "rb") as file:
            assert file.read() == b"1,2"
        for path in (Path("../other-1/b.csv"), Path("/etc/passwd"), b"../other-1/b.csv"):
            with pytest.raises((TenantMismatch, TypeError)):
                files.cat_file(path)


def test_without_a_tenant_nothing_is_touched(files: TenantFiles) -> None:
    write(files)
    for method in METHODS:
        with pytest.raises(TenantRequired):
            getattr(files, method)("b.csv")
    with across_tenants(reason="a test"), pytest.raises(TenantRequired, match="enter one"):
        files.cat("b.csv")


async def test_threads_of_async_handlers_keep_the_tenant(files: TenantFiles) -> None:
    async def one(name: str) -> bytes:
        with tenant(name):
            await asyncio.to_thread(files.pipe, "a", name.encode())
            await asyncio.sleep(0)
            return bytes(await asyncio.to_thread(files.cat, "a"))

    names = [f"tenant-{number}" for number in range(30)]
    assert await asyncio.gather(*map(one, names)) == [name.encode() for name in names]


# --- links of local files --------------------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> TenantFiles:
    """A tenant's folder with links that lead out of it, and one that doesn't."""
    files = TenantFiles(f"file://{tmp_path}/files")
    write(files)
    own = tmp_path / "files" / FIRST
    (own / "to_file").symlink_to(tmp_path / "files" / SECOND / "b.csv")
    (own / "to_folder").symlink_to(tmp_path / "files" / SECOND)
    (own / "relative").symlink_to("../other-1/b.csv")
    (own / "dangling").symlink_to(tmp_path / "files" / SECOND / "planted")
    (own / "around").symlink_to(own / "reports")
    return files


@pytest.mark.parametrize("path", ["to_file", "to_folder", "to_folder/b.csv", "relative", "dangling", "to_folder/new/x"])
def test_links_that_lead_out_are_refused(linked: TenantFiles, path: str, tmp_path: Path) -> None:
    with tenant(FIRST):
        for method in ("cat", "open", "ls", "info", "exists", "isdir", "rm", "rm_file", "mkdir", "touch", "modified"):
            with pytest.raises(TenantMismatch, match="link"):
                getattr(linked, method)(path)
        for act in (
            lambda: linked.pipe(path, b"x"),
            lambda: linked.cp("b.csv", path),
            lambda: linked.mv(path, "taken"),
        ):
            with pytest.raises(TenantMismatch, match="link"):
                act()
    assert not (tmp_path / "files" / SECOND / "planted").exists()


def test_listings_do_not_follow_links_out(linked: TenantFiles) -> None:
    with tenant(FIRST):
        assert sorted(linked.ls("", detail=False)) == ["around", "b.csv", "reports"]
        assert all("destination" not in info for info in linked.ls(""))
        assert linked.cat("around/a.txt") == b"of acme"
        assert sorted(linked.cat("**", on_error="omit")) == ["b.csv", "reports/a.txt"]


def test_a_root_that_is_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    files = TenantFiles(f"file://{tmp_path}/root")
    with tenant(FIRST):
        files.pipe("a", b"1")
        assert files.ls("", detail=False) == ["a"]
    assert (tmp_path / "real" / FIRST / "a").read_bytes() == b"1"


def test_a_tenants_folder_that_is_a_link_to_anothers_is_refused(tmp_path: Path) -> None:
    files = TenantFiles(f"file://{tmp_path}/files")
    write(files)
    (tmp_path / "files" / "third").symlink_to(tmp_path / "files" / FIRST)
    with tenant("third"), pytest.raises(TenantMismatch, match="link"):
        files.cat("b.csv")


# --- making one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["memory://", "file:///", "memory://a*", "memory://a/[b]"])
def test_roots_that_are_refused(root: str) -> None:
    with pytest.raises(NotConfigured):
        TenantFiles(root)


def test_a_path_on_a_given_file_system(tmp_path: Path) -> None:
    files = TenantFiles(f"{tmp_path}/files", fs=LocalFileSystem())
    with tenant(FIRST):
        files.pipe("a", b"1")
    assert (tmp_path / "files" / FIRST / "a").exists()
    again = pickle.loads(pickle.dumps(files))
    with tenant(FIRST):
        assert again.cat("a") == b"1"
    with tenant(SECOND):
        assert not again.exists("a")
    assert TenantFiles(f"{tmp_path}/files").fsid == "tenant-local"


def test_transactions_of_fsspec(tmp_path: Path) -> None:
    files = TenantFiles(f"file://{tmp_path}/files")
    with tenant(FIRST):
        files.makedirs("", exist_ok=True)
        with pytest.raises(ZeroDivisionError), files.transaction:  # noqa: PT012
            files.pipe("a", b"1")
            raise ZeroDivisionError
        assert not files.exists("a")
        with files.transaction:
            files.pipe("a", b"1")
        assert files.cat("a") == b"1"
