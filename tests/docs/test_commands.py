"""The commands that the documentation shows do what it says, in order, against the ``kubedaemon dev`` that it starts."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Step, steps
from tests.system.dev_scene import PATIENCE_SECONDS, Dev, staged

QUICK = ["examples/python/README.md", "examples/shell/README.md", "examples/later/README.md"]
WITH_TOOLS = ["README.md", *(f"examples/{language}/README.md" for language in ("go", "java", "node", "rust"))]
NOT_RUN = {
    "docs/handlers.md": "its variables come from a message; tests/system/test_callback_*.py make the same calls",
    "docs/auth.md": "its dev has tokens from the start, which the runner does not; tests/system/test_auth_*.py do the same",
    "docs/durability.md": "it is about restarts of a dev that keeps a directory; tests/system/test_dev_data.py does them",
    "docs/simulation.md": "each of its commands takes longer than a test may",
    "examples/ledger/README.md": "make demo runs it",
}
COMMANDS_NOT_RUN = {
    "make": "runs these tests, or is part of `make check` itself",
    "kubedaemon top": "is a display that lasts until it is interrupted; tests/unit/test_display.py draws it",
}


def commands(page: str) -> list[Step]:
    """The steps of a page that are to be run, with the program that is installed here."""
    found = [Step(step.command.replace(".venv/bin/", ""), step.printed) for step in steps((ROOT / page).read_text())]
    return [step for step in found if not step.command.startswith(tuple(COMMANDS_NOT_RUN))]


def run(step: Step, directory: Path, dev: Dev | None) -> str:
    """What it prints. Files go to ``directory`` instead of /tmp; curl fails where the answer is an error."""
    (directory / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    given = {**os.environ, "PATH": programs, "CURL_HOME": str(directory)}
    command = step.command.replace("/tmp/", f"{directory}/")
    if dev is not None:
        given["KUBEDAEMON_URL"] = dev.url
        command = command.replace("http://127.0.0.1:8080", dev.url)
    ended = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=given, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS
    )
    assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def follow(page: str, directory: Path) -> None:
    """Do what a reader does who pastes one command after the other."""
    dev = None
    with ExitStack() as stack:
        stage = stack.enter_context(staged(directory))
        for step in commands(page):
            if step.command.startswith("kubedaemon dev "):
                words = shlex.split(step.command.replace("/tmp/", f"{directory}/"))[2:]
                dev = stack.enter_context(stage.dev(*words))
                continue
            printed = run(step, directory, dev)
            assert step.printed.strip() in ("", printed.strip()), step.command


@pytest.mark.parametrize("page", QUICK)
def test_a_page_can_be_followed(page: str, tmp_path: Path) -> None:
    follow(page, tmp_path)


@pytest.mark.toolchains
@pytest.mark.parametrize("page", WITH_TOOLS)
def test_a_page_that_needs_tools_can_be_followed(page: str, tmp_path: Path) -> None:
    follow(page, tmp_path)


def test_every_page_with_commands_is_followed_or_has_a_reason() -> None:
    with_commands = {page for page in PAGES if steps((ROOT / page).read_text())}
    assert with_commands == {*QUICK, *WITH_TOOLS, *NOT_RUN}


@pytest.mark.parametrize("page", [*QUICK, *WITH_TOOLS])
def test_there_is_something_to_follow(page: str) -> None:
    assert any(step.command.startswith("kubedaemon send ") for step in commands(page))


def test_commands_are_read_with_what_they_print() -> None:
    text = "Do:\n\n    make a   # why\n    curl x \\\n      -d y\n    printed\n\n```sh\n# note\nmake b\n```\n"
    assert [Step("make a"), Step("curl x   -d y", "printed\n"), Step("make b")] == steps(text)


def test_an_unknown_program_is_not_taken_for_output() -> None:
    with pytest.raises(ValueError, match="frobnicate"):
        steps("Do:\n\n    frobnicate now\n")
