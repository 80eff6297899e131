"""What customers answered: the score and the channel they name, and what that does to attribution."""

from __future__ import annotations

from dataclasses import dataclass
from sqlite3 import Connection

__all__ = ["DETRACTOR", "Answer", "credit_channel", "enter", "overview"]

DETRACTOR = 6
"""The highest net promoter score that counts as unhappy."""

CHANNEL_QUESTIONS = ("channel", "how_did_you_hear")
SCORE_QUESTIONS = ("nps", "score")
CHANNELS = {
    "fb": "facebook",
    "ig": "instagram",
    "insta": "instagram",
    "tik tok": "tiktok",
    "google search": "google",
    "a friend": "referral",
    "friend": "referral",
}
"""How people write the channels that attribution knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a finished survey says. ``score``: 0 to 10. Either may be missing."""

    score: int | None
    channel: str | None


def enter(db: Connection, response_id: str, survey_id: str, order_id: str | None, *, now: int) -> Answer:
    """Read score and channel out of the replies and keep them; a second time corrects the first."""
    replies: dict[str, str] = dict(
        db.execute("SELECT question, answer FROM survey_replies WHERE response_id = ?", (response_id,)).fetchall()
    )
    answer = Answer(_score(replies), _channel(replies))
    db.execute(
        "INSERT INTO survey_answers (response_id, survey_id, order_id, score, channel, answered_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET score = excluded.score, channel = excluded.channel",
        (response_id, survey_id, order_id, answer.score, answer.channel, now),
    )
    return answer


def credit_channel(db: Connection, response_id: str) -> str | None:
    """Credit the order to the channel that its customer named, in the model ``survey``; a second answer replaces it.

    ``None`` if the answer has no order or no channel.
    """
    row = db.execute(
        "SELECT order_id, channel FROM survey_answers WHERE response_id = ? AND order_id IS NOT NULL"
        " AND channel IS NOT NULL",
        (response_id,),
    ).fetchone()
    if row is None:
        return None
    order_id, channel = row
    db.execute(
        "DELETE FROM order_credits WHERE order_id = ? AND model = 'survey' AND channel != ?", (order_id, channel)
    )
    db.execute(
        "INSERT INTO order_credits (order_id, model, channel, basis_points) VALUES (?, 'survey', ?, 10000)"
        " ON CONFLICT DO NOTHING",
        (order_id, channel),
    )
    return str(channel)


def overview(db: Connection, start: int, end: int) -> str:
    """The answers of a period in one line, as posted to the team; empty if there were none."""
    count, average, low = db.execute(
        "SELECT count(*), avg(score), coalesce(sum(score <= ?), 0) FROM survey_answers"
        " WHERE answered_at >= ? AND answered_at < ?",
        (DETRACTOR, start, end),
    ).fetchone()
    if not count:
        return ""
    mean = "no scores" if average is None else f"average score {average:.1f}, {low} unhappy"
    return f"{count} answers, {mean}"


def _score(replies: dict[str, str]) -> int | None:
    for question in SCORE_QUESTIONS:
        text = replies.get(question, "").strip()
        if text.isascii() and text.isdigit() and int(text) <= 10:
            return int(text)
    return None


def _channel(replies: dict[str, str]) -> str | None:
    for question in CHANNEL_QUESTIONS:
        text = replies.get(question, "").strip().lower()
        if text:
            return CHANNELS.get(text, text)
    return None
