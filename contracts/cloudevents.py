"""CloudEvents 1.0 in JSON: an event taken apart into what a message carries and its handler gets in binary mode."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, Final, NoReturn

import msgspec

from contracts.errors import PermanentError
from contracts.jsontext import check_utf8, compact, not_json
from contracts.message import DEFAULT_CONTENT_TYPE
from contracts.payloads import JSON_TYPE
from contracts.problems import Problem, ProblemError
from contracts.text import check_carried, check_session
from contracts.timestamps import parse_time

ANY: Final = "application/cloudevents"
"""What the types of all forms begin with, one event or many, JSON or not."""

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"

PREFIX: Final = "ce-"
PARTITION_KEY: Final = "partitionkey"

_REQUIRED: Final = ("specversion", "id", "source", "type")
_MAX_INTEGER: Final = 2**31 - 1
_NAME: Final = re.compile(r"[a-z0-9]+", re.ASCII)
_NO_TEXT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
    + "]"
)
"""Control characters, and code points that are no characters."""

_REFERENCE: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MEDIA_TYPE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*(?:;[ -~]*)?")


class CloudEvent(msgspec.Struct, frozen=True):
    """``headers`` are its attributes as binary mode has them, but for ``datacontenttype``, which is the content type."""

    headers: dict[str, str]
    content_type: str
    body: bytes

    def partition_key(self) -> str | None:
        """The session, where none is named elsewhere. Raises ``ProblemError`` 400 where it cannot be one."""
        key = self.headers.get(PREFIX + PARTITION_KEY)
        try:
            return None if key is None else check_session(key, PARTITION_KEY)
        except PermanentError as error:
            raise ProblemError(Problem.MALFORMED_REQUEST, str(error), field=PARTITION_KEY) from error


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def media_type(content_type: str) -> str:
    """Without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def read_event(text: bytes) -> CloudEvent:
    """The event in this JSON. Raises ``ProblemError`` 400 that names the attribute, or the place."""
    check_utf8(text)
    try:
        members = _members.decode(text)
    except msgspec.ValidationError as error:
        raise ProblemError(Problem.MALFORMED_REQUEST, "A CloudEvent is a JSON object, and this is none.") from error
    except RecursionError as error:
        raise ProblemError(Problem.MALFORMED_REQUEST, "The event is nested too deep.") from error
    except msgspec.DecodeError as error:
        raise not_json(text, error) from error
    data, data_base64 = members.pop("data", None), members.pop("data_base64", None)
    attributes = {name: _attribute(name, bytes(raw)) for name, raw in members.items()}
    present = {name: value for name, value in attributes.items() if value is not None}
    for name in _REQUIRED:
        if name not in present:
            _malformed(name, f"is missing; a CloudEvent has {', '.join(_REQUIRED)}")
    for name, value in present.items():
        _check(name, value)
    content_type = present.pop("datacontenttype", None)
    body, named = _payload(data, data_base64, content_type)
    return CloudEvent({PREFIX + name: value for name, value in present.items()}, named, body)


def _malformed(name: str, problem: str) -> NoReturn:
    shown = ascii(name[:40])[1:-1]
    raise ProblemError(Problem.MALFORMED_REQUEST, f"{shown}: {problem}", field=shown)


def _attribute(name: str, raw: bytes) -> str | None:
    """Its canonical text; None where it is null, which is as if it were not there."""
    if not _NAME.fullmatch(name):
        _malformed(name, "is no name of an attribute: those are of lower-case letters and digits alone")
    value = _decoded(name, raw)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and -_MAX_INTEGER - 1 <= value <= _MAX_INTEGER:
        return str(value)
    if value is not None and not isinstance(value, str):
        _malformed(
            name, f"is a string, a boolean or an integer of 32 bits, got {raw[:40].decode('utf-8', 'replace')!a}"
        )
    return value


def _decoded(name: str, raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError:  # a number that nothing here can hold
        _malformed(name, "is a number out of range")


def _check(name: str, value: str) -> None:
    """What its own definition says of it, and that a header can carry it."""
    if (
        name in ("id", "source", "type", "subject", "dataschema", "datacontenttype", "time", PARTITION_KEY)
        and not value
    ):
        _malformed(name, "is empty")
    if _NO_TEXT.search(value):
        _malformed(name, "holds a control character, or a code point that is no character")
    if name == "specversion" and value != "1.0":
        _malformed(name, f"is {value[:40]!a}; known here is '1.0'")
    if name in ("source", "dataschema") and not _REFERENCE.fullmatch(value):
        _malformed(name, f"is no URI: {value[:80]!a} holds what RFC 3986 does not allow; percent-encode it")
    if name == "dataschema" and not _SCHEME.match(value):
        _malformed(name, f"is an absolute URI, got {value[:80]!a}")
    if name == "datacontenttype" and not _MEDIA_TYPE.fullmatch(value):
        _malformed(name, f"is a media type such as application/json, got {value[:80]!a}")
    try:
        if name == "time":
            parse_time(value)
        check_carried(value, name)
    except PermanentError as error:
        raise ProblemError(
            Problem.MALFORMED_REQUEST, f"{name}: {str(error).removeprefix(f'{name}: ')}", field=name
        ) from error


def _payload(data: msgspec.Raw | None, data_base64: msgspec.Raw | None, named: str | None) -> tuple[bytes, str]:
    """The bytes and their type: JSON where the type says so, or where there is none, else the text of a string."""
    encoded = None if data_base64 is None else _decoded("data_base64", bytes(data_base64))
    if encoded is not None:
        if data is not None:
            _malformed("data_base64", "excludes data: send one of them")
        return _base64(encoded), named or DEFAULT_CONTENT_TYPE
    if data is None:
        return b"", named or DEFAULT_CONTENT_TYPE
    if named is None or media_type(named).endswith(("/json", "+json")):
        return compact(bytes(data)), named or JSON_TYPE
    text = _decoded("data", bytes(data)) if bytes(data).startswith(b'"') else None
    if text is None:
        _malformed("data", f"is a string where the type is {named[:80]!a}, or data_base64 in its place")
    return str(text).encode(), named


def _base64(value: Any) -> bytes:
    if not isinstance(value, str):
        _malformed("data_base64", "is a string of base64")
    try:
        return b64decode(value, validate=True)
    except ValueError as error:
        raise ProblemError(
            Problem.MALFORMED_REQUEST, f"data_base64: is not base64: {error}", field="data_base64"
        ) from error
