"""``cgk jobs vercel generate``, and what the vendor's own command line says of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.servers.node import NodeProject, node_project

from cgk_jobs.cli.main import cgk
from cgk_jobs.providers import vercel_cron
from cgk_jobs.providers.vercel_cron.crons import EVERY, entry

EXAMPLE = Path(vercel_cron.__file__).parents[2] / "examples" / "vercel"
APP = """
from cgk_jobs import Jobs, Tick

jobs = Jobs("sqlite:///jobs.db")


@jobs.cron("0 6 * * *", timezone="Europe/Berlin", tenants="seen")
async def report(tick: Tick) -> None: ...


@jobs.cron("*/15 * * * *", tenants="seen")
async def sync(tick: Tick) -> None: ...


@jobs.cron("0 9 * * MON", timezone="America/New_York", tenants="seen")
async def digest(tick: Tick) -> None: ...
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBS_PUBLIC_URL", "https://shop.example/jobs")
    Path("vercel_shop.py").write_text(APP)
    Path("pyproject.toml").write_text('[tool.cgk-jobs]\napp = "vercel_shop:jobs"\n')
    return tmp_path


def generate(*arguments: str) -> Result:
    return CliRunner().invoke(cgk, ["jobs", "vercel", "generate", *arguments])


def config(project: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((project / "vercel.json").read_text())
    return found


def test_it_shows_writes_and_then_has_nothing_to_do(project: Path) -> None:
    shown = generate()
    assert shown.exit_code == 0
    assert '+      "path": "/jobs/cron/tick",' in shown.output
    assert not (project / "vercel.json").exists()
    assert generate("--check").exit_code == 1
    assert generate("--write").exit_code == 0
    assert config(project)["crons"] == [{"path": "/jobs/cron/tick", "schedule": "* * * * *"}]
    before = (project / "vercel.json").read_bytes()
    assert generate("--check").exit_code == 0
    assert "as it should be" in generate("--write").output
    assert (project / "vercel.json").read_bytes() == before


def test_what_others_wrote_stays(project: Path) -> None:
    mine = {
        "functions": {"api/index.py": {"maxDuration": 60}},
        "crons": [{"path": "/api/mine", "schedule": "0 5 * * *"}],
    }
    (project / "vercel.json").write_text(json.dumps(mine, indent=4))
    assert generate("--write").exit_code == 0
    assert generate("--write", "--every", "5").exit_code == 0
    assert config(project) == {
        "functions": mine["functions"],
        "crons": [
            {"path": "/api/mine", "schedule": "0 5 * * *"},
            {"path": "/jobs/cron/tick", "schedule": "*/5 * * * *"},
        ],
    }
    assert '\n    "functions"' in (project / "vercel.json").read_text(), "indented as it was"


def test_hobby_says_what_it_can_t_keep(project: Path) -> None:
    shown = generate("--plan", "hobby", "--write", "--at", "05:30")
    assert shown.exit_code == 0, shown.output
    assert config(project)["crons"] == [{"path": "/jobs/cron/tick", "schedule": "30 5 * * *"}]
    assert "can't be kept (1): sync" in shown.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "one JSON object"),
        ('{"crons": {}}', "must be a list"),
        ('{"crons": ["x"]}', "must be an object"),
        (json.dumps({"crons": [{"path": f"/{n}", "schedule": "* * * * *"} for n in range(100)]}), "takes 100"),
    ],
)
def test_a_file_that_can_t_be_merged_with_stays_as_it_is(project: Path, text: str, said: str) -> None:
    (project / "vercel.json").write_text(text)
    refused = generate("--write")
    assert refused.exit_code == 3
    assert said in refused.output
    assert (project / "vercel.json").read_text() == text


@pytest.mark.parametrize(
    "arguments",
    [
        ("--write", "--check"),
        ("--plan", "hobby", "--every", "5"),
        ("--at", "05:00"),
        ("--plan", "hobby", "--at", "25:00"),
        ("--every", "7"),
    ],
)
def test_what_makes_no_sense_is_refused(project: Path, arguments: tuple[str, ...]) -> None:
    assert generate(*arguments).exit_code == 2
    assert not (project / "vercel.json").exists()


def test_it_must_know_where_the_application_is_mounted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBS_PUBLIC_URL")
    refused = generate()
    assert refused.exit_code == 2
    assert "--mount" in refused.output
    assert '"/cron/tick"' in generate("--mount", "/").output
    assert '"/a/b/cron/tick"' in generate("--mount", "a/b/").output


# -- the vendor's word -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vendor() -> NodeProject:
    return node_project(Path(__file__).parent / "node")


def test_the_vendor_takes_every_file_we_write(vendor: NodeProject) -> None:
    files: list[Any] = [{"crons": [entry("/jobs", "pro", every=every)]} for every in EVERY]
    files += [{"crons": [entry("", "hobby", at=(23, 59))]}]
    files += [{"$schema": "https://openapi.vercel.sh/vercel.json", "crons": [entry("/jobs", "pro")]}]
    files += [json.loads((EXAMPLE / "vercel.json").read_text())]
    for file, (taken, wrong) in zip(files, vendor.ask("validate.mjs", files), strict=True):
        assert taken, (file, wrong)


def test_the_vendor_refuses_what_is_no_cron_of_its(vendor: NodeProject) -> None:
    """Or it would have been asked nothing."""
    ours = entry("/jobs", "pro")
    wrong = [{"crons": [{**ours, **change}]} for change in ({"path": "jobs"}, {"timezone": "UTC"}, {"schedule": "x"})]
    assert [taken for taken, _ in vendor.ask("validate.mjs", wrong)] == [False] * 3
