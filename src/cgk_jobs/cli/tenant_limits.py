"""``cgk jobs tenants limit`` and ``usage``: what a tenant may use, and what it does use."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import say, show_json
from cgk_jobs.cli.formats import duration, moment
from cgk_jobs.cli.options import app_option, json_option
from cgk_jobs.cli.tables import show_fields
from cgk_jobs.errors import InvalidEvent

if TYPE_CHECKING:
    from cgk_jobs.engine.quotas import Quota
    from cgk_jobs.tasks.policy import Rate
    from cgk_jobs.tenants import Usage

__all__ = ["limit", "tenant_argument", "usage"]

tenant_argument = click.argument("tenant_id", metavar="TENANT")

_NONE = "none"


class _Parsed(click.ParamType[Any]):
    """Numbers parted by slashes, or ``none`` to lift what there is."""

    def __init__(self, name: str, example: str) -> None:
        self.name = name
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if value == _NONE:
            return _NONE
        try:
            return self.parsed(value.split("/"))
        except (ValueError, InvalidEvent) as error:
            self.fail(f"{value!r}: write {self.name}, for example {self._example}, or none ({error})", param, ctx)

    def parsed(self, parts: list[str]) -> Any:
        raise NotImplementedError(f"{type(self).__name__} says what its numbers mean")


class _Number(_Parsed):
    def parsed(self, parts: list[str]) -> Any:
        (number,) = parts
        return float(number) if self.name == "SHARE" else int(number)


class _Starts(_Parsed):
    def parsed(self, parts: list[str]) -> Rate:
        from cgk_jobs.tasks.policy import Rate

        starts, seconds = (*parts, "1")[:2] if len(parts) < 3 else parts
        return Rate(int(starts), seconds=float(seconds), per="tenant")


class _Quota(_Parsed):
    def parsed(self, parts: list[str]) -> Quota:
        from cgk_jobs.engine.quotas import Quota

        seconds = float(parts.pop()) if "SECONDS" in self.name else None
        *before, hard = parts
        (soft,) = before or ["-"]
        return Quota(soft=None if soft == "-" else int(soft), hard=None if hard == "-" else int(hard), seconds=seconds)


@click.command()
@tenant_argument
@click.option("--share", "weight", type=_Number("SHARE", "2"), help="Its share against the others; 1 is the default.")
@click.option("--concurrency", type=_Number("N", "10"), help="Runs at the same time, over all its tasks.")
@click.option("--rate", type=_Starts("N/SECONDS", "100/60"), help="Starts per time, over all its tasks: 100/60.")
@click.option(
    "--queued",
    type=_Quota("SOFT/HARD", "800/1000"),
    help="Runs that have not ended: 800/1000, or 1000 without a warning.",
)
@click.option(
    "--payload-bytes", type=_Quota("SOFT/HARD", "8000000/10000000"), help="Bytes of the payloads of those runs."
)
@click.option(
    "--sends", type=_Quota("SOFT/HARD/SECONDS", "900/1000/60"), help="Events sent per time: 900/1000/60, or 1000/60."
)
@click.option("--unlimited", is_flag=True, help="Lift all its limits and quotas first.")
@app_option
@json_option
def limit(*, tenant_id: str, app: str | None, as_json: bool, unlimited: bool, **options: Any) -> None:
    """Change a tenant's share, limits or quotas, at once. `none` in the place of a value lifts one.

    At the first number of a quota a warning is given, beyond the second sends are refused; 800/- only warns.
    """
    given = {name: None if value == _NONE else value for name, value in options.items() if value is not None}
    if not given and not unlimited:
        raise click.UsageError(
            "nothing to change: give --share, --concurrency, --rate, --queued, --payload-bytes, --sends or --unlimited"
        )
    with opened(app, create=True) as jobs:
        asyncio.run(jobs.tenants.limit(tenant_id, unlimited=unlimited, **given))
        found = asyncio.run(jobs.tenants.usage(tenant_id))
    if as_json:
        show_json({**asdict(found.limits), "quotas": _quotas(found)})
    else:
        say(f"{tenant_id}'s limits are changed; they hold from now on.")


@click.command()
@tenant_argument
@click.option(
    "--by", type=click.Choice(["hour", "day"]), default="day", help="Count sends and finishes by hour or day."
)
@click.option("--periods", type=click.IntRange(1, 1000), default=7, help="How many hours or days; 7 is the default.")
@app_option
@json_option
def usage(*, tenant_id: str, by: Any, periods: int, app: str | None, as_json: bool) -> None:
    """Show what a tenant uses: its runs, the text they keep, its sends, its quotas."""
    with opened(app) as jobs:
        found = asyncio.run(jobs.tenants.usage(tenant_id, by=by, periods=periods))
    if as_json:
        document = asdict(found)
        document["tenant"] = document.pop("tenant_id")
        document["unfinished"] = found.unfinished
        document["oldest_waiting"] = None if found.oldest_waiting is None else found.oldest_waiting.total_seconds()
        show_json({**document, "quotas": _quotas(found)})
        return
    show_fields(
        [
            *sorted(found.states.items()),
            ("unfinished", found.unfinished),
            ("attempts", found.attempts),
            ("payload bytes", found.payload_bytes),
            ("result bytes", found.result_bytes),
            ("log bytes", found.log_bytes),
            (
                "oldest waiting",
                None if found.oldest_waiting is None else duration(found.oldest_waiting.total_seconds()),
            ),
            *[
                (moment(period.start), f"{period.sends} sent, {sum(period.finished.values())} finished")
                for period in found.periods
            ],
            *[(f"quota of {quota.name}", _shown(quota)) for quota in found.quotas],
            ("refused ticks", found.refused_ticks or None),
        ]
    )


def _quotas(found: Usage) -> list[dict[str, Any]]:
    return [{**asdict(quota), "share": quota.share, "level": quota.level} for quota in found.quotas]


def _shown(quota: Any) -> str:
    ends = "/".join(["-" if end is None else str(end) for end in (quota.soft, quota.hard)])
    window = "" if quota.seconds is None else f" in {quota.seconds:g} s"
    return f"{quota.used} of {ends}{window}, {quota.share:.0%}, {quota.level}"
