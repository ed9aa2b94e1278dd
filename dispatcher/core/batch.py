"""Batches of messages: from one body to its entries, of which each is judged on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, Final

import msgspec

from contracts.cloudevents import BATCHED, STRUCTURED, media_type
from contracts.enqueue import PROMPT, Enqueue
from contracts.jsontext import check_utf8, not_json
from contracts.problems import Problem, ProblemError
from dispatcher.core.entry import JsonEntry, PackedEntry, Wish, malformed, read_entry

MAX_ENTRIES: Final = 1000

_LEAST_LIMIT_BYTES: Final = 16 * 1024 * 1024

_Array: Final = msgspec.defstruct(
    "_Array",
    [(f"n{number}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for number in range(MAX_ENTRIES)],
    array_like=True,
    forbid_unknown_fields=True,
)
"""An array that the decoder leaves at the first entry too many, before it has made anything of those behind it."""

_json_array = msgspec.json.Decoder(_Array)
_json_value = msgspec.json.Decoder(msgspec.Raw)
_json_entry = msgspec.json.Decoder(JsonEntry)
_packed_array = msgspec.msgpack.Decoder(_Array)
_packed_entry = msgspec.msgpack.Decoder(PackedEntry)


def limit_bytes(max_message_bytes: int) -> int:
    """How long the body of a batch may be: there is always room for one message of any size, in base64 too."""
    return max(_LEAST_LIMIT_BYTES, 2 * max_message_bytes)


def read_batch(base: Enqueue, body: bytes, max_message_bytes: int) -> list[Wish | ProblemError]:
    """What each entry asks for, or what is wrong with it. ``base`` is what the head of the call says.

    Raises ``ProblemError`` 400 where the body is malformed as a whole, and 413 where it has too many entries.
    """
    form = media_type(base.content_type)
    read = _FORMS.get(form)
    if read is None:
        raise malformed(
            f"Content-Type: a batch is one of {', '.join(_FORMS)}; got {form[:80]!a}", header="Content-Type"
        )
    shared = _shared_by_events(base) if form == BATCHED else _shared_by_entries(base)
    return [_bounded(wish, max_message_bytes) for wish in read(body, shared)]


def _bounded(wish: Wish | ProblemError, most: int) -> Wish | ProblemError:
    if isinstance(wish, Wish) and len(wish.body) > most:
        detail = f"The message has {len(wish.body)} bytes, more than the queue's maxMessageBytes, {most}."
        return ProblemError(Problem.PAYLOAD_TOO_LARGE, detail, limit=most)
    return wish


# What the head of the call says for all


def _shared_by_events(base: Enqueue) -> Enqueue:
    """An event cannot say when it is to be handled, so the head says it for all of them; but a key names one alone."""
    if base.key is not None:
        raise malformed("Idempotency-Key: names one message, and this is a batch of them", header="Idempotency-Key")
    return msgspec.structs.replace(base, content_type=STRUCTURED)


def _shared_by_entries(base: Enqueue) -> Enqueue:
    """The trace. Anything else is said in the entries; in the head it must not be passed over."""
    said = {
        "Kubedaemon-Session": base.session,
        "Idempotency-Key": base.key,
        "Kubedaemon-Meta-*": base.meta,
        "Kubedaemon-Delay, -Deliver-At or -Ttl": base.timing != PROMPT,
        "ce-*": any(name.startswith("ce-") for name in base.headers),
    }
    for name, value in said.items():
        if value:
            raise malformed(f"{name}: this is a batch, whose entries say it each for itself", header=name)
    return Enqueue(headers=base.headers)


# From the body to its entries


def _array(body: bytes) -> list[bytes]:
    check_utf8(body)
    try:
        return _entries(_json_array.decode(body))
    except RecursionError as error:
        raise malformed("The body is JSON nested too deep.") from error
    except msgspec.ValidationError as error:
        raise _no_array(error) from error
    except msgspec.DecodeError as error:
        raise not_json(body, error) from error


def _packed(body: bytes) -> list[bytes]:
    try:
        return _entries(_packed_array.decode(body))
    except RecursionError as error:
        raise malformed("The body is MessagePack nested too deep.") from error
    except msgspec.ValidationError as error:
        raise _no_array(error) from error
    except msgspec.DecodeError as error:
        raise malformed(f"The body is not MessagePack: {error}.") from error


def _entries(array: Any) -> list[bytes]:
    return [bytes(raw) for raw in msgspec.structs.astuple(array) if raw is not msgspec.UNSET]


def _no_array(error: msgspec.ValidationError) -> ProblemError:
    if str(error).startswith("Expected `array` of at most length"):
        return _too_many()
    return malformed("A batch is an array of entries, and this is none.")


def _too_many() -> ProblemError:
    detail = f"A batch has at most {MAX_ENTRIES} entries; nothing of this one was accepted. Send it in parts."
    return ProblemError(Problem.PAYLOAD_TOO_LARGE, detail, limit=MAX_ENTRIES)


def _lines(body: bytes) -> list[bytes]:
    check_utf8(body)
    found: list[bytes] = []
    for number, line in enumerate(BytesIO(body), 1):
        if not line.strip():
            continue
        if len(found) == MAX_ENTRIES:
            raise _too_many()
        try:
            found.append(bytes(_json_value.decode(line)))
        except RecursionError as error:
            raise malformed(f"Line {number} is JSON nested too deep.", line=number) from error
        except msgspec.DecodeError as error:
            raise not_json(line, error, number) from error
    return found


_Read = Callable[[bytes, Enqueue], Iterator[Wish | ProblemError]]


def _of_array(body: bytes, shared: Enqueue) -> Iterator[Wish | ProblemError]:
    return (read_entry(_json_entry.decode, one, shared.headers) for one in _array(body))


def _of_lines(body: bytes, shared: Enqueue) -> Iterator[Wish | ProblemError]:
    return (read_entry(_json_entry.decode, one, shared.headers) for one in _lines(body))


def _of_packed(body: bytes, shared: Enqueue) -> Iterator[Wish | ProblemError]:
    return (read_entry(_packed_entry.decode, one, shared.headers) for one in _packed(body))


def _of_events(body: bytes, shared: Enqueue) -> Iterator[Wish | ProblemError]:
    return (Wish(shared, one) for one in _array(body))


_FORMS: Final[dict[str, _Read]] = {
    "application/json": _of_array,
    "application/x-ndjson": _of_lines,
    "application/msgpack": _of_packed,
    "application/vnd.msgpack": _of_packed,
    BATCHED: _of_events,
}
