"""Manifests from YAML files, with errors that name file, line and field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import ConfigurationError
from contracts.workqueue import ManifestError, WorkQueue, parse_manifest


def read_manifests(paths: Sequence[Path]) -> list[WorkQueue]:
    """The queues of all documents of all files. Raises ``ConfigurationError`` with one sentence."""
    found: dict[tuple[str, str], tuple[WorkQueue, str]] = {}
    for path in paths:
        for node in _documents(path):
            place = f"{path}:{node.start_mark.line + 1}"
            workqueue = _read(node, path)
            key = (workqueue.namespace, workqueue.name)
            if key in found:
                raise ConfigurationError(f"{place}: queue {workqueue.name!r} is defined already, at {found[key][1]}")
            found[key] = (workqueue, place)
    return [workqueue for workqueue, _ in found.values()]


def _documents(path: Path) -> list[yaml.Node]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; give a manifest file with -f") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text (byte {error.start + 1})") from error
    try:
        return [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise ConfigurationError(f"{path}{where}: is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: is not YAML: {error}") from error


def _read(node: yaml.Node, path: Path) -> WorkQueue:
    _refuse_twice(node, path)
    loader = yaml.SafeLoader("")
    try:
        value: Any = loader.construct_document(node)
        return parse_manifest(value)
    except ManifestError as error:
        raise ConfigurationError(f"{path}:{_line(node, error.path)}: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ConfigurationError(f"{path}:{mark.line + 1 if mark else 1}: {error.problem}") from error
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


def _refuse_twice(node: yaml.Node, path: Path) -> None:
    """YAML's loader lets the last of two equal keys win; here that is always a mistake."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(item, path)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ConfigurationError(f"{path}:{key.start_mark.line + 1}: {key.value}: is given twice")
                seen.add(key.value)
            _refuse_twice(value, path)
