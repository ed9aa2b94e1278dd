"""Manifests from YAML files, with errors that name the file, the line and the field."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import ConfigurationError
from contracts.workqueue import ManifestError, WorkQueue, parse_manifest

STANDARD_INPUT = Path("-")
_LONGEST_NUMBER_BITS = 1024
_DEEPEST = 100
_QUOTED = {"timestamp": "a date", "binary": "bytes", "set": "a set", "pairs": "pairs", "omap": "pairs"}
"""YAML kinds that JSON, which is what the API speaks, does not have."""


def read_manifests(paths: Sequence[Path], *, namespace: str = "default") -> list[WorkQueue]:
    """The queues of all documents of all files, in order; ``-`` is standard input.

    ``namespace`` is that of manifests which name none. Raises ``ConfigurationError`` with one sentence.
    """
    found: dict[tuple[str, str], tuple[WorkQueue, str]] = {}
    for path in paths:
        name = "standard input" if path == STANDARD_INPUT else str(path)
        documents = _documents(name, _text(path, name))
        if not documents:
            raise ConfigurationError(f"{name}: holds no WorkQueue; the file is empty or nothing but comments")
        for node in documents:
            place = f"{name}:{node.start_mark.line + 1}"
            workqueue = _read(node, name, namespace)
            key = (workqueue.namespace, workqueue.name)
            if key in found:
                raise ConfigurationError(
                    f"{place}: metadata.name: queue {workqueue.name!r} is defined already, at {found[key][1]};"
                    " keep one of them"
                )
            found[key] = (workqueue, place)
    return [workqueue for workqueue, _ in found.values()]


def _text(path: Path, name: str) -> str:
    try:
        content = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(f"{name}: there is no such file; name a manifest with -f") from error
    except IsADirectoryError as error:
        raise ConfigurationError(f"{name}: is a directory; name the manifests in it, each with -f") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{name}:{line}: is not UTF-8 text; save the file as UTF-8") from error


def _documents(name: str, text: str) -> list[yaml.Node]:
    try:
        return [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if not _is_nothing(node)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        problem = str(error.problem or error.context)
        hint = "; indent with spaces" if "'\\t'" in problem else ""
        raise ConfigurationError(f"{name}{where}: is not YAML: {problem}{hint}") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        where = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        code = error.character if isinstance(error.character, int) else ord(str(error.character)[0])
        raise ConfigurationError(
            f"{name}:{where}: is not YAML: the character U+{code:04X} may not stand here"
        ) from error
    except RecursionError as error:
        raise ConfigurationError(f"{name}: is nested too deeply to be a manifest") from error


def _is_nothing(node: yaml.Node | None) -> bool:
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null")


def _read(node: yaml.Node, name: str, namespace: str) -> WorkQueue:
    loader = yaml.SafeLoader("")
    try:
        _Check(name, loader).walk(node, ())
        value: Any = loader.construct_document(node)
        return parse_manifest(value, namespace=namespace)
    except ManifestError as error:
        raise ConfigurationError(f"{name}:{_line(node, error.path)}: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or node.start_mark
        raise ConfigurationError(f"{name}:{mark.line + 1}:{mark.column + 1}: {error.problem}") from error
    finally:
        loader.dispose()


def _line(node: yaml.Node, path: tuple[str, ...]) -> int:
    """The line of the field, or of the nearest thing around it that is there."""
    line = node.start_mark.line + 1
    for name in path:
        if not isinstance(node, yaml.MappingNode):
            break
        pair = next(((k, v) for k, v in node.value if k.value == name), None)
        if pair is None:
            break
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line


class _Check:
    """Refuses what YAML can say and JSON cannot, and what its loader would quietly let pass."""

    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self._name = name
        self._loader = loader
        self._done: set[int] = set()
        self._open: set[int] = set()

    def _refuse(self, node: yaml.Node, path: tuple[str, ...], problem: str) -> ConfigurationError:
        field = ".".join(path) or "the manifest"
        return ConfigurationError(f"{self._name}:{node.start_mark.line + 1}: {field}: {problem}")

    def walk(self, node: yaml.Node, path: tuple[str, ...]) -> None:
        if id(node) in self._open:
            raise self._refuse(node, path, "refers to itself; an alias may not stand inside its own anchor")
        if len(path) > _DEEPEST:
            raise self._refuse(node, path[:3], "is nested too deeply to be a manifest")
        if id(node) in self._done:
            return
        self._open.add(id(node))
        kind = _QUOTED.get(node.tag.rpartition(":")[2])
        if kind is not None:
            raise self._refuse(node, path, f"is {kind} to YAML; put it in quotes if text is meant")
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for place, item in enumerate(node.value):
                self.walk(item, (*path, str(place)))
        else:
            self._scalar(node, path)
        self._open.discard(id(node))
        self._done.add(id(node))

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> None:
        lines: dict[str, int] = {}
        for key, value in node.value:
            if key.tag.endswith(":merge"):
                self.walk(value, path)
                continue
            if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith(":str"):
                shown = key.value if isinstance(key, yaml.ScalarNode) else "this key"
                raise self._refuse(key, path, f"the key {shown} is not text; put it in quotes")
            if _has_surrogate(key.value):
                raise self._refuse(key, path, f"the key {key.value!r} holds half a character, which no JSON has")
            if key.value in lines:
                first = lines[key.value]
                raise self._refuse(key, (*path, key.value), f"is given twice, first in line {first}; keep one of them")
            lines[key.value] = key.start_mark.line + 1
            self.walk(value, (*path, key.value))

    def _scalar(self, node: yaml.Node, path: tuple[str, ...]) -> None:
        try:
            value = self._loader.construct_object(node)
        except (ValueError, OverflowError) as error:
            raise self._refuse(
                node, path, f"{node.value!r} cannot be read; put it in quotes if text is meant"
            ) from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refuse(node, path, f"{node.value} is not a number that JSON has")
        if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER_BITS:
            raise self._refuse(node, path, "is a number too long to be read again; put it in quotes if text is meant")
        if isinstance(value, str) and _has_surrogate(value):
            raise self._refuse(node, path, f"{value!r} holds half a character, which no JSON has")


def _has_surrogate(text: str) -> bool:
    """YAML's escapes can say one half of a UTF-16 pair, which UTF-8 cannot."""
    return any("\ud800" <= character <= "\udfff" for character in text)
