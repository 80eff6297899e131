"""What the vendor's own code says: of what is sent to it, of the generated projects, and of what becomes of a call's answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.providers.qstash.harness import Ledger, Mounted, make_wakeup
from tests.providers.trigger_dev.vendor import Compiled, generate
from tests.servers.node import NodeProject, node_project

from cgk_jobs.clock import SystemClock
from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.providers.provider import Answer, Call
from cgk_jobs.providers.trigger_dev.provider import TriggerDevProvider
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.trigger_dev import TriggerDevPeer
from cgk_jobs.wire.json import loads
from cgk_jobs.wire.request_signing import RequestSigner

MOUNT = "/jobs"
KEYS = ["a-signing-key-of-thirty-two-characters", "the-one-before-it-of-thirty-two-chars"]


@pytest.fixture(scope="module")
def vendor() -> NodeProject:
    return node_project(Path(__file__).parent / "node")


@pytest.fixture(scope="module")
def project(vendor: NodeProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compiled]:
    folder = tmp_path_factory.mktemp("trigger-dev")
    generate(folder, schedules=True)
    compiled = Compiled(vendor, folder)
    yield compiled
    compiled.close()


def test_a_generated_project_has_no_fault(project: Compiled) -> None:
    assert project.complaints == ""


def test_a_fault_would_be_found(vendor: NodeProject, tmp_path: Path) -> None:
    generate(tmp_path)
    file = tmp_path / "src" / "trigger" / "default.ts"
    file.write_text(file.read_text().replace("maxDuration,", 'maxDuration: "long",', 1))
    assert "not assignable" in Compiled(vendor, tmp_path).complaints


# -- what is sent ----------------------------------------------------------------------------------------------------


async def test_its_schemas_keep_all_that_is_sent(vendor: NodeProject) -> None:
    """Unknown keys are stripped without a word: what comes out must be what went in."""
    async with TriggerDevPeer() as peer:
        provider = TriggerDevProvider.from_settings(peer.environment("http://127.0.0.1:9/jobs"))
        await provider.dispatch([make_wakeup(), make_wakeup(after=90, priority=7, payload='{"a": 1}')])
        await provider.dispatch([make_wakeup(after=60 * n) for n in range(12)])
        sent = [(asked.target, asked.body) for asked in peer.asked if asked.method == "POST"]
        await provider.close()
    questions: list[tuple[str, Any]] = []
    for target, body in sent:
        if target.endswith("/trigger"):
            questions.append(("TriggerTaskRequestBody", loads(body)))
        elif target.endswith("/items"):
            questions += [("BatchItemNDJSON", loads(line)) for line in body.splitlines()]
        else:
            questions.append(("CreateBatchRequestBody", loads(body)))
    assert len(questions) == 2 + 1 + 12
    for (name, value), read in zip(questions, vendor.ask("schemas.mjs", questions), strict=True):
        assert read == {"ok": True, "kept": value}, name


def test_a_key_in_the_wrong_place_would_be_stripped(vendor: NodeProject) -> None:
    """Why the test above compares what comes out."""
    (read,) = vendor.ask("schemas.mjs", [("TriggerTaskRequestBody", {"payload": {}, "delay": "1h", "options": {}})])
    assert read["ok"]
    assert "delay" not in read["kept"]


# -- signatures ------------------------------------------------------------------------------------------------------


def test_both_sides_sign_alike(project: Compiled) -> None:
    signer = RequestSigner([key.encode() for key in KEYS])
    bodies = ["", "{}", '{"tenant":"rawdog"}', "Grüße, 世界 🎉", "x" * 10_000]
    requests = [
        {"keys": KEYS, "method": "POST", "path": "/jobs/providers/trigger_dev", "body": body, "timestamp": 1_780_000_000 + at,
         "nonce": f"nonce-of-24-characters-{at}"}
        for at, body in enumerate(bodies)
    ]  # fmt: skip
    for asked, headers in zip(requests, project.sign(requests), strict=True):
        now = int(str(asked["timestamp"]))
        ours = signer.sign("POST", str(asked["path"]), str(asked["body"]).encode(), now, str(asked["nonce"]))
        assert headers == ours


# -- the tasks, in the vendor's executor ------------------------------------------------------------------------------


class SlowLedger(Ledger):
    """Ends what it is called for once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.let.set()

    async def deliver(self, call: Call) -> Answer:
        answer = await super().deliver(call)
        await self.let.wait()
        return answer


