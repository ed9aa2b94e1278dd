"""Definitions of queues: YAML files, JSON bodies, and patches of what is there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from backends.http.bodies import decode_json
from contracts.errors import ConfigurationError
from contracts.problems import ProblemError
from contracts.workqueue import ManifestError, WorkQueue, manifest_object, parse_manifest, parse_spec
from dispatcher.core.manifests import check_change, patched
from kubedaemon.dev.manifest import read_manifests
from tests.fuzz.target import Target, check_sentence

_DIRECTORY: Final = tempfile.TemporaryDirectory(prefix="kubedaemon-fuzz-")
_FILE: Final = Path(_DIRECTORY.name) / "q.yaml"
_MOST_NODES: Final = 10_000


def nodes(value: Any, most: int = _MOST_NODES) -> int:
    """How much it is written out, up to a bound: aliases make little text into much."""
    count, layer = 0, [value]
    while layer and count < most:
        one = layer.pop()
        count += 1
        if isinstance(one, dict):
            layer.extend(one.values())
        elif isinstance(one, list):
            layer.extend(one)
    return count


def check_workqueue(workqueue: WorkQueue) -> None:
    """A queue that was read can be shown, stored, and read again as the same."""
    assert workqueue.spec.scaling.min_replicas <= workqueue.spec.scaling.max_replicas <= workqueue.spec.partitions
    if nodes(workqueue.spec.template) >= _MOST_NODES:
        return
    shown = manifest_object(workqueue)
    assert workqueue == parse_manifest(shown)
    assert workqueue == parse_manifest(msgspec.json.decode(msgspec.json.encode(shown)))


def check_yaml(data: bytes) -> None:
    _FILE.write_bytes(data)
    try:
        found = read_manifests([_FILE])
    except ConfigurationError as error:
        assert str(error).startswith(str(_FILE))
        check_sentence(str(error))
        return
    assert found
    for workqueue in found:
        check_workqueue(workqueue)
    if all(nodes(workqueue.spec.template) < _MOST_NODES for workqueue in found):
        _FILE.write_text(yaml.safe_dump_all([manifest_object(workqueue) for workqueue in found]))
        assert found == read_manifests([_FILE])


def check_json(data: bytes) -> None:
    """The body of a PUT, read as the API reads it."""
    try:
        value = decode_json(data)
    except ProblemError as error:
        check_sentence(error.detail)
        if "line" in error.extra:
            lines = data.split(b"\n")
            assert 1 <= error.extra["line"] <= len(lines)
            assert 1 <= error.extra["column"] <= len(lines[error.extra["line"] - 1]) + 1
        return
    for name in (None, "q"):
        try:
            check_workqueue(parse_manifest(value, name=name))
        except ManifestError as error:
            assert all(isinstance(key, str) for key in error.path)
            check_sentence(str(error))


def check_patch(data: bytes) -> None:
    """The body of a PATCH: what comes of it is a queue of the same name, or it is refused."""
    before = WorkQueue(name="q", spec=parse_spec({"partitions": 8, "template": {"a": {"b": 1}}}))
    try:
        after = patched(before, decode_json(data))
        check_change(before, after)
    except (ProblemError, ManifestError) as error:
        check_sentence(str(error))
        return
    assert ("q", "default") == (after.name, after.namespace)
    assert after.spec.partitions >= before.spec.partitions
    check_workqueue(after)


HEAD: Final = b"apiVersion: kubedaemon.io/v1alpha1\nkind: WorkQueue\nmetadata:\n  name: words\n"
_WORDS: Final = (
    b"spec:",
    b"partitions",
    b"scaling",
    b"maxReplicas",
    b"delivery",
    b"backoff",
    b"template",
    b"metadata",
    b"null",
    b"1e999",
    b"-0",
    b"18446744073709551616",
    b"[" * 70,
)

_BOMB: Final = b", ".join(b"%c: &%c [%b]" % (n + 1, n + 1, b", ".join([b"*%c" % n] * 9)) for n in range(97, 105))

TARGETS: Final = {
    "manifest-yaml": Target(
        check_yaml,
        (
            HEAD,
            HEAD + b"spec:\n  partitions: 4\n  paused: true\n---\n" + HEAD.replace(b"words", b"mails"),
            HEAD + b"spec:\n  template: {a: &x {b: 1}, c: {<<: *x}, d: [*x, *x]}\n",
            HEAD + b"spec: {delivery: {maxAttempts: 3, backoff: {initialSeconds: 2}}}\n",
            HEAD + b"spec:\n  limits:\n    maxLenght: 5\n",
            HEAD + b"status: {ready: 5}\n",
            HEAD + b"spec:\n  template: {when: 2026-01-02, of: .nan, on: 0x1F, it: !!binary aGk=}\n",
            b"\xef\xbb\xbf---\n# nothing\n...\n",
            b"a: &a [*a]\n",
            HEAD + b'spec:\n  "a\\nb": 1\n',
            HEAD + b'"\\e[31m": 1\n',
            HEAD + b"status: {a: &a [x, x, x, x, x, x, x, x, x], " + _BOMB + b"}\nspec: *i\n",
            HEAD + b"spec: 0x" + b"f" * 5000 + b"\n",
        ),
        (
            b": ",
            b"- ",
            b"&x ",
            b"*x",
            b"<<: ",
            b"!!set ",
            b"? ",
            b"| ",
            b"> ",
            b"\t",
            b"---\n",
            b"'",
            b"{",
            b"}",
            *_WORDS,
        ),
    ),
    "manifest-json": Target(
        check_json,
        (
            b'{"spec": {"partitions": 4}}',
            b'{"apiVersion": "kubedaemon.io/v1alpha1", "kind": "WorkQueue", "metadata": {"name": "q"}}',
            b'{"spec": {"scaling": {"minReplicas": 1, "maxReplicas": 3}, "delivery": {"onDead": "block"}}}',
            b'{"spec": {"template": {"x": [1, 2.5, null, "\\u00e9", {"y": true}]}}}',
            b'{"spec": {"partitons": 4}}',
            b'{"metadata": []}',
            b"[1, 2",
        ),
        (b'"', b"{", b"}", b"[", b"]", b",", b"\\ud800", b"\\u0000", *_WORDS),
    ),
    "manifest-patch": Target(
        check_patch,
        (
            b'{"spec": {"partitions": 16}}',
            b'{"spec": {"partitions": 4}}',
            b'{"spec": null}',
            b'{"spec": {"template": {"a": {"b": null, "c": 2}}}}',
            b'{"metadata": {"name": "other"}}',
            b'{"kind": null, "spec": {"scaling": null}}',
            b"[]",
        ),
        (b'"', b"{", b"}", b"null", b",", *_WORDS),
    ),
}
