"""The disk cache of compiled code: files named by a hash of everything that their content depends on.

Entries are written beside and renamed, so processes may write the same key at once; the least recently used leave
when the cache grows over its limit. A cache that cannot be written costs time, never a result: one warning is given.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lamina import knobs
from lamina.files import TEMPORARY_PREFIX, replacing
from lamina.targets.cpu import llvm

SOURCES = Path(__file__).parents[2]
"""The package's own files."""

DIGEST_BYTES = 32
ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class DiskCache:
    """A folder with entries of at most `limit` bytes in all."""

    directory: Path
    limit: int

    def path(self, name: str) -> Path:
        """Where the entry called `name` is or would be."""
        return self.directory / name

    def find(self, name: str) -> Path | None:
        """The path of an entry, which counts as used now; None when there is none."""
        path = self.path(name)
        try:
            # The time of modification stays: what was found out about the content is remembered by it.
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except FileNotFoundError:
            return None
        except OSError:  # a cache that may be read but not written
            return path if path.is_file() else None
        return path

    def store(self, name: str, write: Callable[[Path], None], *, quietly: bool = False) -> bool:
        """Have `write` make the entry, as a whole; False when it cannot, with one warning a process or `quietly`."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            write(self.path(name))
        except OSError as error:
            if not quietly:
                _warn_once(f"the cache in {self.directory} cannot be written ({error.strerror}); continuing without it")
            return False
        self.trim()
        return True

    def drop(self, name: str) -> None:
        """Remove an entry that turned out to be damaged."""
        with contextlib.suppress(OSError):
            os.unlink(self.path(name))

    def load_bytes(self, name: str) -> bytes | None:
        """The bytes that `store_bytes` stored; None when there are none or they are damaged."""
        path = self.find(name)
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        data = content[DIGEST_BYTES:]
        if hashlib.sha256(data).digest() == content[:DIGEST_BYTES]:
            return data
        self.drop(name)
        return None

    def store_bytes(self, name: str, data: bytes, *, quietly: bool = False) -> None:
        """Store bytes with their checksum."""

        def write(path: Path) -> None:
            with replacing(path) as file:
                file.write(hashlib.sha256(data).digest())
                file.write(data)

        self.store(name, write, quietly=quietly)

    def trim(self) -> None:
        """Remove the least recently used entries until the rest fits, and what crashed writers left behind."""
        entries: list[tuple[float, int, str]] = []
        now = time.time()
        with contextlib.suppress(OSError), os.scandir(self.directory) as files:
            for file in files:
                if not file.is_file(follow_symlinks=False):
                    continue
                status = file.stat(follow_symlinks=False)
                if not file.name.startswith(TEMPORARY_PREFIX):
                    entries.append((max(status.st_atime, status.st_mtime), status.st_size, file.path))
                elif now - status.st_mtime > ABANDONED_SECONDS:
                    os.unlink(file.path)
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size


def disk_cache() -> DiskCache | None:
    """The cache that the environment asks for, or None when it is switched off."""
    limit = knobs.CACHE_SIZE.value()
    return DiskCache(knobs.CACHE_DIR.value(), limit) if limit else None


def cache_key(*parts: str) -> str:
    """A name for what depends on these texts and on this version of the compiler, and on nothing else."""
    digest = hashlib.sha256()
    for part in (compiler_version(), *parts):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:40]


@cache
def compiler_version() -> str:
    """Versions of all that generates code: this package with its files' sizes and times, xDSL, llvmlite and LLVM."""
    versions = [llvm.version()]
    for package in ("lamina", "xdsl", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*.py")):
        status = path.stat()
        digest.update(f"{path.relative_to(SOURCES)}:{status.st_size}:{status.st_mtime_ns};".encode())
    return ", ".join([*versions, f"sources {digest.hexdigest()[:16]}"])


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)
