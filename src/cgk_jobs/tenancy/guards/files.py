"""A tenant's folder, on any file system that fsspec knows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from cgk_jobs.errors import NotConfigured, TenantMismatch
from cgk_jobs.tenancy.context import current_tenant

if TYPE_CHECKING:

    class AbstractFileSystem:
        """fsspec has no types. This is what is used of it here; the rest is ``Any``."""

        def __init__(self, **options: Any) -> None: ...
        def expand_path(self, path: Any, maxdepth: int | None = None) -> list[str]: ...
        def __getattr__(self, name: str) -> Any: ...

    def url_to_fs(url: str, **options: Any) -> tuple[AbstractFileSystem, str]: ...

else:
    try:
        from fsspec.core import url_to_fs
        from fsspec.spec import AbstractFileSystem
    except ImportError as missing:
        raise NotConfigured("the files of a tenant need fsspec: pip install 'cgk-jobs[storage]'") from missing

__all__ = ["TenantFiles"]


class TenantFiles(AbstractFileSystem):
    """The current tenant's folder below ``root``, as a file system of fsspec.

    ``root`` is a URL such as ``s3://bucket/files`` or ``file:///srv/files``, with ``options`` for its file system; or a path on the
    ``fs`` given, a file system of fsspec. Paths are relative to the tenant's folder. One that would leave it raises ``TenantMismatch``: absolute, with
    ``..``, of another protocol, or, for local files, through a symbolic link. (Links are looked at when a path is used; who can
    make links in the folder while a handler runs can win that race, so give nobody but the application a way to make them.)

    Its methods block, whatever the file system: call them in async handlers by ``asyncio.to_thread``, which keeps the tenant.
    """

    protocol = "tenant"
    cachable = False  # an instance follows the current tenant: it is nobody's in particular

    def __init__(self, root: str, *, fs: Any = None, **options: Any) -> None:
        super().__init__()
        if fs is None:
            fs, root = url_to_fs(root, **options)
        self._fs = fs
        self._root: str = str(self._fs._strip_protocol(root)).rstrip("/")
        self._local = bool(getattr(fs, "local_file", False))
        if not self._root:
            raise NotConfigured(f"{root!r} is a whole file system: name a folder in it for the tenants' folders")
        if any(character in self._root for character in "*?["):
            raise NotConfigured(f"{root!r} has characters in it that patterns are made of: choose another folder")

    @property
    def fsid(self) -> str:
        """What tells this storage from others."""
        return f"tenant-{self._fs.fsid}"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """The path as it is, checked: every method of fsspec begins with it."""
        if isinstance(path, list):
            return [_checked(one) for one in cast("Iterable[Any]", path)]
        return _checked(path)

    def _folder(self) -> str:
        return f"{self._root}/{current_tenant()}"

    def _inside(self, path: Any) -> str:
        """The full path in the storage. Raises ``TenantMismatch`` if it would leave the folder."""
        bare = self._strip_protocol(path)
        folder = self._folder()
        full = f"{folder}/{bare}" if bare else folder
        if self._leads_out(full):
            raise TenantMismatch(f"{path!r} leads out of the tenant's folder by a symbolic link")
        return full

    def _leads_out(self, full: str) -> bool:
        """Whether a path of local files, its links followed, is outside the tenant's folder."""
        if not self._local:
            return False
        folder = f"{os.path.realpath(self._root)}{os.sep}{current_tenant()}"
        real = os.path.realpath(full)
        return real != folder and not real.startswith(folder + os.sep)

    def _bare(self, full: str) -> str:
        """The path as the tenant sees it."""
        folder = str(self._fs._strip_protocol(self._folder())).strip("/")
        return str(self._fs._strip_protocol(full)).strip("/")[len(folder) :].lstrip("/")

    def _shown(self, info: dict[str, Any]) -> dict[str, Any]:
        shown = {key: value for key, value in info.items() if key != "destination"}
        return {**shown, "name": self._bare(info["name"])}

    # What fsspec builds all else upon (walk, find, glob, cat, get, put, copy, mv, …).

    def ls(self, path: Any, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Names, or infos, of what is in a folder, without links that lead out of it."""
        infos: Iterable[dict[str, Any]] = self._fs.ls(self._inside(path), detail=True, **kwargs)
        shown = [self._shown(info) for info in infos if not self._leads_out(info["name"])]
        return shown if detail else sorted(info["name"] for info in shown)

    def info(self, path: Any, **kwargs: Any) -> dict[str, Any]:
        """Size, type and more of a file or folder."""
        return self._shown(self._fs.info(self._inside(path), **kwargs))

    def exists(self, path: Any, **kwargs: Any) -> bool:
        """Whether it is there."""
        return bool(self._fs.exists(self._inside(path), **kwargs))

    def lexists(self, path: Any, **kwargs: Any) -> bool:
        """Whether it is there; links out of the folder are refused all the same."""
        return self.exists(path, **kwargs)

    def isdir(self, path: Any) -> bool:
        """Whether it is a folder."""
        return bool(self._fs.isdir(self._inside(path)))

    def isfile(self, path: Any) -> bool:
        """Whether it is a file."""
        return bool(self._fs.isfile(self._inside(path)))

    def _open(self, path: Any, mode: str = "rb", block_size: Any = None, autocommit: bool = True, **kwargs: Any) -> Any:
        full = self._inside(path)
        try:
            return self._fs._open(full, mode=mode, block_size=block_size, autocommit=autocommit, **kwargs)
        except FileNotFoundError:
            if "r" in mode or self._fs.exists(self._folder()):
                raise
        # The tenant's first file.
        self._fs.makedirs(self._folder(), exist_ok=True)
        return self._fs._open(full, mode=mode, block_size=block_size, autocommit=autocommit, **kwargs)

    def cat_file(self, path: Any, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """A file's content, or a part of it."""
        content: bytes = self._fs.cat_file(self._inside(path), start=start, end=end, **kwargs)
        return content

    def cp_file(self, path1: Any, path2: Any, **kwargs: Any) -> None:
        """Copy a file."""
        self._fs.cp_file(self._inside(path1), self._inside(path2), **kwargs)

    def rm_file(self, path: Any) -> None:
        """Delete a file."""
        self._fs.rm_file(self._inside(path))

    def _rm(self, path: Any) -> None:
        self.rm_file(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete files and, with ``recursive``, folders."""
        for one in self.expand_path(path, maxdepth=None):
            self._fs.rm(self._inside(one), recursive=recursive, maxdepth=maxdepth)

    def mkdir(self, path: Any, create_parents: bool = True, **kwargs: Any) -> None:
        """Make a folder."""
        self._fs.mkdir(self._inside(path), create_parents=create_parents, **kwargs)

    def makedirs(self, path: Any, exist_ok: bool = False) -> None:
        """Make a folder and those above it."""
        self._fs.makedirs(self._inside(path), exist_ok=exist_ok)

    def rmdir(self, path: Any) -> None:
        """Delete an empty folder."""
        self._fs.rmdir(self._inside(path))

    def touch(self, path: Any, truncate: bool = True, **kwargs: Any) -> None:
        """Make an empty file, or empty one."""
        self._fs.touch(self._inside(path), truncate=truncate, **kwargs)

    def created(self, path: Any) -> Any:
        """When it was made."""
        return self._fs.created(self._inside(path))

    def modified(self, path: Any) -> Any:
        """When it was changed last."""
        return self._fs.modified(self._inside(path))

    def ukey(self, path: Any) -> Any:
        """Changes with the content."""
        return self._fs.ukey(self._inside(path))

    def sign(self, path: Any, expiration: int = 100, **kwargs: Any) -> Any:
        """A URL that gives who has it access to this one file for ``expiration`` seconds."""
        return self._fs.sign(self._inside(path), expiration=expiration, **kwargs)

    def invalidate_cache(self, path: Any = None) -> None:
        """Forget cached listings."""
        self._fs.invalidate_cache(None if path is None else self._inside(path))


def _checked(path: str | os.PathLike[str]) -> str:
    """A path inside the folder, without the / at its end. Raises ``TenantMismatch`` for one that could lead out of it."""
    text = os.fspath(path)
    if text.startswith(("/", "~")) or any(sign in text for sign in ("://", "::", "\\", "\0")):
        raise TenantMismatch(
            f"{text!r} is not a path inside the tenant's folder: use a relative one, with / between names"
        )
    bare = text.rstrip("/")
    if bare and any(part in ("", ".", "..") for part in bare.split("/")):
        raise TenantMismatch(f"{text!r} may leave the tenant's folder: write it without . and .. and empty names")
    return bare
