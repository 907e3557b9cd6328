"""From a model's file to its cache entry without reading the model: what the file is, is told by path, size and time.

A shortcut is a small entry of the disk cache that names another one, which holds all constants. It is only taken for
binary ONNX files that name no other files.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path

from lamina.artefact import Artefact
from lamina.onnx_weights import split_weights
from lamina.resources import RACY_NANOSECONDS
from lamina.targets.cpu.cache import DiskCache, cache_key
from lamina.targets.cpu.entries import load_entry

ELSEWHERE = b"location"
"""The key that every tensor with external data has; a file without these bytes (weights aside) has none."""
SUFFIX = ".shortcut"
WHOLE_SHARE = 2
"""A whole entry takes at most one part in so many of the cache."""


@dataclass(frozen=True)
class Shortcut:
    """The entry called `name` of a cache."""

    store: DiskCache
    name: str
    path: Path
    stamp: str

    def load(self) -> Artefact | None:
        """The compiled model; None when it is not in the cache, or damaged there."""
        target = self.store.load_bytes(self.name)
        return load_entry(self.store, target.decode(errors="replace")) if target else None

    def remember(self, entry: str) -> None:
        """Let the shortcut lead to a whole entry, unless the model's file has changed meanwhile or is not alone."""
        try:
            alone = _stands_alone(self.path)
        except (OSError, ValueError):
            return
        if alone and file_stamp(self.path) == self.stamp:
            self.store.store_bytes(self.name, entry.encode())


def shortcut(store: DiskCache, model: str | os.PathLike[str], *options: str) -> Shortcut | None:
    """The shortcut for a model's file compiled with these options; None where there cannot be one."""
    path = Path(model)
    stamp = file_stamp(path) if path.suffix == ".onnx" else None
    if stamp is None:
        return None
    return Shortcut(store, cache_key("shortcut", stamp, *options) + SUFFIX, path, stamp)


def file_stamp(path: Path) -> str | None:
    """A text that changes with the file, also where somebody restored its time of modification; None for no file, and
    for one so new that a change could go unnoticed.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    if time.time_ns() - status.st_mtime_ns < RACY_NANOSECONDS:
        return None
    return f"{os.path.realpath(path)}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def is_small_enough(artefact: Artefact, store: DiskCache) -> bool:
    """Whether all of the artefact's constants may go into one entry."""
    return WHOLE_SHARE * sum(array.nbytes for array in artefact.constants.values()) <= store.limit


def _stands_alone(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        with memoryview(mapped) as model:
            try:
                small, _ = split_weights(model)
            except ValueError:
                return mapped.find(ELSEWHERE) < 0
        return ELSEWHERE not in small
