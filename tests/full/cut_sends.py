"""The line to a provider is cut after each send and before its acknowledgement, 5,000 times: nothing is lost, nothing done twice.

python -m tests.full.cut_sends                         every hosted provider, 5,000 cuts each; exit code 1 if anything is wrong
python -m tests.full.cut_sends --provider qstash --cuts 200

The vendor's double takes each request and then answers 500, so that the application can't know whether it did; in every fiftieth turn
it does so until the client gives up, and the relay hands out again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from time import perf_counter

from cgk_jobs import Event, Jobs, across_tenants
from cgk_jobs.examples.commerce.demo.vendors import Vendor
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.settings import Settings
from cgk_jobs.testing.peers.inngest import InngestPeer
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.qstash import QStashPeer
from cgk_jobs.testing.peers.trigger_dev import TriggerDevPeer

CUTS = 5_000
AT_ONCE = 3
INSTALLATIONS = 20
PEERS = {"inngest": InngestPeer, "qstash": QStashPeer, "trigger_dev": TriggerDevPeer}


class Cut(Event, name="full.cut"):
    number: int


class Door:
    """Where the application is reached, once there is one."""

    app: object = None

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        await self.app(scope, receive, send)  # type: ignore[operator]


async def cut(provider: str, cuts: int) -> tuple[int, int, int, int]:
    """Runs sent, lost and done twice, and the cuts there were."""
    door, done = Door(), Counter[int]()
    with tempfile.TemporaryDirectory() as folder:
        async with Loopback(door) as server, PEERS[provider](patience=0.1) as peer:
            values = peer.environment(server.url)
            keys = (values["JOBS_SIGNING_KEY"].encode(),) if "JOBS_SIGNING_KEY" in values else ()
            jobs = make(Path(folder), provider, server.url, Vendor(values, keys))

            @jobs.task(on=Cut)
            async def note(event: Cut) -> None:
                done[event.number] += 1

            await jobs.start(concurrency=50)
            door.app = jobs.asgi()
            sent = happened = turns = 0
            with across_tenants(reason="the ends are waited for"):
                while happened < cuts:
                    turns += 1
                    wanted = peer.faults.broken_after = 8 if turns % 50 == 0 else 1
                    answers = [
                        await jobs.send(Cut(tenant_id=f"t{number % 7}", number=sent + number))
                        for number in range(AT_ONCE)
                    ]
                    sent += len(answers)
                    await asyncio.gather(*[jobs.runs.wait(one.run_ids[0], timeout=120) for one in answers])
                    # What a wake-up that was taken all the same has rung for needs no second try.
                    happened += wanted - peer.faults.broken_after
                    peer.faults.broken_after = 0
            await jobs.stop()
            jobs.close()
    return sent, sent - len(done), sum(count - 1 for count in done.values()), happened


async def cut_all(provider: str, cuts: int) -> list[tuple[int, int, int, int]]:
    """In several installations at once: most of a cut is the wait before the next try."""
    each = -(-cuts // INSTALLATIONS)
    return await asyncio.gather(*[cut(provider, each) for _ in range(INSTALLATIONS)])


def make(folder: Path, provider: str, public_url: str, found: Vendor) -> Jobs:
    path = folder / "jobs.db"
    return Jobs(
        create_provider(
            Settings(
                provider=provider, database=path, full_sync=False, app="cut", folder=folder, ledger=str(path),
                public_url=public_url, signing_keys=found.signing_keys, values=dict(found.values),
            )
        )
    )  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Cut the line to a provider after each send.")
    parser.add_argument(
        "--provider", choices=sorted(PEERS), action="append", help="may be repeated; all of them without"
    )
    parser.add_argument("--cuts", type=int, default=CUTS)
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    wrong = False
    for provider in options.provider or sorted(PEERS):
        began = perf_counter()
        found = asyncio.run(cut_all(provider, options.cuts))
        sent, lost, doubled, happened = (sum(column) for column in zip(*found, strict=True))
        print(
            f"{provider}: {happened:,} cuts, {sent:,} runs, {lost} lost, {doubled} done twice, {perf_counter() - began:.0f} s",
            flush=True,
        )
        wrong |= bool(lost or doubled)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
