"""Pages that repeat what the code says are compared with it."""

from __future__ import annotations

import re
from pathlib import Path

from cgk_jobs.engine.states import ALL_STATES, FINAL, TRANSITIONS

ROOT = Path(__file__).parents[2]


def states_page() -> str:
    """``docs/run-states.md`` as the table of the code has it."""
    lines = [
        "# States of a run",
        "",
        "Made from `engine/states.py`, the one table that code, tests and this page read.",
        "",
        "| from | to | when |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {before} | {after} | {why} |" for before, row in TRANSITIONS.items() for after, why in row.items()]
    lines += ["", f"A run in {', '.join(state for state in ALL_STATES if state in FINAL)} has ended.", ""]
    return "\n".join(lines)


def test_the_page_of_states_is_the_table() -> None:
    assert (ROOT / "docs" / "run-states.md").read_text(encoding="utf-8") == states_page()


def test_one_event_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "one-event.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "cgk_jobs"
    named = re.findall(r"`([a-z_/0-9]+(?:\.py|/))`", text)
    assert len(named) > 20
    missing = [name for name in named if not (package / name).exists()]
    statements = re.findall(r"`(?:engine/sqlite/queries/)?([a-z_]+\.sql)`", text)
    assert len(statements) > 5
    missing += [name for name in statements if not (package / "engine" / "sqlite" / "queries" / name).exists()]
    assert not missing


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken
