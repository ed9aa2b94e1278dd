"""Every target over its corpus and some mutations of it, the same ones each time."""

from __future__ import annotations

import pytest

from tests.fuzz.mutation import inputs
from tests.fuzz.registry import TARGETS

HEAD = b"apiVersion: kubedaemon.io/v1alpha1\nkind: WorkQueue\nmetadata: {name: q}\n"
LONG_CODING = b"\x03\0HTTP/1.1 200 OK\r\nTransfer-Encoding: " + b"\xb9" * 40 + b"\r\n\r\n"
SEED = 20_260_101
MUTATIONS = 400


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds(name: str) -> None:
    target = TARGETS[name]
    for data in inputs(target, SEED, MUTATIONS):
        try:
            target.check(data)
        except Exception as error:
            pytest.fail(f"{name}: {data!r}: {type(error).__name__}: {error}")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("handler-answer", LONG_CODING, id="a reason longer than it may be"),
        pytest.param("manifest-yaml", HEAD + b"spec: {template: {a: 0x" + b"f" * 5000 + b"}}", id="a number too long"),
        pytest.param("manifest-yaml", HEAD + b'spec: {template: {a: "\\ud800"}}', id="a lone surrogate"),
        pytest.param("manifest-yaml", HEAD + b'spec: {template: {"\\ud800": 1}}', id="a lone surrogate as a key"),
    ],
)
def test_what_was_found(name: str, data: bytes) -> None:
    TARGETS[name].check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_corpus_says_something(name: str) -> None:
    target = TARGETS[name]
    assert len(set(target.corpus)) == len(target.corpus) > 1


def test_mutations_are_the_same_each_time_and_differ_from_each_other() -> None:
    target = TARGETS["query"]
    once, again = (list(inputs(target, SEED, 300)) for _ in range(2))
    assert once == again
    assert len(set(once)) > 250
