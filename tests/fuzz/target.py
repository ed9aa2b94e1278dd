"""What a target is, and the one way in which targets read text from bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Target(NamedTuple):
    """``check`` must hold for any bytes. ``corpus`` are inputs worth starting from, ``words`` what to mix into them."""

    check: Callable[[bytes], None]
    corpus: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


def text_of(data: bytes) -> str:
    """As an HTTP server gives header values: UTF-8, and what is none as lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def is_text(value: str) -> bool:
    """Can it be written anywhere, with no lone surrogate in it?"""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_sentence(said: str) -> None:
    """An error is a sentence for people: one line that any terminal and any JSON can carry."""
    assert said, "an error says something"
    assert said.isprintable(), f"an error in one line of printable text: {said!r}"
    assert len(said) < 1000, f"an error of {len(said)} characters"