class Site:
    """The application, its ledger answering as told, and the vendor's API."""

    def __init__(self, ledger: SlowLedger, project: Compiled, peer: TriggerDevPeer, public_url: str) -> None:
        self.ledger, self._project, self.peer, self._public_url = ledger, project, peer, public_url

    async def execute(
        self, task: str = "sync_order", *, attempts: int = 1, key: str | None = None
    ) -> list[dict[str, Any]]:
        """Attempts of a task, as the vendor's worker runs them."""
        payload = {
            "v": 1, "wakeup": "w1", "queue": "default", "tenant": "rawdog", "run": "01930000-0000-7000-8000-000000000001", "task": task,
        }  # fmt: skip
        env = {"JOBS_PUBLIC_URL": self._public_url, "JOBS_SIGNING_KEY": key or self.peer.signing_key}
        question = self._project.question(task, payload, self.peer.url, self.peer.secret_key, env, attempts)
        process = await asyncio.create_subprocess_exec(
            *self._project.command("execute.mjs"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, errors = await process.communicate(question.encode())
        assert process.returncode == 0, errors.decode()[-2_000:]
        results: list[dict[str, Any]] = loads(out.splitlines()[-1])
        return results


@pytest.fixture
async def site(project: Compiled) -> AsyncGenerator[Site, None]:
    ledger, mounted = SlowLedger(), Mounted()
    async with TriggerDevPeer() as peer, Loopback(mounted) as server:
        provider = TriggerDevProvider.from_settings(peer.environment(server.url + MOUNT), answer_within=0.2)
        mounted.routes = provider.routes(ledger.deliver, ledger.drain)
        yield Site(ledger, project, peer, server.url + MOUNT)
        await provider.close()


async def test_a_call_that_is_settled_ends_the_run(site: Site) -> None:
    (result,) = await site.execute()
    assert result["ok"], result
    assert loads(result["output"])["json"] == {"kind": "settled"}
    (call,) = site.ledger.calls
    assert (call.wakeup_id, call.queue, call.tenant_key, call.task) == ("w1", "default", "rawdog", "sync_order")


async def test_every_task_of_the_plan_calls(site: Site) -> None:
    for task in ("ab.hourly-metrics", "1st_job"):
        (result,) = await site.execute(task)
        assert result["ok"], result
    assert [call.task for call in site.ledger.calls] == ["ab.hourly-metrics", "1st_job"]


async def test_a_ledger_that_can_t_be_reached_is_tried_again(site: Site) -> None:
    site.ledger.answers = [ProviderUnavailable("down"), Answer("settled")]
    first, second = await site.execute(attempts=2)
    assert not first["ok"]
    assert first["retry"]["delay"] > 0
    assert second["ok"]


async def test_a_busy_run_is_tried_again_when_it_asks(site: Site) -> None:
    site.ledger.answers = [Answer("busy", retry_after=40.0)]
    (result,) = await site.execute()
    assert not result["ok"]
    due = result["retry"]["timestamp"] / 1_000 - SystemClock().micros() / 1e6
    assert 30 < due <= 41, result


async def test_a_refused_call_is_not_tried_again(site: Site) -> None:
    site.ledger.answers = [Answer("refused")]
    (result,) = await site.execute()
    assert not result["ok"]
    assert result["skippedRetrying"]
    assert "retry" not in result


async def test_a_call_with_another_key_is_not_let_in(site: Site) -> None:
    (result,) = await site.execute(key="k" * 40)
    assert not result["ok"]
    assert site.ledger.calls == []


async def test_work_longer_than_a_request_is_waited_for_by_a_token(site: Site) -> None:
    site.ledger.let.clear()
    run = asyncio.create_task(site.execute())
    while not site.peer.tokens:  # noqa: ASYNC110 - the run makes one
        await asyncio.sleep(0.02)
    assert list(site.peer.tokens.values()) == [None]
    site.ledger.let.set()
    (result,) = await run
    assert result["ok"], result
    assert loads(result["output"])["json"] == {"kind": "settled"}
