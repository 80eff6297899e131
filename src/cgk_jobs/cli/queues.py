"""``cgk jobs queues``: which there are, and pausing them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import result, say, show_json
from cgk_jobs.cli.options import ListByDefault, app_option, json_option
from cgk_jobs.cli.tables import Column, show_table

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs

__all__ = ["queues"]

_COLUMNS = (
    Column("QUEUE", shrinks=True),
    Column("TASKS", right=True),
    Column("PAUSED", optional=1, colour=lambda _: "yellow"),
)


@click.group(cls=ListByDefault)
def queues() -> None:
    """List queues; pause and resume them."""


async def _tasks_of(jobs: Jobs) -> dict[str, int]:
    """How many tasks each queue has, as far as processes that started have told the ledger."""
    found: dict[str, int] = {}
    for row in await jobs.provider.store.reads.subscriptions():
        found[row.queue] = found.get(row.queue, 0) + 1
    return found


async def _state(jobs: Jobs) -> tuple[dict[str, int], list[str]]:
    return await _tasks_of(jobs), await jobs.queues.paused()


@queues.command("list")
@app_option
@json_option
def list_queues(*, app: str | None, as_json: bool) -> None:
    """List the queues the ledger knows."""
    with opened(app) as jobs:
        tasks, paused = asyncio.run(_state(jobs))
    names = sorted({*tasks, *paused})
    if as_json:
        show_json({"queues": [{"name": name, "tasks": tasks.get(name, 0), "paused": name in paused} for name in names]})
        return
    if not names:
        say("No process has declared a task yet, so there is no queue.")
        return
    show_table(_COLUMNS, [(name, tasks.get(name, 0), "paused" if name in paused else None) for name in names])


@queues.command("paused")
@app_option
@json_option
def list_paused(*, app: str | None, as_json: bool) -> None:
    """List paused queues."""
    with opened(app) as jobs:
        paused = asyncio.run(jobs.queues.paused())
    if as_json:
        show_json({"paused": paused})
        return
    if not paused:
        say("No queue is paused.")
    for name in paused:
        result(name)


@queues.command()
@click.argument("name", metavar="QUEUE")
@app_option
@json_option
def pause(*, name: str, app: str | None, as_json: bool) -> None:
    """Start no more runs of a queue, of any tenant. Running ones end; sends are stored."""

    async def change() -> None:
        if name not in await _tasks_of(jobs):
            say(f"No task of a process that started uses queue {name}; it is paused all the same.", fg="yellow")
        await jobs.queues.pause(name)

    with opened(app) as jobs:
        asyncio.run(change())
    _done(name, True, as_json)


@queues.command()
@click.argument("name", metavar="QUEUE")
@app_option
@json_option
def resume(*, name: str, app: str | None, as_json: bool) -> None:
    """Start a paused queue's runs again."""
    with opened(app) as jobs:
        asyncio.run(jobs.queues.resume(name))
    _done(name, False, as_json)


def _done(name: str, paused: bool, as_json: bool) -> None:
    if as_json:
        show_json({"queue": name, "paused": paused})
        return
    say(f"Queue {name} is paused." if paused else f"Queue {name} runs again.")
