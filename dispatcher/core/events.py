"""Events as a stream of text (the server-sent events of WHATWG HTML, section 9.2)."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.api import event_object
from contracts.events import Stretch

BEAT: Final = b":\n\n"
"""A comment: nobody hears it, and whoever is in between sees that the stream is alive."""


def greeting(place: str) -> bytes:
    """No event, but what a client sends as ``Last-Event-ID`` if it is cut off before the first one."""
    return f"id: {place}\n\n".encode()


def stretch_text(queue: str, stretch: Stretch) -> bytes:
    """All of it, empty where nothing happened. A gap has no id of its own where an event follows that has one."""
    parts: list[str] = []
    if stretch.gap:
        said = f"event: gap\ndata: {msgspec.json.encode({'queue': queue}).decode()}\n\n"
        parts.append(said if stretch.entries else f"id: {stretch.end}\n{said}")
    for place, event in stretch.entries:
        data = msgspec.json.encode(event_object(queue, event)).decode()
        parts.append(f"id: {place}\nevent: message.{event.state.value}\ndata: {data}\n\n")
    return "".join(parts).encode()


def framed(text: bytes) -> bytes:
    """As a chunk of HTTP/1.1 (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(text), text)
