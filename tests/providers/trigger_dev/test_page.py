"""The code of ``docs/providers/trigger_dev.md`` that asks the vendor is run as printed, against the service's double."""

from __future__ import annotations

import textwrap
from typing import Any

from tests.acceptance.pages import ROOT, blocks

from cgk_jobs.providers.trigger_dev.provider import TriggerDevProvider
from cgk_jobs.testing.peers.trigger_dev import TriggerDevPeer


async def test_the_double() -> None:
    (code,) = blocks(ROOT / "docs" / "providers" / "trigger_dev.md", "python")
    names: dict[str, Any] = {"TriggerDevPeer": TriggerDevPeer, "TriggerDevProvider": TriggerDevProvider}
    exec(f"async def page():\n{textwrap.indent(code, '    ')}\n    return provider", names)
    provider = await names["page"]()
    assert isinstance(provider, TriggerDevProvider)
    await provider.close()
