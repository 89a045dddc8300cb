"""The conversation with a receiver: one request. Opens nothing, reads no clock."""

from __future__ import annotations

from tollbridge.connectors.base import System
from tollbridge.domain.flows import Checked, Delivered, Flow, Request, Step
from tollbridge.domain.notifications import Notification

STEP = "Send notification"
_HEADERS = (("Content-Type", "application/json"),)


def deliver(notification: Notification) -> Flow:
    """Send one notification; its bytes and its id are the same at every attempt."""
    request = Request("POST", notification.url, body=notification.body, headers=_HEADERS)
    yield Step(STEP, request, key="send")
    return Delivered(external_id=notification.message_id)


def check(system: System) -> Flow:
    """A webhook's credential is what we sign with: there is nobody to ask whether it is right."""
    yield from ()
    return Checked(system.key, system.title, system.live)
