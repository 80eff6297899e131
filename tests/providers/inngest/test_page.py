"""The code of ``docs/providers/inngest.md`` that asks the vendor is run as printed, against the service's double."""

from __future__ import annotations

import textwrap
from typing import Any

from tests.acceptance.pages import ROOT, blocks

from cgk_jobs.providers.inngest.provider import InngestProvider
from cgk_jobs.testing.peers.inngest import InngestPeer


async def test_the_double() -> None:
    *_, code = blocks(ROOT / "docs" / "providers" / "inngest.md", "python")
    names: dict[str, Any] = {"InngestPeer": InngestPeer, "InngestProvider": InngestProvider}
    exec(f"async def page():\n{textwrap.indent(code, '    ')}\n    return provider", names)
    provider = await names["page"]()
    assert isinstance(provider, InngestProvider)
    await provider.close()
