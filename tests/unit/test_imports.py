"""What a component loads, seen in a process of its own: the sidecar stays small, help is there at once."""

from __future__ import annotations

import subprocess
import sys

FOREIGN = (
    "aiohttp", "click", "dispatcher", "kubedaemon", "kubernetes_asyncio", "redis", "scaler", "uvloop", "yaml",
)  # fmt: skip
"""Nothing of the sidecar's: a server, clients of what it does not talk to, the other components."""

WHOLE_SIDECAR = """
import importlib, pkgutil, sys
import sidecar
for module in pkgutil.walk_packages(sidecar.__path__, "sidecar."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def loaded(code: str) -> set[str]:
    """The names of all packages and modules that a process has loaded at the end of this code."""
    script = f"{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_the_sidecar_loads_nothing_foreign() -> None:
    names = loaded(WHOLE_SIDECAR)
    assert {"sidecar.runtime", "sidecar.adapters.handler_client", "sidecar.core.turn"} <= names
    assert set() == names.intersection(FOREIGN)


def test_the_sidecar_does_without_what_is_for_people() -> None:
    """structlog takes rich where it finds it; here nobody finds it."""
    blocked = ("rich", "pygments", *FOREIGN)
    names = loaded(f"import sys\nsys.modules.update(dict.fromkeys({blocked}))\n{WHOLE_SIDECAR}")
    assert "sidecar.runtime" in names
    assert not [name for name in names if name.startswith(("rich.", "pygments."))]


def test_help_loads_no_client_and_no_server() -> None:
    code = "import sys\nfrom kubedaemon.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    names = loaded(code)
    assert "click" in names
    assert set() == names.intersection(("aiohttp", "asyncio", "msgspec", "prometheus_client", "rich", "structlog"))
