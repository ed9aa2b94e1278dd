"""Text from outside: how it is carried in HTTP header values without ever being taken for something else.

Towards the handler everything outside 0x21-0x7E but inner spaces, and ``%`` itself, is percent-encoded UTF-8;
coming in it is decoded once.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from contracts.errors import PermanentError

_PLAIN: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
_SAFE: Final = re.compile(r"(?! )[ -$&-~]*(?<! )", re.ASCII)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)

MAX_QUEUE_NAME = 52
MAX_SESSION_BYTES = 255
MAX_HEADER_BYTES = 8190


def encode_header(value: str) -> str:
    """A header value that carries any text: printable ASCII as it is, the rest percent-encoded."""
    if _SAFE.fullmatch(value):
        return value
    inner = value.strip(" ")
    start = len(value) - len(value.lstrip(" "))
    lead, trail = ("%20" * start, "%20" * (len(value) - start - len(inner))) if inner else ("%20" * len(value), "")
    return lead + quote(inner, safe=_PLAIN + " ", errors="surrogatepass") + trail


def decode_header(value: str, name: str) -> str:
    """The text in a header value that a sender wrote. Raises ``PermanentError`` that names ``name``."""
    if not value.isascii() or any(ord(c) < 0x20 or ord(c) == 0x7F for c in value):
        raise PermanentError(f"{name}: holds raw bytes outside printable ASCII; percent-encode them as UTF-8")
    if "%" not in value:
        return value
    bad = _BAD_ESCAPE.search(value)
    if bad is not None:
        raise PermanentError(f"{name}: '%' at position {bad.start() + 1} is not followed by two hex digits; write %25")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise PermanentError(f"{name}: the escapes are not UTF-8 ({error.reason} at byte {error.start + 1})") from error


def check_carried(value: str, name: str) -> str:
    """The value itself. Raises ``PermanentError`` where it is longer than what a header would have brought in."""
    size = len(encode_header(value))
    if size > MAX_HEADER_BYTES:
        raise PermanentError(f"{name}: has {size} bytes as a header of HTTP, at most {MAX_HEADER_BYTES} are carried")
    return value


def printable(text: str, at_most: int = 200) -> str:
    """Text from outside inside a sentence for people: one line, nothing that a terminal acts on, and cut."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:at_most])
    return shown if len(text) <= at_most else f"{shown}…"


def is_token(name: str) -> bool:
    """May this be the name of an HTTP header (RFC 9110, 5.6.2)?"""
    return _TOKEN.fullmatch(name) is not None


def check_session(session: str, name: str) -> str:
    """The session itself. Raises ``PermanentError`` where it is empty or longer than 255 bytes of UTF-8."""
    try:
        size = len(session.encode())
    except UnicodeEncodeError as error:
        raise PermanentError(f"{name}: holds a lone surrogate, which is not text") from error
    if not size:
        raise PermanentError(f"{name}: is empty; leave it out for a message without a session")
    if size > MAX_SESSION_BYTES:
        raise PermanentError(f"{name}: has {size} bytes of UTF-8, at most {MAX_SESSION_BYTES} are allowed")
    return session


def is_label(name: str, at_most: int = 63) -> bool:
    """Is this a DNS label (RFC 1123) of at most so many characters?"""
    return len(name) <= at_most and _LABEL.fullmatch(name) is not None
