"""Videos: upload, transcription, generated content."""

from __future__ import annotations

from typing import Literal

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Bytes, Seconds

__all__ = ["VideoAiGenerated", "VideoTranscriptionCompleted", "VideoTranscriptionStarted", "VideoUploadCompleted"]


class VideoUploadCompleted(Event, name="video.upload.completed"):
    """A video file is fully uploaded. ``duration`` is its length in seconds, ``size`` its size in bytes."""

    video_id: str
    project_id: str
    creator_id: str
    duration: Seconds | None = None
    size: Bytes


class VideoTranscriptionStarted(Event, name="video.transcription.started"):
    """Speech-to-text of a video begins. ``language`` is a BCP 47 tag like ``en-US``; detected where not given."""

    video_id: str
    language: str | None = None


class VideoTranscriptionCompleted(Event, name="video.transcription.completed"):
    """A transcript is ready."""

    video_id: str
    transcript_url: str | None = None


class VideoAiGenerated(Event, name="video.ai.generated"):
    """Generated content for a video is ready."""

    video_id: str
    generation_type: Literal["thumbnail", "summary", "clips"]
