"""Messages to one addressee: mail, text message, Slack, push."""

from __future__ import annotations

from typing import Literal

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import JsonObject

__all__ = ["EmailSend", "PushNotification", "SlackNotify", "SmsSend"]


class EmailSend(Event, name="email.send"):
    """Send a mail made from a template. ``data`` fills the template's placeholders."""

    to: str
    template_id: str
    data: JsonObject
    priority: Literal["high", "normal", "low"] | None = None


class SmsSend(Event, name="sms.send"):
    """Send a text message. ``to`` is a telephone number in E.164 form like ``+14155550123``.

    The handler asks for the addressee's consent before it sends, unless the text is transactional.
    """

    to: str
    message: str
    template_id: str | None = None


class SlackNotify(Event, name="slack.notify"):
    """Post into a Slack channel. ``message`` is also what is shown where ``blocks`` (Slack's Block Kit) can't be."""

    channel: str
    message: str
    blocks: list[JsonObject] | None = None


class PushNotification(Event, name="push.notification"):
    """Send a push message to the devices of a user. ``data`` goes to the application on the device."""

    user_id: str
    title: str
    body: str
    data: JsonObject | None = None
