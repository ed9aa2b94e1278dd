"""From the head of an HTTP request to a message: everything that a sender may say, checked."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import msgspec

from contracts.cloudevents import ANY as ANY_EVENT
from contracts.cloudevents import BATCHED, STRUCTURED, media_type, read_event
from contracts.duration import parse_duration
from contracts.errors import PermanentError
from contracts.identity import check_key
from contracts.message import DEFAULT_CONTENT_TYPE, Message
from contracts.problems import Problem, ProblemError
from contracts.text import check_session, decode_header, is_token
from contracts.timestamps import parse_time

SESSION: Final = "kubedaemon-session"
KEY: Final = "idempotency-key"
META: Final = "kubedaemon-meta-"

_PREFIXES: Final = ("kubedaemon-", "ce-")
_OTHERS: Final = frozenset({KEY, "content-type", "content-encoding", "traceparent", "tracestate"})
_LATER: Final = {
    "kubedaemon-result-url": "result callbacks are",
    "kubedaemon-result-format": "result callbacks are",
}
_DELAY: Final = "kubedaemon-delay"
_DELIVER_AT: Final = "kubedaemon-deliver-at"
_TTL: Final = "kubedaemon-ttl"
_TIMES: Final = (_DELAY, _DELIVER_AT, _TTL)
_LONGEST_SECONDS: Final = 100 * 366 * 86400.0
_OF_HANDLERS: Final = frozenset(
    f"kubedaemon-{name}"
    for name in (
        "attempt callback-url deadline enqueued-at message-id namespace outcome queue status token".split()  # noqa: SIM905
    )
)
"""What a handler is called with: one that relays its own request may leave these in. They mean nothing here."""


class Timing(msgspec.Struct, frozen=True):
    """When it is to be handled: ``delay_seconds`` from now, or at ``deliver_at`` (Unix); and within which time.

    ``ttl_seconds`` count from then on, or from now where it is not scheduled.
    """

    delay_seconds: float | None = None
    deliver_at: float | None = None
    ttl_seconds: float | None = None

    def due_at(self, now: float) -> float:
        """When a message that is accepted now is due; 0 where that is at once."""
        due = now + self.delay_seconds if self.delay_seconds else self.deliver_at or 0.0
        return due if due > now else 0.0

    def expires_at(self, now: float) -> float:
        """From when on no attempt starts any more; 0 for never."""
        return 0.0 if self.ttl_seconds is None else max(self.due_at(now), now) + self.ttl_seconds


PROMPT: Final = Timing()


class Enqueue(msgspec.Struct, frozen=True):
    """What a sender asks for, before it has an id, a time and a body."""

    session: str | None = None
    key: str | None = None
    content_type: str = DEFAULT_CONTENT_TYPE
    meta: dict[str, str] = {}
    headers: dict[str, str] = {}
    timing: Timing = PROMPT

    def message(self, namespace: str, queue: str, message_id: str, at: float, body: bytes) -> Message:
        asked, payload = self._opened(body)
        return Message(
            namespace=namespace,
            queue=queue,
            id=message_id,
            body=payload,
            session=asked.session,
            content_type=asked.content_type,
            enqueued_at=at,
            meta=self.meta,
            headers=asked.headers,
            deliver_at=self.timing.due_at(at),
            expires_at=self.timing.expires_at(at),
        )

    def _opened(self, body: bytes) -> tuple[Enqueue, bytes]:
        """A CloudEvent in structured mode says itself what it is, and its data is the payload."""
        if not self.content_type.lower().startswith(ANY_EVENT):
            return self, body
        if media_type(self.content_type) != STRUCTURED:
            raise ProblemError(
                Problem.NOT_ALLOWED, "Content-Type: this takes one event, not a batch of them.", header="Content-Type"
            )
        event = read_event(body)
        session = event.partition_key() if self.session is None else self.session
        changes = {"session": session, "content_type": event.content_type, "headers": self.headers | event.headers}
        return msgspec.structs.replace(self, **changes), event.body


def read_headers(headers: Iterable[tuple[str, str]]) -> Enqueue:
    """The metadata of a message. Raises ``ProblemError`` that names the header and says what is wrong with it."""
    taken: dict[str, str] = {}
    for given, value in headers:
        name = given.lower()
        if name not in _OTHERS and not name.startswith(_PREFIXES):
            continue
        if name not in taken:
            taken[name] = value
        elif name == "tracestate":
            taken[name] += f",{value}"
        else:
            raise _malformed(name, f"{shown(name)}: is given twice")
    return _enqueue(taken)


def _enqueue(taken: dict[str, str]) -> Enqueue:
    session, key, content_type = None, None, DEFAULT_CONTENT_TYPE
    meta: dict[str, str] = {}
    passed: dict[str, str] = {}
    for name, value in taken.items():
        try:
            if name == SESSION:
                session = check_session(decode_header(value, shown(name)), shown(name))
            elif name == KEY:
                key = check_key(value)
            elif name == "content-type":
                content_type = _content_type(value)
            elif name.startswith(META):
                meta[_meta_name(name)] = decode_header(value, shown(name))
            elif name.startswith("ce-"):
                passed[name] = decode_header(value, shown(name))
            elif name.startswith("trace"):
                passed[name] = _visible(value, name)
            elif name not in _OF_HANDLERS and name not in _TIMES:
                _refuse(name, value)
        except ProblemError:
            raise
        except PermanentError as error:
            raise _malformed(name, str(error)) from error
    if session is None and "ce-partitionkey" in passed:
        session = _partition_key(passed["ce-partitionkey"])
    timing = _timing(taken) if any(name in taken for name in _TIMES) else PROMPT
    return Enqueue(session, key, content_type, meta, passed, timing)


def _timing(taken: dict[str, str]) -> Timing:
    if _DELAY in taken and _DELIVER_AT in taken:
        raise _malformed(_DELAY, f"{shown(_DELAY)} and {shown(_DELIVER_AT)} exclude each other: say one of them")
    found: dict[str, float | None] = dict.fromkeys(_TIMES)
    for name in _TIMES:
        if name in taken:
            try:
                found[name] = parse_time(taken[name]) if name == _DELIVER_AT else _span(name, taken[name])
            except ProblemError:
                raise
            except PermanentError as error:
                raise _malformed(name, f"{shown(name)}: {error}") from error
    return Timing(found[_DELAY], found[_DELIVER_AT], found[_TTL])


def _span(name: str, text: str) -> float:
    seconds = parse_duration(text)
    if seconds > _LONGEST_SECONDS:
        raise ProblemError(
            Problem.NOT_ALLOWED, f"{shown(name)}: at most 100 years, got {text[:40]}", header=shown(name)
        )
    return seconds


def _malformed(name: str, detail: str) -> ProblemError:
    return ProblemError(Problem.MALFORMED_REQUEST, detail, header=shown(name))


def shown(name: str) -> str:
    """A header's name as people write it."""
    return "-".join(part.capitalize() for part in name.split("-"))[:80]


