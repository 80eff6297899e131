from tests.unit.examples_services.bench import Bench


async def test_unused_memories_lose_weight_once_a_day(bench: Bench) -> None:
    bench.execute("INSERT INTO agent_memories (memory_id, agent_id, used_at) VALUES ('old', 'a', ?)", bench.ago(8))
    bench.execute("INSERT INTO agent_memories (memory_id, agent_id, used_at) VALUES ('new', 'a', ?)", bench.ago(1))
    assert [await bench.run("agent-memory-decay") for _ in range(2)] == [1, 0]
    bench.clock.advance(86_400)
    assert await bench.run("agent-memory-decay") == 1
    assert bench.rows("SELECT memory_id, weight FROM agent_memories ORDER BY 1") == [("new", 1000), ("old", 960)]


async def test_familiarity_fades_once_a_day(bench: Bench) -> None:
    bench.execute("INSERT INTO agent_familiarity VALUES ('a', 'b', 500, ?, '')", bench.ago(31))
    bench.execute("INSERT INTO agent_familiarity VALUES ('a', 'c', 500, ?, '')", bench.ago(29))
    assert [await bench.run("ai-agents-decay-familiarity") for _ in range(2)] == [1, 0]
    assert bench.rows("SELECT other, familiarity FROM agent_familiarity") == [("b", 450), ("c", 500)]


async def test_the_oldest_context_beyond_the_limit_is_dropped_for_each_agent(bench: Bench) -> None:
    for agent in ("a", "b"):
        for age, tokens in ((1, 60_000), (2, 30_000), (3, 20_000), (4, 1)):
            bench.execute(
                "INSERT INTO agent_context VALUES (?, ?, ?, ?)", f"{agent}{age}", agent, tokens, bench.ago(age)
            )
    bench.execute("DELETE FROM agent_context WHERE entry_id = 'b1'")
    assert [await bench.run("agent-context-prune") for _ in range(2)] == [2, 0]
    kept = [row[0] for row in bench.rows("SELECT entry_id FROM agent_context ORDER BY 1")]
    assert kept == ["a1", "a2", "b2", "b3", "b4"]


async def test_doubtful_memories_are_switched_off(bench: Bench) -> None:
    for confidence in (199, 200):
        bench.execute(
            "INSERT INTO agent_memories (memory_id, agent_id, confidence, used_at) VALUES (?, 'a', ?, 0)",
            str(confidence),
            confidence,
        )
    assert [await bench.run("ai-agents-cleanup-low-confidence") for _ in range(2)] == [1, 0]
    assert bench.rows("SELECT memory_id FROM agent_memories WHERE enabled = 0") == [("199",)]


async def test_feedback_is_learned_from_once(bench: Bench) -> None:
    bench.execute("INSERT INTO agent_memories (memory_id, agent_id, confidence, used_at) VALUES ('m', 'a', 500, 0)")
    bench.execute("INSERT INTO agent_feedback VALUES ('f1', 'm', 1, 0, 0), ('f2', 'm', 0, 0, 0), ('f3', 'm', 0, 0, 1)")
    assert [await bench.run("ai-agents-process-feedback") for _ in range(2)] == [2, 0]
    assert bench.value("SELECT confidence FROM agent_memories") == 400


async def test_approvals_expire_after_a_day(bench: Bench) -> None:
    for name, days, state in (("old", 1.1, "pending"), ("new", 0.9, "pending"), ("given", 2, "granted")):
        bench.execute("INSERT INTO agent_approvals VALUES (?, ?, ?)", name, bench.ago(days), state)
    assert await bench.run("ai-agents-expire-approvals") == 1
    assert bench.rows("SELECT approval_id FROM agent_approvals WHERE state = 'expired'") == [("old",)]


async def test_old_records_are_archived(bench: Bench) -> None:
    for name, days in (("old", 100), ("new", 20)):
        bench.execute("INSERT INTO agent_handoffs VALUES (?, ?, 0)", name, bench.ago(days))
        bench.execute("INSERT INTO agent_actions VALUES (?, 'a', ?, 0)", name, bench.ago(days))
        bench.execute("INSERT INTO agent_conversations VALUES (?, 'a', ?, 0)", name, bench.ago(days))
    bench.execute("INSERT INTO agent_handoffs VALUES ('open', NULL, 0)")
    for task_id, table in (
        ("ai-agents-cleanup-handoffs", "agent_handoffs"),
        ("ai-agents-cleanup-old-actions", "agent_actions"),
        ("ai-agents-cleanup-old-conversations", "agent_conversations"),
    ):
        assert [await bench.run(task_id) for _ in range(2)] == [1, 0]
        assert bench.value(f"SELECT count(*) FROM {table} WHERE archived = 0") >= 1


async def test_figures_are_written_only_when_they_changed(bench: Bench) -> None:
    for number in range(3):
        bench.execute("INSERT INTO agent_actions VALUES (?, 'a', ?, 0)", str(number), number)
    assert [await bench.run("ai-agents-sync-agent-stats") for _ in range(2)] == [1, 0]
    assert bench.rows("SELECT * FROM agent_stats") == [("a", 3, 2)]


async def test_calls_are_billed_by_the_started_minute_and_a_rerun_overwrites(bench: Bench) -> None:
    for call_id, seconds, days in (("c1", 61, 1), ("c2", 60, 1), ("c3", 600, 0)):
        bench.execute("INSERT INTO calls VALUES (?, ?, ?, 'r')", call_id, bench.ago(days), seconds)
    for _ in range(2):
        assert await bench.run("ai-agents-process-voice-usage") == 1
    assert bench.rows("SELECT * FROM voice_days") == [("2026-03-03", 121, 21, "USD")]


async def test_recordings_are_kept_as_long_as_the_tenant_says(bench: Bench) -> None:
    bench.execute("INSERT INTO calls VALUES ('c1', ?, 60, 'r')", bench.ago(50))
    assert await bench.run("ai-agents-cleanup-old-recordings") == 0
    bench.execute("INSERT INTO settings VALUES ('recording_days', '30')")
    assert await bench.run("ai-agents-cleanup-old-recordings") == 1
    assert bench.rows("SELECT seconds, recording FROM calls") == [(60, None)]
