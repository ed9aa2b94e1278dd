"""All targets by name, and the module that each is in."""

from __future__ import annotations

from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import answers, batches, bearers, callbacks, codecs, enqueue, manifests, queries, words

_MODULES: Final = (answers, callbacks, enqueue, batches, bearers, manifests, codecs, words, queries)

TARGETS: Final[dict[str, Target]] = {name: target for module in _MODULES for name, target in module.TARGETS.items()}
MODULES: Final[dict[str, str]] = {name: module.__name__ for module in _MODULES for name in module.TARGETS}
