"""Trigger.dev on this machine, for tests: its API as far as this package uses it, and the generated tasks, which call back."""

from cgk_jobs.testing.peers.trigger_dev.faults import Faults
from cgk_jobs.testing.peers.trigger_dev.peer import TriggerDevPeer
from cgk_jobs.testing.peers.trigger_dev.runs import Asked, NativeRun

__all__ = ["Asked", "Faults", "NativeRun", "TriggerDevPeer"]
