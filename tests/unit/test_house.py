"""The house rules that no linter knows: how long a module and a function may be, what a module says first, its name."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

PACKAGES = ("contracts", "backends", "sidecar", "scaler", "dispatcher", "kubedaemon")
MODULE_LINES = 400
MODULE_LINES_TO_WATCH = 300
FUNCTION_LINES = 60
EMPTY_WORDS = {"helper", "helpers", "manager", "managers", "util", "utils"}


@cache
def sources() -> dict[str, str]:
    """Every module's text by its path, from the tree or from where the wheel was installed."""
    roots = [Path(next(iter(import_module(package).__path__))) for package in PACKAGES]
    return {path.relative_to(root.parent).as_posix(): path.read_text() for root in roots for path in root.rglob("*.py")}


@cache
def trees() -> dict[str, ast.Module]:
    return {path: ast.parse(text) for path, text in sources().items()}


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def longer_than(limit: int) -> dict[str, int]:
    counts = {path: len(text.splitlines()) for path, text in sources().items()}
    return {path: count for path, count in counts.items() if count > limit}


def test_every_package_is_looked_at() -> None:
    assert set(PACKAGES) == {path.partition("/")[0] for path in sources()}


def test_a_module_opens_with_its_purpose() -> None:
    silent = [path for path, tree in trees().items() if not ast.get_docstring(tree)]
    assert [] == silent, "begin each with a docstring that says what it is for"


def test_a_module_is_short() -> None:
    assert {} == longer_than(MODULE_LINES), "divide each by what changes together"


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_module_is_named_before_it_is_too_long() -> None:
    for path, count in longer_than(MODULE_LINES_TO_WATCH).items():
        warnings.warn(f"{path} has {count} lines; past {MODULE_LINES} it must be divided", stacklevel=1)


def test_a_function_is_short() -> None:
    lengths = {f"{path}: {name}": count for path, tree in trees().items() for name, count in functions(tree)}
    assert {} == {name: count for name, count in lengths.items() if count > FUNCTION_LINES}, "name the steps of each"


def test_a_name_says_what_is_inside() -> None:
    words = {path: set(path.removesuffix(".py").lower().replace("/", "_").split("_")) for path in sources()}
    assert [] == [path for path in words if words[path] & EMPTY_WORDS], "name each after what it does"


@pytest.mark.parametrize("component", ["sidecar", "scaler", "dispatcher"])
def test_a_core_imports_contracts_and_itself_alone(component: str) -> None:
    allowed = ("contracts.", f"{component}.core.")
    strangers = [
        f"{path}: {target}"
        for path, tree in trees().items()
        if path.startswith(f"{component}/core/")
        for target in imports(tree)
        if target.startswith(tuple(f"{package}." for package in PACKAGES)) and not target.startswith(allowed)
    ]
    assert [] == strangers
