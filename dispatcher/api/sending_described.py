"""What every way to send one message has in common, for the document."""

from __future__ import annotations

from typing import Final

from contracts.cloudevents import BATCHED, STRUCTURED
from contracts.shapes import CloudEvent
from dispatcher.api.describing import Body, Parameter

_DURATION: Final = r"^[0-9]{1,15}(\.[0-9]{1,15})?(ms|s|m|h|d)$"


def _header(name: str, says: str, example: str, **schema: object) -> Parameter:
    return Parameter(name=name, where="header", says=says, schema={"type": "string", **schema}, example=example)


SENDER_HEADERS: Final = (
    _header(
        "Kubedaemon-Session",
        "Messages of one session are handled one at a time, in order. UTF-8, percent-encoded outside printable ASCII; "
        "1 to 255 bytes when decoded.",
        "customer-17",
        pattern="^([!-$&-~]|%[0-9A-Fa-f]{2})([ -$&-~]|%[0-9A-Fa-f]{2})*$",
    ),
    _header(
        "Idempotency-Key",
        "A repeat with the same key answers the same id, and the message is handled once.",
        "order-4711",
        pattern="^[!-~]{1,255}$",
    ),
    _header("Kubedaemon-Delay", "Not before so much time has passed.", "90s", pattern=_DURATION),
    _header(
        "Kubedaemon-Deliver-At",
        "Not before this time (RFC 3339). Excludes a delay.",
        "2030-01-01T12:00:00Z",
        format="date-time",
    ),
    _header("Kubedaemon-Ttl", "No attempt starts once this has passed.", "1h", pattern=_DURATION),
)
"""Beside them ``Kubedaemon-Meta-*`` and ``ce-*``, for which OpenAPI has no words."""

PAYLOAD: Final = Body(
    media={
        "application/octet-stream": None,
        "application/json": None,
        "text/plain": None,
    },
    says="Any bytes, of any content type.",
    required=False,
)
MESSAGE: Final = Body(
    media={**PAYLOAD.media, STRUCTURED: CloudEvent, BATCHED: list[CloudEvent]},
    says="The payload: any bytes, of any content type, which the handler gets as they are. Or a CloudEvent in structured "
    "mode, whose `data` is the payload. Or a batch of them, which is answered like one.",
    required=False,
)
LOCATION: Final = {"Location": "The path of the message."}
