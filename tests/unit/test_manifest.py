"""Manifests from files: what is read, and every mistake with its file, line and field."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from contracts.workqueue import manifest_object
from kubedaemon.dev.manifest import read_manifests

HEAD = "apiVersion: kubedaemon.io/v1alpha1\nkind: WorkQueue\nmetadata:\n  name: words\n"


def refusal(path: Path, content: str | bytes) -> str:
    """What is said about a file with this content, without the file's directory."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError) as caught:
        read_manifests([path])
    return str(caught.value).replace(f"{path.parent}/", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "q.yaml"


def test_several_documents_in_several_files_keep_their_order(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(
        f"---\n# a comment\n---\n{HEAD}---\n{HEAD.replace('words', 'mails')}spec: {{partitions: 2}}\n---\n"
    )
    second.write_text("\ufeff" + HEAD.replace("name: words", "name: words\n  namespace: shop"), "utf-8")
    found = read_manifests([first, second])
    assert [("default", "words"), ("default", "mails"), ("shop", "words")] == [(q.namespace, q.name) for q in found]
    assert 2 == found[1].spec.partitions


def test_the_namespace_of_manifests_that_name_none(path: Path) -> None:
    path.write_text(HEAD)
    assert ["shop"] == [queue.namespace for queue in read_manifests([path], namespace="shop")]


def test_anchors_and_merges_are_yaml_and_fine(path: Path) -> None:
    path.write_text(
        HEAD
        + "spec:\n  template:\n    base: &base {a: 1, b: 2}\n    more: {<<: *base, b: 3}\n    list: [*base, *base]\n"
    )
    template = read_manifests([path])[0].spec.template
    assert template is not None
    assert {"a": 1, "b": 3} == template["more"]
    assert [{"a": 1, "b": 2}] * 2 == template["list"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(HEAD.encode())))
    assert "words" == read_manifests([Path("-")])[0].name
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: [")))
    with pytest.raises(ConfigurationError, match=r"^standard input:1:5: is not YAML: "):
        read_manifests([Path("-")])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            HEAD + "spec:\n  scaling:\n    maxReplica: 3\n",
            "q.yaml:7: spec.scaling.maxReplica: unknown field; did you mean",
        ),
        (HEAD + "spec:\n\n  partitions: 5\n", "q.yaml:7: spec.partitions: expected one of 1, 2, 4"),
        (
            HEAD + "spec: {partitions: 2, scaling: {maxReplicas: 4}}",
            "q.yaml:5: spec.scaling.maxReplicas: at most spec.part",
        ),
        (HEAD.replace("name: words", "name: Bad Name"), "q.yaml:4: metadata.name: expected lower-case letters"),
        (HEAD.replace("  name: words\n", "  labels: {}\n"), "q.yaml:3: metadata.name: expected lower-case letters"),
        ("kind: WorkQueue\n", "q.yaml:1: apiVersion: expected kubedaemon.io/v1alpha1, got nothing"),
        (HEAD + "---\n" + HEAD.replace("WorkQueue", "Pod"), "q.yaml:7: kind: expected WorkQueue, got 'Pod'"),
        (
            "- a\n- b\n",
            "q.yaml:1: the manifest: expected a mapping with apiVersion, kind, metadata and spec, got a list",
        ),
    ],
)
def test_a_wrong_field_is_told_with_its_line(path: Path, content: str, expected: str) -> None:
    assert refusal(path, content).startswith(expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (HEAD + "spec: [1, 2\n", "q.yaml:6:1: is not YAML: expected ',' or ']', but got '<stream end>'"),
        (
            HEAD + "spec:\n\tpartitions: 1\n",
            "q.yaml:6:1: is not YAML: found character '\\t' that cannot start any token; indent",
        ),
        ("a: b: c\n", "q.yaml:1:5: is not YAML: mapping values are not allowed here"),
        ("a: 1\nb: \x01\n", "q.yaml:2:4: is not YAML: the character U+0001 may not stand here"),
        ("a: *b\n", "q.yaml:1:4: is not YAML: found undefined alias 'b'"),
        ("a: !python/object:os.system {}\n", "q.yaml:1:4: could not determine a constructor for the tag"),
        ("[" * 3000, "q.yaml: is nested too deeply to be a manifest"),
        (b"a: 1\nb: \xff\n", "q.yaml:2: is not UTF-8 text; save the file as UTF-8"),
        ("", "q.yaml: holds no WorkQueue; the file is empty or nothing but comments"),
        ("# only\n---\n", "q.yaml: holds no WorkQueue"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(path: Path, content: str | bytes, expected: str) -> None:
    assert refusal(path, content).startswith(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{day: 2026-01-02}", "spec.template.day: is a date to YAML; put it in quotes if text is meant"),
        ("{day: 2026-99-99}", "spec.template.day: is a date to YAML"),
        ("{raw: !!binary aGk=}", "spec.template.raw: is bytes to YAML"),
        ("{all: !!set {a, b}}", "spec.template.all: is a set to YAML"),
        ("{most: .inf}", "spec.template.most: .inf is not a number that JSON has"),
        ("{list: [1, {x: .nan}]}", "spec.template.list.1.x: .nan is not a number that JSON has"),
        ("{n: !!int x}", "spec.template.n: 'x' cannot be read; put it in quotes if text is meant"),
        ("{8080: http}", "spec.template: the key 8080 is not text; put it in quotes"),
        ("{on: push}", "spec.template: the key on is not text; put it in quotes"),
        ("{? [a] : b}", "spec.template: the key this key is not text"),
        ("&me {self: *me}", "spec.template.self: refers to itself; an alias may not stand inside its own anchor"),
        ("{a: 1, b: 2, a: 3}", "spec.template.a: is given twice, first in line 6; keep one of them"),
        ("{a: " * 150 + "1" + "}" * 150, "spec.template.a: is nested too deeply to be a manifest"),
    ],
)
def test_what_json_cannot_say_is_refused(path: Path, value: str, expected: str) -> None:
    assert refusal(path, f"{HEAD}spec:\n  template: {value}\n").startswith(f"q.yaml:6: {expected}")


def test_a_key_that_is_given_twice_names_both_lines(path: Path) -> None:
    sentence = refusal(path, HEAD + "spec:\n  paused: true\n  partitions: 2\n  paused: false\n")
    assert "q.yaml:8: spec.paused: is given twice, first in line 6; keep one of them" == sentence


def test_the_same_queue_twice_names_both_places(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(f"# a\n{HEAD}")
    second.write_text(f"{HEAD.replace('words', 'mails')}---\n{HEAD}")
    with pytest.raises(ConfigurationError) as caught:
        read_manifests([first, second])
    sentence = f"{second}:6: metadata.name: queue 'words' is defined already, at {first}:2; keep one of them"
    assert sentence == str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, sentence in (
        (tmp_path / "none.yaml", "there is no such file; name a manifest with -f"),
        (tmp_path, "is a directory; name the manifests in it, each with -f"),
        (tmp_path / "x" / "y\0z", "cannot be read"),
    ):
        with pytest.raises(ConfigurationError, match=sentence):
            read_manifests([path])


def test_what_was_read_can_be_put() -> None:
    example = Path(__file__).parents[2] / "examples" / "ledger" / "queue.yaml"
    assert "WorkQueue" == manifest_object(read_manifests([example])[0])["kind"]
