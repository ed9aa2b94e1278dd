"""A short run of what ``make conformance`` does at length."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.toolchains
@pytest.mark.timeout(300)
def test_the_api_is_as_its_document_says() -> None:
    command = [str(ROOT / "scripts/conformance"), "--seconds", "20", "--phases", "examples,coverage,fuzzing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
