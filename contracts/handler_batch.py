"""Calls of a handler with several messages: the body of ``POST /messages``, and the list that answers it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from contracts.answers import Answer, NoAnswer
from contracts.errors import PermanentError
from contracts.message import Message
from contracts.payloads import Form, payload_member, read_payload
from contracts.text import printable
from contracts.timestamps import format_time

MEDIA_TYPES: dict[Form, str] = {"json": "application/json", "msgpack": "application/msgpack"}

_MSGPACK_TYPES = frozenset({"application/msgpack", "application/vnd.msgpack"})


class Entry(msgspec.Struct, frozen=True):
    """One message of a batch, with the attempt that it is called for and the token of that attempt."""

    message: Message
    attempt: int
    token: str


class _Answered(msgspec.Struct, frozen=True):
    """One entry of the answer. Without a status the outcome has to say how it went."""

    id: str
    status: int | None = None
    outcome: str | None = None
    retry_after: float | str | None = None
    content_type: str | None = None
    data: Any = msgspec.UNSET
    data_base64: str | None = None


_encoders: dict[Form, Callable[[Any], bytes]] = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}
_decoders: dict[Form, Callable[[bytes], list[_Answered]]] = {
    "json": msgspec.json.Decoder(list[_Answered]).decode,
    "msgpack": msgspec.msgpack.Decoder(list[_Answered]).decode,
}


def batch_body(entries: Iterable[Entry], deadline: str, form: Form) -> bytes:
    """The body of the call; ``deadline`` is RFC 3339, and the same for all."""
    return _encoders[form]([_shown(entry, deadline, form) for entry in entries])


def _shown(entry: Entry, deadline: str, form: Form) -> dict[str, Any]:
    message = entry.message
    name, data = payload_member(message.body, form)
    return {
        "id": message.id,
        "session": message.session,
        "attempt": entry.attempt,
        "enqueued_at": format_time(message.enqueued_at),
        "deadline": deadline,
        "meta": message.meta,
        "headers": message.headers,
        "token": entry.token,
        "content_type": message.content_type,
        name: data,
    }


def batch_head(host: str, length: int, form: Form) -> bytes:
    """The head of the call."""
    return (
        f"POST /messages HTTP/1.1\r\nHost: {host}\r\nAccept: {MEDIA_TYPES[form]}\r\n"
        f"Content-Type: {MEDIA_TYPES[form]}\r\nContent-Length: {length}\r\n\r\n"
    ).encode("ascii")


def read_batch_answer(answer: Answer | NoAnswer, ids: Sequence[str], form: Form) -> list[Answer | NoAnswer] | NoAnswer:
    """The answer for each of the messages ``ids``, in their order; or why the batch failed as a whole."""
    if isinstance(answer, NoAnswer):
        return answer
    if not 200 <= answer.status < 300:
        return NoAnswer("garbage", f"the handler answered {answer.status} to a batch of {len(ids)}")
    try:
        found = _decoders[_form_of(answer.content_type, form)](answer.body)
        return _in_order([(entry.id, _answer(entry)) for entry in found], ids)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, PermanentError) as error:
        return NoAnswer("garbage", f"the answer to a batch of {len(ids)} cannot be read: {printable(str(error))}")


def _form_of(content_type: str | None, form: Form) -> Form:
    """As the answer itself says; where it does not, as /init said."""
    media = (content_type or "").partition(";")[0].strip().lower()
    if media in _MSGPACK_TYPES:
        return "msgpack"
    return "json" if media == MEDIA_TYPES["json"] else form


def _answer(entry: _Answered) -> Answer:
    if entry.status is None and entry.outcome is None:
        raise PermanentError(f"the entry for {entry.id[:80]!r} has neither status nor outcome")
    body, assumed = read_payload(entry.data, entry.data_base64)
    named = entry.content_type or (assumed if body else None)
    if named is not None and not (named.isascii() and named.isprintable()):
        raise PermanentError(f"the content_type of the entry for {entry.id[:80]!r} is no header value")
    retry_after = None if entry.retry_after is None else str(entry.retry_after)
    return Answer(200 if entry.status is None else entry.status, entry.outcome, retry_after, named, body)


def _in_order(found: list[tuple[str, Answer]], ids: Sequence[str]) -> list[Answer | NoAnswer]:
    if len(found) != len(ids):
        raise PermanentError(f"it has {len(found)} entries")
    strange = sorted(Counter(name for name, _ in found) - Counter(ids))
    if strange:
        raise PermanentError(f"it names messages that are not in it, or too often: {', '.join(strange[:3])[:200]}")
    by_id: dict[str, list[Answer | NoAnswer]] = {}
    for name, answer in found:
        by_id.setdefault(name, []).append(answer)
    return [by_id[name].pop(0) for name in ids]
