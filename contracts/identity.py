"""How messages are named: by their sender's key where there is one, by time and chance where there is none."""

from __future__ import annotations

import hashlib
import hmac

from contracts.errors import PermanentError

MAX_KEY_LENGTH = 255


def check_key(key: str) -> str:
    """The sender's ``Idempotency-Key``. Raises ``PermanentError`` where it is not 1 to 255 visible ASCII characters."""
    if not 1 <= len(key) <= MAX_KEY_LENGTH or any(not 0x21 <= ord(character) <= 0x7E for character in key):
        raise PermanentError(f"Idempotency-Key: write 1 to {MAX_KEY_LENGTH} visible ASCII characters, got {key[:40]!r}")
    return key


def keyed_id(secret: bytes, namespace: str, queue: str, key: str) -> str:
    """The id of the message with this key in this queue: the same on every try, telling nothing of the key."""
    text = "\0".join(("message-id", namespace, queue, key)).encode()
    return hmac.new(secret, text, hashlib.sha256).hexdigest()[:32]


def fresh_id(unix_milliseconds: int, chance: bytes) -> str:
    """An id that sorts by time; ``chance`` are ten random bytes."""
    return (unix_milliseconds & (1 << 48) - 1).to_bytes(6, "big").hex() + chance.hex()
