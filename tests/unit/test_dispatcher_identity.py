"""Ids: the same for the same key, telling nothing, and rising with time where there is no key."""

from __future__ import annotations

import re

import pytest

from contracts.errors import PermanentError
from contracts.identity import check_key, fresh_id, keyed_id

SECRET = b"s" * 32


def test_the_same_key_is_the_same_id() -> None:
    assert keyed_id(SECRET, "a", "b", "c") == keyed_id(SECRET, "a", "b", "c")
    assert re.fullmatch("[0-9a-f]{32}", keyed_id(SECRET, "a", "b", "c"))


def test_whatever_differs_makes_another_id() -> None:
    given = [
        (SECRET, "a", "b", "c"),
        (b"t" * 32, "a", "b", "c"),
        (SECRET, "ab", "", "c"),
        (SECRET, "a", "bc", ""),
        (SECRET, "a", "b", "cc"),
    ]
    assert len(given) == len({keyed_id(*one) for one in given})


def test_the_form_never_changes() -> None:
    assert "adcb2d7179da32a4aead46c0c3c76236" == keyed_id(SECRET, "default", "orders", "order-17")


def test_a_fresh_id_is_time_then_chance() -> None:
    assert "018bcfe56800" + "ab" * 10 == fresh_id(1_700_000_000_000, b"\xab" * 10)
    assert fresh_id(1, b"\xff" * 10) < fresh_id(2, b"\x00" * 10)


@pytest.mark.parametrize("key", ["a", "!~", "k" * 255])
def test_keys_that_may_be(key: str) -> None:
    assert key == check_key(key)


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "é", "\x7f", "\n"])
def test_keys_that_may_not_be(key: str) -> None:
    with pytest.raises(PermanentError, match="Idempotency-Key"):
        check_key(key)
