"""Inngest on this machine, for tests: its API as far as this package uses it, and its calls of the functions registered there."""

from cgk_jobs.testing.peers.inngest.peer import InngestPeer
from cgk_jobs.testing.peers.inngest.service import Asked, Faults, NativeRun

__all__ = ["Asked", "Faults", "InngestPeer", "NativeRun"]
