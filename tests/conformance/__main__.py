"""Starts ``kubedaemon dev``, holds it against its document, ends it: run by ``scripts/conformance``."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).parent / "schemathesis.toml"
HANDLER = f"{sys.executable} {ROOT / 'examples/python/handler.py'}"


@contextmanager
def running_dev() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``kubedaemon dev`` with a queue ``orders`` and a handler that acks all: its URL, and the process."""
    command = [sys.executable, "-m", "kubedaemon", "dev", "--port", "0", "--queue", "orders", "--exec", HANDLER]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield _url(process), process
    finally:
        process.terminate()
        process.wait(30)


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return found[0]
    raise SystemExit("kubedaemon dev did not start:\n" + "".join(said))


def hold(schemathesis: str, seconds: int, more: list[str]) -> int:
    """The exit code of schemathesis, 0 where it found nothing; 1 where ``dev`` did not last."""
    with running_dev() as (url, dev):
        command = [schemathesis, "--config-file", str(CONFIG), "run", f"{url}/openapi.json"]
        found = subprocess.run([*command, "--max-time", str(seconds), "--continue-on-failure", *more], check=False)
        if dev.poll() is not None:
            print(f"kubedaemon dev ended with {dev.returncode}")
            return 1
        highest = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{dev.pid}/status").read_text())
        print(f"kubedaemon dev had at most {int(highest[1]) // 1024 if highest else 0} MiB resident")
        return found.returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemathesis", required=True, help="the program")
    parser.add_argument("--seconds", type=int, default=60, help="how long it may take")
    known, others = parser.parse_known_args()
    sys.exit(hold(known.schemathesis, known.seconds, others))