def _visible(value: str, name: str) -> str:
    if not value or any(not 0x20 <= ord(character) <= 0x7E for character in value):
        problem = "holds bytes outside printable ASCII" if value else "is empty"
        raise PermanentError(f"{shown(name)}: {problem}")
    return value


def _content_type(value: str) -> str:
    visible = _visible(value, "content-type")
    if visible.lower().startswith(ANY_EVENT) and media_type(visible) not in (STRUCTURED, BATCHED):
        raise ProblemError(
            Problem.NOT_ALLOWED,
            f"Content-Type: CloudEvents are taken as {STRUCTURED} or {BATCHED}, or with their data as the body and "
            "their attributes as ce-* headers.",
            header="Content-Type",
        )
    return visible


def _meta_name(name: str) -> str:
    """In lower case, as header names are compared."""
    short = name[len(META) :]
    if not is_token(short):
        raise PermanentError(f"{shown(name)}: the name behind Kubedaemon-Meta- is missing, or no HTTP token")
    return short


def _partition_key(value: str) -> str:
    try:
        return check_session(value, "Ce-Partitionkey")
    except PermanentError as error:
        raise _malformed("ce-partitionkey", str(error)) from error


def _refuse(name: str, value: str) -> None:
    """What a sender means by a header of ours must never be passed over in silence."""
    if name == "content-encoding":
        if value.strip().lower() not in ("", "identity"):
            raise ProblemError(
                Problem.NOT_ALLOWED,
                f"Content-Encoding: {value[:40]!a} is not taken. The handler gets the body byte for byte, without "
                "this header: send it unpacked, or say in Content-Type what it is.",
                header="Content-Encoding",
            )
        return
    later = _LATER.get(name)
    if later is not None:
        raise ProblemError(
            Problem.NOT_IMPLEMENTED,
            f"{shown(name)}: {later} not built yet; the message was not accepted. Send it without this header.",
            header=shown(name),
        )
    near = get_close_matches(name, (SESSION, META + "name", *_TIMES, *_LATER), 1)
    hint = f"; did you mean {shown(near[0])}?" if near else ""
    raise PermanentError(f"{shown(name)}: is no header that Kubedaemon knows{hint}")
