"""JSON that came from outside, as text: where it is wrong, and its shortest form with every number as it was written."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from contracts.problems import Problem, ProblemError

_BYTE: Final = re.compile(r" \(byte (\d+)\)$")
_STRING_OR_SPACE: Final = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\n\r]+', re.DOTALL)


def not_json(text: bytes, error: msgspec.DecodeError | UnicodeDecodeError, first_line: int = 1) -> ProblemError:
    """The 400 with line and column (in bytes, both from 1) of what the decoder stumbled over."""
    line, column, reason = _place(text, error)
    detail = f"The body is not JSON: {reason} at line {line + first_line - 1}, column {column}."
    return ProblemError(Problem.MALFORMED_REQUEST, detail, line=line + first_line - 1, column=column)


def check_utf8(text: bytes) -> None:
    """Raises the 400 where it is not. Decoders that pass over a value do not look into its strings."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise not_json(text, error) from error


def compact(text: bytes) -> bytes:
    """Valid JSON without the white space that means nothing. Decoding and encoding would round its numbers."""
    if len(text) == len(text.translate(None, b" \t\n\r")):
        return text
    return _STRING_OR_SPACE.sub(rb"\1", text)


def _not_utf8(text: bytes) -> int:
    """The decoder counts from the beginning of the string; this counts from that of the text."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(text)


def _place(text: bytes, error: msgspec.DecodeError | UnicodeDecodeError) -> tuple[int, int, str]:
    if isinstance(error, UnicodeDecodeError):
        at, reason = _not_utf8(text), "bytes that are not UTF-8"
    else:
        said = str(error)
        found = _BYTE.search(said)
        at = min(int(found[1]), len(text)) if found else len(text)
        reason = _BYTE.sub("", said).removeprefix("JSON is malformed: ")
        if not text.strip():
            reason = "it is empty"
        elif not found:
            reason = "it ends too early, or in an escape that is broken"
    before = text[:at]
    return before.count(b"\n") + 1, at - (before.rfind(b"\n") + 1) + 1, reason
