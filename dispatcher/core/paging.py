"""Pages of lists that are made here. A cursor names a place in the order, not an item: the item may be gone by then."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from dispatcher.core.query import malformed

Item = TypeVar("Item")
Key = TypeVar("Key", bound=tuple[Any, ...])


def cut_page(
    items: Iterable[Item], key: Callable[[Item], Key], kind: type[Key], limit: int, after: str | None
) -> tuple[list[Item], str | None]:
    """The page behind the cursor, in the order of ``key``, and the cursor of the next one, None at the end."""
    ordered = sorted(items, key=key)
    start = 0 if after is None else bisect_right(ordered, decode_cursor(after, kind), key=key)
    page = ordered[start : start + limit]
    more = start + limit < len(ordered)
    return page, encode_cursor(key(page[-1])) if more else None


def encode_cursor(key: tuple[Any, ...]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(text: str, kind: type[Key]) -> Key:
    """The inverse. Raises ``ProblemError`` 400 for a cursor that no list of this kind gave."""
    try:
        key: Key = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (ValueError, msgspec.MsgspecError) as error:
        raise malformed("after", f"{text[:40]!a} is not a cursor that this list gave; begin without it") from error
    return key
