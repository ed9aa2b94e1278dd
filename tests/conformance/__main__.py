"""``python -m tests.conformance --seconds 60``: starts ``kubedaemon dev``, runs schemathesis on it, ends both."""

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
BIN = Path(sys.executable).parent
HANDLER = f"{sys.executable} {ROOT / 'examples/python/handler.py'}"


@contextmanager
def running_dev() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``kubedaemon dev`` with a queue ``orders`` and a handler that acks all: its URL, and the process."""
    command = [str(BIN / "kubedaemon"), "dev", "--port", "0", "--queue", "orders", "--exec", HANDLER]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield _url(process), process
    finally:
        process.terminate()
        process.wait(30)


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return found[0]
    raise SystemExit("kubedaemon dev did not start:\n" + "".join(seen))


def run(seconds: int, more: list[str]) -> int:
    """The exit code of schemathesis: 0 where it found nothing."""
    with running_dev() as (url, dev):
        config = Path(__file__).parent / "schemathesis.toml"
        command = [str(BIN / "schemathesis"), "--config-file", str(config), "run", f"{url}/openapi.json"]
        found = subprocess.run([*command, "--max-time", str(seconds), "--continue-on-failure", *more], check=False)
        if dev.poll() is not None:
            print(f"kubedaemon dev ended with {dev.returncode}")
            return 1
        resident = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{dev.pid}/status").read_text())
        print(f"kubedaemon dev had at most {int(resident[1]) // 1024 if resident else 0} MiB resident")
        return found.returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    known, others = parser.parse_known_args()
    sys.exit(run(known.seconds, others))
