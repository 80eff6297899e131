"""Videos: processing, transcription, generated content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cgk_jobs import Context, Event, TaskGroup, Tick
from cgk_jobs.events.catalogue.creators import CreatorFileUploaded
from cgk_jobs.events.catalogue.scheduled import VideoSyncRecovery
from cgk_jobs.events.catalogue.video import VideoTranscriptionCompleted, VideoTranscriptionStarted
from cgk_jobs.examples.commerce.policies import AFTER_10_SECONDS, FROM_5_SECONDS, HEAVY, ONCE, STANDARD
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("video",)
SIMULATED = ("video", "simulated")

STUCK_MICROS = 30 * 60_000_000
"""A transcription without an answer for so long is asked for again."""
MOST_ASKED = 3


class Files(Event):
    """Uploaded files to process together."""

    file_ids: Annotated[list[str], Field(max_length=50)]


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _processing(group)

    @group.cron("*/2 * * * *", tenants="each", id="video-sync", retry=ONCE, tags=TAGS)
    async def video_sync(tick: Tick, ctx: Context) -> int:
        """Ask again for transcriptions whose answer got lost; the third time unanswered they have failed."""
        return await _recover(app, ctx)

    @group.task(on=VideoSyncRecovery, id="video-sync-on-request", retry=ONCE, tags=TAGS)
    async def video_sync_on_request(event: VideoSyncRecovery, ctx: Context) -> int:
        """As by its schedule."""
        return await _recover(app, ctx)

    return group


async def _recover(app: Commerce, ctx: Context) -> int:
    now = app.now()
    with app.shops.current() as db:
        stuck = db.execute(
            "SELECT video_id, attempts FROM videos WHERE state = 'transcribing' AND asked_at <= ?",
            (now - STUCK_MICROS,),
        ).fetchall()
    for video_id, attempts in stuck:
        again = attempts < MOST_ASKED
        if again:
            await ctx.send(
                VideoTranscriptionStarted(tenant_id=ctx.tenant_id, video_id=video_id),
                key=f"transcription:{video_id}:{attempts + 1}",
            )
        with app.shops.current() as db:
            db.execute(
                "UPDATE videos SET state = ?, attempts = ?, asked_at = ? WHERE video_id = ? AND attempts = ?"
                " AND state = 'transcribing'",
                ("transcribing" if again else "failed", attempts + again, now, video_id, attempts),
            )
    return len(stuck)


def _processing(group: TaskGroup) -> None:
    simulated(
        group.task(on=CreatorFileUploaded, id="creator-file-processing", retry=STANDARD, timeout=300, tags=SIMULATED),
        "Turn one uploaded file into a playable asset",
    )
    simulated(
        group.task(id="creator-file-batch-processing", retry=HEAVY, timeout=1800, tags=SIMULATED),
        "Process at most fifty uploaded files together",
        payload=Files,
    )
    simulated(
        group.task(
            on=VideoTranscriptionStarted,
            id="video-transcription",
            retry=FROM_5_SECONDS,
            timeout=900,
            tags=SIMULATED,
        ),
        "Submit a video to the speech-to-text provider",
    )
    simulated(
        group.task(
            on=VideoTranscriptionCompleted,
            id="ai-content-generation",
            retry=AFTER_10_SECONDS,
            timeout=120,
            tags=SIMULATED,
        ),
        "Derive title, summary and action items from a transcript",
    )
