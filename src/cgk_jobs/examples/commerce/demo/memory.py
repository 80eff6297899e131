"""The most memory a process had."""

from __future__ import annotations

from pathlib import Path

__all__ = ["peak_mb"]


def peak_mb(pid: int | None = None) -> float:
    """Megabytes (``VmHWM``: ``ru_maxrss`` is inherited from the parent), or 0 where the system doesn't tell."""
    try:
        text = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM:")), 0.0)
