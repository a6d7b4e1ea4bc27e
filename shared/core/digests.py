"""Digests: SHA-256 over bytes, files and canonical JSON (RFC 8785), always written `sha256:…`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import rfc8785

PREFIX = "sha256:"


def canonical(value: Any) -> bytes:
    """The one byte form of a JSON value, after RFC 8785."""
    return rfc8785.dumps(value)


def digest_bytes(data: bytes) -> str:
    """`sha256:…` of bytes."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> str:
    """`sha256:…` of a JSON value in its canonical form."""
    return digest_bytes(canonical(value))


def digest_file(path: Path) -> str:
    """`sha256:…` of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return PREFIX + hashlib.file_digest(stream, "sha256").hexdigest()


def hex_of(digest: str) -> str:
    """The 64 hexadecimal digits of a digest, as folder names and in-toto subjects carry them."""
    return digest.removeprefix(PREFIX)


def short(digest: str) -> str:
    """The first twelve digits, for people."""
    return hex_of(digest)[:12]
