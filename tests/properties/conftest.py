"""How properties are looked for: without a deadline, since a busy machine proves nothing."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("kubedaemon", deadline=None)
settings.load_profile("kubedaemon")
