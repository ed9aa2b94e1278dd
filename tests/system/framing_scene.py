"""Ends of heads, and bodies, behind which an attacker would hide another request from one of two servers in a row."""

from __future__ import annotations

import re

SMUGGLED = {
    "a length and chunks": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "a list of lengths": "Content-Length: 1, 1\r\n\r\nx",
    "a signed length": "Content-Length: +1\r\n\r\nx",
    "a length in hex": "Content-Length: 0x1\r\n\r\nx",
    "a length past all numbers": f"Content-Length: {'9' * 40}\r\n\r\nx",
    "an unknown encoding": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, but not last": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": "Content-Length : 1\r\n\r\nx",
    "a folded header": "X: a\r\n Content-Length: 1\r\n\r\nx",
    "a bare line feed": "X: a\nContent-Length: 1\r\n\r\nx",
    "a bare return": "X: a\rContent-Length: 1\r\n\r\nx",
    "a null in a header": "X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a chunk's length that is no hex": "Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
    "a chunk's length past all numbers": f"Transfer-Encoding: chunked\r\n\r\n{'f' * 40}\r\nx\r\n0\r\n\r\n",
    "a chunk that is longer than it says": "Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n",
    "a negative chunk": "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
}
"""Each follows a request line and ``Host``, and is followed by what was to be smuggled in."""


def statuses(answers: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers)]
