"""Inputs from a seed: examples cut, joined, repeated and spoilt at random, the same ones each time."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.fuzz.target import Target

ODD = (
    b"\0",
    b"\xff",
    b"\r\n",
    b"\n",
    b" ",
    b"%",
    b'"',
    b",",
    b";",
    b"=",
    b"-1",
    b"0",
    b"9" * 25,
    b"\xc3",
    b"\xed\xa0\x80",
)
LONGEST = 4096


def inputs(target: Target, seed: int, number: int) -> Iterator[bytes]:
    """The corpus as it is, and so many mutations of it."""
    random = Random(seed)
    yield from target.corpus
    yield b""
    for _ in range(number):
        yield _mutated(random, target)[:LONGEST]


def _mutated(random: Random, target: Target) -> bytes:
    if not target.corpus or random.random() < 0.05:
        return random.randbytes(random.randint(0, 64))
    data = bytearray(random.choice(target.corpus))
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        at = random.randint(0, len(data))
        kind = random.randrange(7)
        if kind == 0:
            data[at:at] = random.choice(target.words or ODD)
        elif kind == 1:
            data[at:at] = random.choice(ODD)
        elif kind == 2:
            del data[at : at + random.choice((1, 1, 4, 32))]
        elif kind == 3 and at < len(data):
            data[at] = random.randrange(256)
        elif kind == 4:
            data[at:at] = data[at : at + random.randint(1, 32)] * random.choice((1, 1, 3, 40))
        elif kind == 5:
            other = random.choice(target.corpus)
            data[at:] = other[random.randint(0, len(other)) :]
        elif at < len(data):
            data[at] ^= 1 << random.randrange(8)
    return bytes(data)
