"""``python -m tests.fuzz``: all targets under atheris for so many seconds in all, or again what was found once."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.registry import MODULES, TARGETS

FOUND = Path(__file__).parent / "found"
HANG_SECONDS = 20
MEMORY_MB = 2048
_COUNTS = re.compile(r"stat::number_of_executed_units: (\d+)|^#(\d+)", re.MULTILINE)
_SAID = re.compile(r"=== Uncaught Python exception: ===\s+(.*)|^==\d+== ?ERROR: (.*)", re.MULTILINE)


class Outcome(NamedTuple):
    """What one target came to. ``trouble`` is empty where nothing was found."""

    name: str
    executions: int
    trouble: str
    crashers: list[Path]


def run(name: str, seconds: int) -> Outcome:
    """One target for so long, in a process of its own: libFuzzer ends the one that it is in."""
    FOUND.mkdir(exist_ok=True)
    before = set(FOUND.iterdir())
    with tempfile.TemporaryDirectory(prefix="kubedaemon-fuzz-") as work:
        corpus, words = Path(work) / "corpus", Path(work) / "words"
        corpus.mkdir()
        for number, data in enumerate(TARGETS[name].corpus):
            (corpus / f"{number:03}").write_bytes(data)
        words.write_text("".join(f'"{escaped(word)}"\n' for word in TARGETS[name].words))
        options = [
            f"-max_total_time={seconds}",
            f"-timeout={HANG_SECONDS}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-dict={words}",
            f"-artifact_prefix={FOUND}/{name}-",
            "-max_len=4096",
            "-print_final_stats=1",
            str(corpus),
        ]
        command = [sys.executable, "-m", "tests.fuzz.under_atheris", MODULES[name], name, *options]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    new = sorted(path for path in set(FOUND.iterdir()) - before if path.name.startswith(f"{name}-"))
    trouble = "" if ended.returncode == 0 and not new else told(ended)
    return Outcome(name, executed(ended.stderr), trouble, new)


def escaped(word: bytes) -> str:
    """As libFuzzer wants the words of a dictionary."""
    return "".join(f"\\x{byte:02x}" for byte in word)


def executed(log: str) -> int:
    return max((int(one or other) for one, other in _COUNTS.findall(log)), default=0)


def told(ended: subprocess.CompletedProcess[str]) -> str:
    """The first line of what went wrong, or the end of the log where there is none."""
    said = _SAID.search(ended.stderr)
    return (said[1] or said[2]) if said else f"it ended with {ended.returncode}: {ended.stderr.strip()[-500:]}"


def fuzz(names: list[str], seconds: int) -> int:
    """All of them, as many at once as there are processors; how many found something."""
    workers = os.cpu_count() or 1
    each = max(2, seconds * workers // len(names))
    print(f"{len(names)} targets, {each} s each, {workers} at once", flush=True)
    failed = 0
    with ThreadPoolExecutor(workers) as pool:
        for outcome in pool.map(lambda name: run(name, each), names):
            print(
                f"{outcome.name:20} {outcome.executions:>12,} executions  {outcome.trouble or 'nothing found'}",
                flush=True,
            )
            for path in outcome.crashers:
                print(f"  {path.read_bytes()!r}\n  again: python -m tests.fuzz {os.path.relpath(path)}", flush=True)
            failed += bool(outcome.trouble)
    return failed


def replay(path: Path) -> None:
    """What was found once, with its traceback. The file's name begins with that of its target."""
    name = max((name for name in TARGETS if path.name.startswith(f"{name}-")), key=len)
    TARGETS[name].check(path.read_bytes())
    print(f"{path}: {name} holds")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("found", nargs="*", type=Path, help="files to run again, without atheris")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="this one alone; may be repeated")
    arguments = parser.parse_args()
    for path in arguments.found:
        replay(path)
    if arguments.found:
        return 0
    failed = fuzz(arguments.target or list(TARGETS), arguments.seconds)
    if failed:
        print(f"{failed} targets found something; it is kept in {os.path.relpath(FOUND)}")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
