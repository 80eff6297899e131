from datetime import timedelta

import pytest
from tests.unit.examples_services.bench import TENANT, Bench

from cgk_jobs.events.catalogue.surveys import SurveyDigest, SurveyLowNps


def reply(bench: Bench, response_id: str, **answers: str) -> None:
    for question, answer in answers.items():
        bench.execute(
            "INSERT INTO survey_replies VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET answer = excluded.answer",
            response_id,
            question,
            answer,
        )


async def process(bench: Bench, response_id: str = "r1", order_id: str | None = "o1") -> None:
    await bench.run("survey-process-response", response_id=response_id, survey_id="s1", order_id=order_id)


@pytest.mark.parametrize(("answers", "score", "channel"), [
    ({"nps": "9", "channel": "TikTok"}, 9, "tiktok"),
    ({"score": " 10 ", "how_did_you_hear": "a friend"}, 10, "referral"),
    ({"nps": "eleven", "channel": "  "}, None, None),
    ({"nps": "11"}, None, None),
    ({"nps": "²"}, None, None),
    ({}, None, None),
])  # fmt: skip
async def test_score_and_channel_are_read_out_of_the_answers(
    bench: Bench, answers: dict[str, str], score: int | None, channel: str | None
) -> None:
    reply(bench, "r1", **answers)
    await process(bench)
    assert bench.rows("SELECT score, channel FROM survey_answers") == [(score, channel)]


async def test_the_channel_a_customer_names_is_credited_once_and_can_be_corrected(bench: Bench) -> None:
    bench.execute("INSERT INTO order_credits VALUES ('o1', 'last_touch', 'google', 10000)")
    reply(bench, "r1", channel="ig")
    await process(bench)
    await process(bench)
    assert await bench.run("survey-sync-attribution", response_id="r1") == "instagram"
    reply(bench, "r1", channel="podcast")
    await process(bench)
    assert bench.rows("SELECT model, channel, basis_points FROM order_credits ORDER BY model") == [
        ("last_touch", "google", 10000),
        ("survey", "podcast", 10000),
    ]


async def test_without_an_order_there_is_nothing_to_credit(bench: Bench) -> None:
    reply(bench, "r1", channel="ig")
    await process(bench, order_id=None)
    assert await bench.run("survey-sync-attribution", response_id="r1") is None
    assert bench.value("SELECT count(*) FROM order_credits") == 0


async def test_an_unhappy_customer_is_reported_and_raised_once(bench: Bench) -> None:
    for response_id, score in (("r0", "0"), ("r6", "6"), ("r7", "7")):
        reply(bench, response_id, nps=score)
        await process(bench, response_id)
        await process(bench, response_id)
    reported = [event for event in bench.ctx.sent if isinstance(event, SurveyLowNps)]
    assert [(event.response_id, event.nps_score) for event in reported] == [("r0", 0), ("r6", 6)]
    for _ in range(2):
        await bench.attempt(bench.tasks["survey-low-nps-alert"], reported[0])
    assert bench.rows("SELECT alert_id, message FROM alerts") == [("low-nps:r0", "an unknown customer gave 0")]


async def test_an_answer_is_announced_once(bench: Bench) -> None:
    assert not await bench.run("survey-slack-notification", response_id="r1")
    reply(bench, "r1", nps="0")
    await process(bench)
    for _ in range(2):
        assert await bench.run("survey-slack-notification", response_id="r1")
    assert [done.detail for done in bench.vendors.done(TENANT, "post")] == ["Survey answered: score 0, channel none"]


async def test_the_schedules_ask_for_overviews_once_a_day_and_a_week(bench: Bench) -> None:
    for _ in range(2):
        await bench.run("survey-daily-digest")
        await bench.run("survey-weekly-digest")
    assert bench.ctx.sent == [
        SurveyDigest(tenant_id=TENANT, frequency="daily"),
        SurveyDigest(tenant_id=TENANT, frequency="weekly"),
    ]


async def test_an_overview_covers_its_days_even_if_it_is_tried_again_after_midnight(bench: Bench) -> None:
    noon = 0.5
    for response_id, days, score in (
        ("first", 1 + noon, 10),  # the first moment of yesterday
        ("r2", 1, 6),
        ("r3", 2, 9),
        ("today", noon, 1),
    ):
        bench.execute(
            "INSERT INTO survey_answers VALUES (?, 's1', NULL, ?, NULL, ?)", response_id, score, bench.ago(days)
        )
    bench.vendors.down = {"chat"}
    with pytest.raises(Exception, match="chat is down"):
        await bench.run("survey-slack-digest", frequency="daily")
    bench.vendors.down = set()
    bench.clock.advance(timedelta(days=1))
    assert await bench.run("survey-slack-digest", frequency="daily")
    assert bench.vendors.done(TENANT, "post")[0].detail == "2 answers, average score 8.0, 1 unhappy"


async def test_the_week_has_seven_days_and_silence_posts_nothing(bench: Bench) -> None:
    assert not await bench.run("survey-slack-digest", frequency="weekly")
    for days in (1, 7, 8):
        bench.execute("INSERT INTO survey_answers VALUES (?, 's1', NULL, NULL, 'x', ?)", f"r{days}", bench.ago(days))
    assert await bench.run("survey-slack-digest", frequency="weekly")
    assert bench.vendors.done(TENANT, "post")[0].detail == "2 answers, no scores"
