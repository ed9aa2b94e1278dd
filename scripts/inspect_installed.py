"""Checks an installed wheel: its packages are its own, are typed, are all it holds, and each module can be imported."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import distribution, packages_distributions
from pathlib import Path, PurePath

DISTRIBUTION = "kubedaemon"
PACKAGES = {"contracts", "backends", "sidecar", "scaler", "dispatcher", "kubedaemon"}


def faults() -> list[str]:
    """What is wrong with the installation, a sentence each."""
    found = []
    files = [PurePath(file) for file in distribution(DISTRIBUTION).files or ()]
    held = {file.parts[0] for file in files if file.parts[0] != ".." and not file.parts[0].endswith(".dist-info")}
    if held != PACKAGES:
        found.append(f"it holds {sorted(held)} at the top, not {sorted(PACKAGES)}")
    owners = packages_distributions()
    for name in sorted(PACKAGES):
        if owners.get(name) != [DISTRIBUTION]:
            found.append(f"{name} belongs to {owners.get(name)}, not to {DISTRIBUTION} alone")
        if PurePath(name, "py.typed") not in files:
            found.append(f"{name} has no py.typed")
        if "site-packages" not in Path(import_module(name).__file__ or "").parts:
            found.append(f"{name} is imported from {import_module(name).__file__}, not from the wheel")
    return found + [sentence for file in files if (sentence := import_fault(file))]


def import_fault(file: PurePath) -> str | None:
    """Why a module cannot be imported with nothing but the runtime dependencies."""
    if file.suffix != ".py" or file.parts[0] not in PACKAGES or file.stem == "__main__":
        return None
    module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
    try:
        import_module(module)
    except Exception as error:
        return f"{module} cannot be imported from the wheel: {type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    sys.exit("\n".join(f"wheel: {fault}" for fault in faults()) or None)
