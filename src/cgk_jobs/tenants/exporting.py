"""Writing an export: JSON lines, a header first, an end last, in portions, so that its size is no matter of memory."""

from __future__ import annotations

import asyncio
import io
import os
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import IO, Any

from cgk_jobs.engine.exporting import ExportRow
from cgk_jobs.tenants.views import Exported
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import dumps

__all__ = ["FORMAT", "write_export", "write_file"]

FORMAT = 1
"""The version of the lines."""
_WITH_ID = frozenset({"run", "event"})

Rows = AsyncGenerator[list[ExportRow], None]


async def write_file(path: Path, tenant_id: str, exported_at: str, rows: Rows) -> Exported:
    """Write an export to ``path``, readable by this user alone. The file appears when it is whole."""
    part = path.with_name(path.name + ".part")

    def open_part() -> IO[bytes]:
        return open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))

    file = await asyncio.to_thread(open_part)
    try:
        with file:
            exported = await write_export(file, tenant_id, exported_at, rows)
            await asyncio.to_thread(_flush, file)
        await asyncio.to_thread(part.replace, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return exported


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


async def write_export(to: IO[Any], tenant_id: str, exported_at: str, rows: Rows) -> Exported:
    """Write an export to a file that is open. It stays open."""
    counts: Counter[str] = Counter()
    size = 0
    async with aclosing(rows):
        async for portion in rows:
            text = "".join([_line(one, tenant_id, exported_at) for one in portion])
            counts.update([one.kind for one in portion if one.kind != "header"])
            size += await asyncio.to_thread(_write, to, text)
    size += await asyncio.to_thread(_write, to, dumps({"kind": "end", "rows": counts.total()}) + "\n")
    return Exported(tenant_id, dict(counts), size)


def _line(one: ExportRow, tenant_id: str, exported_at: str) -> str:
    if one.kind == "header":
        head = {"kind": "header", "format": FORMAT, "tenant_id": tenant_id, "exported_at": exported_at, **one.row}
        return dumps(head) + "\n"
    document: dict[str, Any] = {"kind": one.kind}
    if one.kind in _WITH_ID:
        document["id"] = to_id(one.row["seq"], one.row["nonce"])
    return dumps({**document, "row": one.row}) + "\n"


def _write(to: IO[Any], text: str) -> int:
    data = text.encode()
    to.write(text if isinstance(to, io.TextIOBase) else data)
    return len(data)
