"""What the sidecar sends to a handler, the heads of /message and the body of /init, and what /init may answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.errors import PermanentError
from contracts.message import Message
from contracts.text import encode_header, printable
from contracts.timestamps import format_time

CONTRACT = "v1"

CALLBACK_PATH = "/v1/callback"
"""The prefix of the callback API, wherever it is served."""


def _pass_on(message: Message) -> str:
    meta = "".join(f"Kubedaemon-Meta-{name}: {encode_header(value)}\r\n" for name, value in message.meta.items())
    return meta + "".join(f"{name}: {encode_header(value)}\r\n" for name, value in message.headers.items())


def message_heads(
    host: str, namespace: str, queue: str, callback_url: str
) -> Callable[[Message, int, str, str], bytes]:
    """A function ``(message, attempt, deadline, token) -> bytes`` that writes the head of a ``POST /message``.

    ``deadline`` is RFC 3339. Every text that came from outside is encoded; names in ``meta`` and ``headers`` were
    checked to be tokens when the message came in.
    """
    prefix = (
        f"POST /message HTTP/1.1\r\nHost: {host}\r\n"
        f"Kubedaemon-Namespace: {namespace}\r\nKubedaemon-Queue: {queue}\r\n"
        f"Kubedaemon-Callback-Url: {callback_url}\r\nKubedaemon-Message-Id: "
    )

    def head(message: Message, attempt: int, deadline: str, token: str) -> bytes:
        identity = encode_header(message.id)
        session = "" if message.session is None else f"Kubedaemon-Session: {encode_header(message.session)}\r\n"
        more = _pass_on(message) if message.meta or message.headers else ""
        return (
            f"{prefix}{identity}\r\nIdempotency-Key: {identity}\r\n{session}Kubedaemon-Attempt: {attempt}\r\n"
            f"Kubedaemon-Enqueued-At: {format_time(message.enqueued_at)}\r\nKubedaemon-Deadline: {deadline}\r\n"
            f"Kubedaemon-Token: {token}\r\n"
            f"{more}Content-Type: {encode_header(message.content_type)}\r\nContent-Length: {len(message.body)}\r\n\r\n"
        ).encode("ascii")

    return head


class Batch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The answer to /init that turns batches on: at most so many messages, gathered for at most so long."""

    max_messages: Annotated[int, Meta(ge=1, le=1000)] = 64
    max_wait_ms: Annotated[float, Meta(ge=0, le=60_000)] = 5


Format = Literal["json", "msgpack"]


class Options(msgspec.Struct, frozen=True):
    """What a handler turned on in its answer to /init. ``asynchronous``: its 202 means that it finishes later."""

    batch: Batch | None = None
    asynchronous: bool = msgspec.field(name="async", default=False)
    format: Format = "json"


NO_OPTIONS = Options()

_options = msgspec.json.Decoder(Options)


def init_body(
    namespace: str, queue: str, replica: str, callback_url: str, token: str, token_expires_at: float
) -> bytes:
    """The JSON body of ``POST /init``."""
    return msgspec.json.encode(
        {
            "contract": CONTRACT,
            "namespace": namespace,
            "queue": queue,
            "replica": replica,
            "callback_url": callback_url,
            "token": token,
            "token_expires_at": format_time(token_expires_at),
        }
    )


def read_options(body: bytes) -> Options:
    """What the body of an answer to /init turns on. What is no JSON object turns nothing on.

    Raises ``PermanentError`` for an object with options that cannot be; members that are no options are passed over.
    """
    if not body.lstrip().startswith(b"{"):
        return NO_OPTIONS
    try:
        return _options.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise PermanentError(f"options that cannot be: {printable(str(error))}") from error
