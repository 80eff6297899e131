"""QStash on this machine: takes messages and schedules as the service does, refuses what it refuses, and calls back, signed.

    async with QStashPeer() as peer:
        provider = QStashProvider.from_settings(peer.environment(public_url))

Checked against the vendor's two libraries, as clients and as readers of the signatures. What differs: waits between tries can
be shortened, addresses of this machine are taken, and headers the service would ignore are refused, so that a mistake shows.
"""

from cgk_jobs.testing.peers.qstash.faults import Faults, Limits
from cgk_jobs.testing.peers.qstash.peer import QStashPeer
from cgk_jobs.testing.peers.qstash.tokens import sign

__all__ = ["Faults", "Limits", "QStashPeer", "sign"]
