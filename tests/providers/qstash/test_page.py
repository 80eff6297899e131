"""The code of ``docs/providers/qstash.md`` that asks the vendor is run as printed, against the service's double."""

from __future__ import annotations

import textwrap
from typing import Any

from tests.acceptance.pages import ROOT, blocks
from tests.providers.qstash.conftest import Started
from tests.providers.qstash.harness import Ledger, make_wakeup

from cgk_jobs.providers.provider import Answer
from cgk_jobs.providers.qstash.provider import QStashProvider
from cgk_jobs.testing.peers.qstash import QStashPeer

DEAD_LETTERS, DOUBLE = blocks(ROOT / "docs" / "providers" / "qstash.md", "python")


async def run(code: str, *answers: str, **names: Any) -> tuple[Any, ...]:
    """Run a block that waits, and answer what it has given these names."""
    returned = f"    return {', '.join(answers)},"
    exec(f"async def page():\n{textwrap.indent(code, '    ')}\n{returned}", names)
    found: tuple[Any, ...] = await names["page"]()
    return found


async def test_dead_letters(peer: QStashPeer, application: Started, ledger: Ledger) -> None:
    provider = application()
    ledger.answers = [Answer("refused")]
    await provider.dispatch([make_wakeup(tenant="rawdog"), make_wakeup(tenant="acme")])
    while peer.messages:
        await peer.settled()
    letters, more = await run(DEAD_LETTERS, "letters", "more", provider=provider)
    assert [letter.labels for letter in letters] == [("tenant-rawdog",)]
    assert more == ""
    assert letters[0].id not in peer.dead, "it is rung again"
    assert len(peer.dead) == 1


async def test_the_double() -> None:
    (provider,) = await run(DOUBLE, "provider", QStashPeer=QStashPeer, QStashProvider=QStashProvider)
    assert isinstance(provider, QStashProvider)
    await provider.close()
