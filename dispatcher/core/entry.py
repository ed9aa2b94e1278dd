"""One entry of a batch: what it asks for, or what is wrong with it, told by the name of its member."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from contracts.enqueue import Enqueue, read_headers
from contracts.errors import PermanentError
from contracts.jsontext import compact
from contracts.payloads import JSON_TYPE, read_payload
from contracts.problems import Problem, ProblemError
from contracts.text import check_carried, check_session, is_token

_HEADERS: Final = {
    "idempotency_key": "Idempotency-Key",
    "delay": "Kubedaemon-Delay",
    "deliver_at": "Kubedaemon-Deliver-At",
    "ttl": "Kubedaemon-Ttl",
    "result_url": "Kubedaemon-Result-Url",
    "content_type": "Content-Type",
}
"""The members that say what a header of a single message says, in the same words."""

_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_FIELD: Final = re.compile(r"`\$\.(\w+)")


class Wish(msgspec.Struct, frozen=True):
    """One message of a batch, before it has an id and a time."""

    asked: Enqueue
    body: bytes


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry as it is written; the kinds of it differ in how ``data`` is kept until it is looked at."""

    session: str | None = None
    idempotency_key: str | None = None
    delay: str | None = None
    deliver_at: str | None = None
    ttl: str | None = None
    result_url: str | None = None
    meta: dict[str, str] | None = None
    content_type: str | None = None
    data_base64: str | None = None


class JsonEntry(Entry, frozen=True, forbid_unknown_fields=True):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class PackedEntry(Entry, frozen=True, forbid_unknown_fields=True):
    data: Any = msgspec.UNSET


_KNOWN: Final = [field.name for field in msgspec.structs.fields(JsonEntry)]


def malformed(detail: str, **place: Any) -> ProblemError:
    """A 400 for a batch or one of its entries."""
    return ProblemError(Problem.MALFORMED_REQUEST, detail, **place)


def read_entry(
    decode: Callable[[bytes], JsonEntry | PackedEntry], raw: bytes, trace: dict[str, str]
) -> Wish | ProblemError:
    """The message that the entry asks for, under the trace of the call that it came with."""
    try:
        entry = decode(raw)
        body, assumed_type = _payload(entry)
        return Wish(_asked(entry, assumed_type, trace), body)
    except ProblemError as problem:
        return problem
    except msgspec.ValidationError as error:
        return _misfit(str(error))
    except UnicodeDecodeError as error:  # of MessagePack alone; JSON was looked through as a whole
        return malformed(f"The entry holds a string that is not UTF-8: {error.reason}.")


def _payload(entry: JsonEntry | PackedEntry) -> tuple[bytes, str]:
    data = entry.data
    if isinstance(data, msgspec.Raw):
        text = bytes(data)
        if not text.startswith(b'"') and entry.data_base64 is None:
            return compact(text), JSON_TYPE
        data = msgspec.json.decode(text)
    try:
        return read_payload(data, entry.data_base64)
    except PermanentError as error:
        raise malformed(str(error), field="data" if entry.data_base64 is None else "data_base64") from error


def _asked(entry: Entry, assumed_type: str, trace: dict[str, str]) -> Enqueue:
    said = [(header, getattr(entry, name)) for name, header in _HEADERS.items()]
    try:
        asked = read_headers([(header, value) for header, value in said if value is not None])
    except ProblemError as problem:
        raise _as_member(problem) from problem
    return msgspec.structs.replace(
        asked,
        session=None if entry.session is None else _session(entry.session),
        content_type=assumed_type if entry.content_type is None else asked.content_type,
        meta=_meta(entry.meta or {}),
        headers=trace,
    )


def _session(session: str) -> str:
    try:
        return check_session(session, "session")
    except PermanentError as error:
        raise malformed(str(error), field="session") from error


def _meta(given: dict[str, str]) -> dict[str, str]:
    """Names in lower case, as those of headers are compared."""
    meta: dict[str, str] = {}
    for name, value in given.items():
        shown = f"meta.{ascii(name[:40])[1:-1]}"
        if not is_token(name):
            raise malformed(f"{shown}: its name is no HTTP token", field="meta")
        if name.lower() in meta:
            raise malformed(f"{shown}: is given twice", field="meta")
        try:
            meta[name.lower()] = check_carried(value, shown)
        except PermanentError as error:
            raise malformed(str(error), field="meta") from error
    return meta


def _as_member(problem: ProblemError) -> ProblemError:
    """What is said of a header, said of a member of the entry."""
    detail, extra = problem.detail, dict(problem.extra)
    header = extra.pop("header", None)
    for name, shown in _HEADERS.items():
        detail = detail.replace(shown, name)
        if header == shown:
            extra["field"] = name
    return ProblemError(problem.problem, detail, **extra)


def _misfit(said: str) -> ProblemError:
    """An entry that is no object, or a member of it that is unknown or of another type, in the decoder's words."""
    unknown = _UNKNOWN.fullmatch(said)
    if unknown is not None:
        name = ascii(unknown[1][:40])[1:-1]
        near = get_close_matches(unknown[1], _KNOWN, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        return malformed(f"{name}: is no field of an entry; {hint}known are: {', '.join(_KNOWN)}", field=name)
    problem = said.partition(" - at ")[0].replace("`", "")
    problem = f"{problem[:1].lower()}{problem[1:]}"
    field = _FIELD.search(said)
    if field is None:
        return malformed(f"The entry cannot be read: {problem}.")
    return malformed(f"{field[1]}: {problem}", field=field[1])
