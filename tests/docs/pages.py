"""The shell commands of a page, in order, each with what the page says that it prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)
PROGRAMS = ("kubedaemon", ".venv/bin/kubedaemon", "curl", "make", "rustc", "(cd", "python", "cat", "head", "export")

_FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"\n\n(?P<body>(?: {4}\S.*\n)(?: {4}.*\n|\n(?= {4}))*)")


@dataclass(frozen=True)
class Step:
    """One command and the lines below it that are no commands: what it prints, if the page shows that."""

    command: str
    printed: str = ""


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return _FENCED.sub("", text)


def steps(text: str) -> list[Step]:
    """The commands of a page. Raises ``ValueError`` where a block begins with a program that is not in ``PROGRAMS``."""
    blocks = [(m.start(), m["body"]) for m in _FENCED.finditer(text) if m["language"] in ("sh", "console")]
    hidden = _FENCED.sub(lambda m: "x" * len(m[0]), text)
    blocks += [(m.start(), re.sub(r"^ {4}", "", m["body"], flags=re.MULTILINE)) for m in _INDENTED.finditer(hidden)]
    return [step for _, body in sorted(blocks) for step in _of_block(body)]


def _of_block(body: str) -> list[Step]:
    found: list[Step] = []
    for line in body.replace("\\\n", "").splitlines():
        line = line.removeprefix("$ ")
        if line.split(" ")[0] in PROGRAMS:
            found.append(Step(re.sub(r"\s+# .*", "", line)))
        elif line.strip() and not line.startswith("#"):
            if not found:
                raise ValueError(f"no program is known that begins so: {line}")
            found[-1] = Step(found[-1].command, f"{found[-1].printed}{line}\n")
    return found
