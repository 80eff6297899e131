"""What measures ask of the machine: another process, and how much memory this one took."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

__all__ = ["in_another_process", "peak_mb"]


async def in_another_process(module: str, function: str, ledger: str, count: int) -> None:
    """Run ``function(ledger, count)`` of a module in a Python of its own. Raises ``RuntimeError`` if it fails."""
    code = (
        f"import asyncio,sys; from {module} import {function}; asyncio.run({function}(sys.argv[1], int(sys.argv[2])))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, ledger, str(count))
    if await process.wait():
        raise RuntimeError(f"the process that was to {function} ended with {process.returncode}")


def peak_mb() -> float:
    """The most memory this process had. ``VmHWM``, since ``ru_maxrss`` is inherited from the parent; 0 where unknown."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    kilobytes = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
    return int(kilobytes) / 1024
