"""One target under atheris: ``python -m tests.fuzz.under_atheris MODULE TARGET LIBFUZZER-OPTIONS``.

libFuzzer ends the process that it runs in. What is imported here is instrumented, so that it can see which branches
an input takes; hence only the target's own module.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

INSTRUMENTED = [
    "contracts",
    "backends",
    "sidecar",
    "dispatcher",
    "kubedaemon",
    "yaml",
    "email.utils",
    "email._parseaddr",
]


def main() -> None:
    module, name, *options = sys.argv[1:]
    atheris: Any = import_module("atheris")  # not there but for ``make fuzz``
    with atheris.instrument_imports(include=[*INSTRUMENTED, module]):
        targets = import_module(module).TARGETS
    atheris.Setup([sys.argv[0], *options], targets[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
