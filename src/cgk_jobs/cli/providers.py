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
    from cgk_jobs.settings import PROVIDERS

    found = {name: asdict(capabilities) for name, capabilities in CAPABILITIES.items()}
    if as_json:
        show_json(
            {"providers": {name: {"available": name in found, "capabilities": found.get(name)} for name in PROVIDERS}}
        )
        return
    capabilities = list(next(iter(found.values())))
    columns = [Column("PROVIDER"), Column("AVAILABLE", colour=_colour)]
    columns += [Column(name.replace("_", " ").upper(), optional=at) for at, name in enumerate(capabilities, 1)]
    rows: list[list[str]] = []
    for name in PROVIDERS:
        known = found.get(name)
        cells = [""] * len(capabilities) if known is None else [_word(*item) for item in known.items()]
        rows.append([name, "yes" if known is not None else "not in this version", *cells])
    show_table(columns, rows)


def _word(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "native" if value else "no"
    if name == "longest_delay":
        return "no limit" if value is None else f"{float(str(value)) / 86_400:g} days"
    return str(value)


def _colour(cell: str) -> str | None:
    return "green" if cell == "yes" else None
