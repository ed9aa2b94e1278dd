"""Mistakes to make on purpose: each changes one place of the cores or of the fence, and some seed must notice.

A mutation is text: what stands there, and what stands there instead. It is compiled into the functions that are
running, so that whoever holds one of them has it too. Those marked as *real* were in the code once, and were found by
the simulation; ``seed`` is one that notices, written anew by ``python -m tests.simulation --mutations --write``.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType


@dataclass(frozen=True)
class Mutation:
    """``old`` stands exactly once in the module; ``why`` says what is wrong with ``new``; ``needs``: kinds of faults."""

    name: str
    module: str
    old: str
    new: str
    why: str
    seed: int = 0
    real: bool = False
    needs: tuple[str, ...] = ()


@contextlib.contextmanager
def applied(mutation: Mutation) -> Iterator[None]:
    """The code with the mistake in it, as long as this lasts."""
    module = importlib.import_module(mutation.module)
    source = Path(inspect.getfile(module)).read_text()
    assert source.count(mutation.old) == 1, (
        f"{mutation.name}: what it changes stands {source.count(mutation.old)} times"
    )
    mutated = _functions_of(compile(source.replace(mutation.old, mutation.new), module.__file__ or "", "exec"))
    real: list[tuple[FunctionType, CodeType]] = []
    for name, function in _running(module):
        if _differ(function.__code__, mutated[name]):
            real.append((function, function.__code__))
            function.__code__ = mutated[name]
    assert real, f"{mutation.name}: changes no function"
    try:
        yield
    finally:
        for function, code in real:
            function.__code__ = code


def _functions_of(code: CodeType) -> dict[str, CodeType]:
    found: dict[str, CodeType] = {}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found[constant.co_qualname] = constant
            found |= {name: inner for name, inner in _functions_of(constant).items() if "<locals>" not in name}
    return found


def _running(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        for member in vars(value).values() if isinstance(value, type) else (value,):
            function = member.fget if isinstance(member, property) else member
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                yield function.__qualname__, function


def _differ(one: CodeType, other: CodeType) -> bool:
    return one.co_code != other.co_code or _plain(one) != _plain(other) or one.co_names != other.co_names


def _plain(code: CodeType) -> list[object]:
    """Constants, those of functions inside among them, so that a change in there is seen too."""
    return [
        (constant.co_code, _plain(constant), constant.co_names) if isinstance(constant, types.CodeType) else constant
        for constant in code.co_consts
    ]


def record(directory: Path, found: Mapping[str, int]) -> None:
    """Writes, for each mutation by name, the seed that notices it into the files where the mutations stand."""
    for path in sorted(directory.glob("mistakes_of_*.py")):
        parts = re.split(r"(?=^    Mutation\($)", path.read_text(), flags=re.MULTILINE)
        for place, part in enumerate(parts):
            name = re.match(r'    Mutation\(\n        "(.*?)",', part)
            if name is not None and name[1] in found:
                bare = re.sub(r"\n        seed=\d+,", "", part)
                seed = f"        seed={found[name[1]]},\n" if found[name[1]] else ""
                parts[place] = bare.replace("\n    ),\n", f"\n{seed}    ),\n", 1)
        path.write_text("".join(parts))
