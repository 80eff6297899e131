"""Virtual time for several processes: eight bytes of a file that one process writes and all read."""

from __future__ import annotations

import mmap
import struct
from datetime import datetime
from pathlib import Path

from cgk_jobs.clock import to_micros

__all__ = ["SharedClock", "SharedCount"]

_WORD = struct.Struct("<q")


class SharedCount:
    """A number in a file: written by one process, read by others, without any call of the system."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_WORD.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _WORD.size)

    @property
    def value(self) -> int:
        """What was written last."""
        number: int = _WORD.unpack_from(self._memory)[0]
        return number

    @value.setter
    def value(self, number: int) -> None:
        _WORD.pack_into(self._memory, 0, number)


class SharedClock:
    """A clock that stands still until its owner moves it (``cgk_jobs.clock.Clock``)."""

    manual = True

    def __init__(self, path: Path) -> None:
        self._count = SharedCount(path)

    def micros(self) -> int:
        """Microseconds since 1970 UTC."""
        return self._count.value

    def set(self, moment: datetime) -> None:
        """Move it to an aware datetime."""
        self._count.value = to_micros(moment)
