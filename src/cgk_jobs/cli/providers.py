"""``cgk jobs providers``: what each can do, as the code says."""

from __future__ import annotations

from dataclasses import asdict

import click

from cgk_jobs.cli.console import show_json
from cgk_jobs.cli.options import json_option
from cgk_jobs.cli.tables import Column, show_table

__all__ = ["providers"]


@click.command()
@json_option
def providers(*, as_json: bool) -> None:
    """Show what each provider does natively, and what this package does instead."""
    from cgk_jobs.providers.registry import CAPABILITIES

    found = {name: asdict(capabilities) for name, capabilities in CAPABILITIES.items()}
    if as_json:
        show_json({"providers": {name: {"available": True, "capabilities": known} for name, known in found.items()}})
        return
    capabilities = list(next(iter(found.values())))
    columns = [Column("PROVIDER")]
    columns += [Column(name.replace("_", " ").upper(), optional=at) for at, name in enumerate(capabilities, 1)]
    rows = [[name, *[_word(*item) for item in known.items()]] for name, known in found.items()]
    show_table(columns, rows)


def _word(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "native" if value else "no"
    if name == "longest_delay":
        return "no limit" if value is None else f"{float(str(value)) / 86_400:g} days"
    return str(value)
