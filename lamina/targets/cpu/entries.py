"""Compiled models in the disk cache, and when their constants are compared with their keys.

An entry is hashed when it could differ from what was written, not each time that it is used. What this machine has
written, or has read and compared, since it was started is in memory or has been written back as it was; after a crash
of the machine a file may have the right name, size and times and hold something else. So the first load after a start
of the machine hashes the constants, and later ones compare the file's identity with a note of that: inode, size, time
of modification, and the start of the machine. Whoever may write to the folder could give this process other code as
well: the keys are against accidents. Manifest and code are compared with their checksum at every load.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path

from lamina.artefact import Array, Artefact
from lamina.diagnostics import LaminaError
from lamina.targets.cpu.cache import DiskCache

SUFFIX = ".checked"
START_OF_THE_MACHINE = Path("/proc/sys/kernel/random/boot_id")


def store_entry(store: DiskCache, name: str, artefact: Artefact, *, leave_out: Collection[str] = ()) -> bool:
    """Make an entry, without the constants in `leave_out`; False, with one warning a process, when it cannot be."""
    if not store.store(name, lambda path: artefact.save(path, leave_out=leave_out)):
        return False
    _note(store, name, _identity(store.path(name)))
    return True


def load_entry(store: DiskCache, name: str, missing: Callable[[str], Array] | None = None) -> Artefact | None:
    """A compiled model, constants that were left out from `missing`; None for no entry and for a damaged one, which
    is removed."""
    path = store.find(name)
    if path is None:
        return None
    identity = _identity(path)
    known = identity is not None and store.load_bytes(name + SUFFIX) == identity
    try:
        artefact = Artefact.load(path, missing=missing, check_constants=not known)
    except LaminaError:
        store.drop(name)
        return None
    if not known:
        _note(store, name, identity)
    return artefact


def _note(store: DiskCache, name: str, identity: bytes | None) -> None:
    """Write down that the file was whole when it had this identity; not where the cache can only be read."""
    if identity is not None:
        store.store_bytes(name + SUFFIX, identity, quietly=True)


def _identity(path: Path) -> bytes | None:
    """What tells this version of a file from others as long as the machine runs; None where nothing does."""
    start = _start_of_the_machine()
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{start}:{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}".encode() if start else None


@cache
def _start_of_the_machine() -> str | None:
    try:
        return START_OF_THE_MACHINE.read_text().strip()
    except OSError:
        return None
