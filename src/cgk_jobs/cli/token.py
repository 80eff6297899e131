"""``cgk jobs token``: tokens for the API, and taking one back."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import result, say, show_json
from cgk_jobs.cli.options import app_option, json_option

__all__ = ["token"]

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd])").fullmatch
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@click.command()
@click.option("--tenant", "tenants", multiple=True, metavar="TENANT", help="For this tenant; may be repeated.")
@click.option("--all-tenants", is_flag=True, help="For all tenants.")
@click.option(
    "--action",
    "actions",
    multiple=True,
    type=click.Choice(["read", "payload", "send", "act"]),
    help="May be repeated; read alone if not given.",
)
@click.option("--run", "run_id", metavar="RUN", help="For this run alone: its state and progress.")
@click.option("--expires", default="1h", show_default=True, metavar="SPAN", help="30s, 15m, 1h or 7d; at most 90d.")
@click.option(
    "--revoke", metavar="TOKEN", help="Instead: refuse this token from now on; - reads it from standard input."
)
@app_option
@json_option
def token(
    *, tenants: tuple[str, ...], all_tenants: bool, actions: tuple[str, ...], run_id: str | None, expires: str,
    revoke: str | None, app: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a token for the API, signed with JOBS_SIGNING_KEY."""
    if revoke is not None:
        _revoke(sys.stdin.readline().strip() if revoke == "-" else revoke, app, as_json)
        return
    if bool(tenants) == all_tenants:
        raise click.UsageError("for which tenant? Give --tenant TENANT, or --all-tenants")
    if run_id is not None and (len(tenants) != 1 or actions):
        raise click.UsageError("--run goes with one --tenant and without --action: its token reads that run alone")
    span = _SPAN(expires)
    if span is None:
        raise click.BadParameter(f"{expires!r}: a number with s, m, h or d, such as 1h", param_hint="--expires")
    granted: dict[str, Any] = {"expires": float(span[1]) * _SECONDS[span[2]]}
    with opened(app) as jobs:
        if run_id is not None:
            made = jobs.tokens.for_run(run_id, tenant_id=tenants[0], **granted)
        else:
            made = jobs.tokens.issue(tenants=tenants or None, actions=actions or ("read",), **granted)
        if as_json:
            show_json({"token": made, "expires_at": jobs.tokens.expires_at(made)})
            return
    result(made)


def _revoke(text: str, app: str | None, as_json: bool) -> None:
    with opened(app) as jobs:
        first = asyncio.run(jobs.tokens.revoke(text))
    if as_json:
        show_json({"revoked": True, "before": not first})
        return
    say("The token is revoked." if first else "The token had been revoked before.")
