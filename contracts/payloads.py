"""Payloads inside JSON and msgpack: how bytes stand beside the other members of an object, and are read back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, Final, Literal

import msgspec

from contracts.errors import PermanentError
from contracts.message import DEFAULT_CONTENT_TYPE

TEXT_TYPE: Final = "text/plain; charset=utf-8"
JSON_TYPE: Final = "application/json"

Form = Literal["json", "msgpack"]


def payload_member(body: bytes, form: Form) -> tuple[str, str | bytes]:
    """The name and value of the member that carries a payload: a string where it is UTF-8 and can be."""
    try:
        return "data", body.decode()
    except UnicodeDecodeError:
        return ("data", body) if form == "msgpack" else ("data_base64", b64encode(body).decode())


def read_payload(data: Any, data_base64: str | None) -> tuple[bytes, str]:
    """The bytes, and the type to give them where none is named. ``UNSET`` is a member that is not there.

    Strings are taken as they are, any other JSON value is written compactly. Raises ``PermanentError``.
    """
    if data_base64 is not None:
        if data is not msgspec.UNSET:
            raise PermanentError("data and data_base64 exclude each other: send one of them")
        try:
            return b64decode(data_base64, validate=True), DEFAULT_CONTENT_TYPE
        except ValueError as error:
            raise PermanentError(f"data_base64 is not base64: {error}") from error
    if data is msgspec.UNSET:
        return b"", DEFAULT_CONTENT_TYPE
    if isinstance(data, str):
        return data.encode(), TEXT_TYPE
    if isinstance(data, bytes):
        return data, DEFAULT_CONTENT_TYPE
    try:
        return msgspec.json.encode(data), JSON_TYPE
    except (TypeError, RecursionError) as error:  # msgpack holds more than JSON can say
        raise PermanentError(f"data cannot be written as JSON: {error}") from error
