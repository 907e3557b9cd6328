"""Constant tensors beside the text: a store keyed by content hash (`dense_resource<KEY>` in the IR)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lamina import knobs
from lamina.diagnostics import LaminaError
from lamina.files import replacing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# NumPy is imported where it is used: a tool that meets no constant starts without it.

MISSING_HINT = "run the tool beside the .safetensors file that was written with this text"
RACY_NANOSECONDS = 2_000_000_000


def fresh_memory(size: int) -> npt.NDArray[np.uint8]:
    """Zeroed bytes that begin a page, in pages of the usual size.

    NumPy asks for large pages from 4 MiB on. Where the memory of a virtual machine has to be fetched from its host
    first, these take three times as long for memory that is written once, and threads cannot share the work.
    """
    import numpy as np

    return np.frombuffer(mmap.mmap(-1, max(1, size)), np.uint8)[:size]


def content_key(array: npt.NDArray[np.generic]) -> str:
    """The key of an array: a hash of its bytes, dtype and shape (the same content has one key)."""
    import numpy as np

    digest = hashlib.sha256(f"{array.dtype.name}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return "c" + digest.hexdigest()[:20]


@dataclass(frozen=True)
class FileRegion:
    """Where in which version of a file an array's bytes stand."""

    path: str
    size: int
    modified: int
    """Time of the last modification, nanoseconds since the epoch."""
    offset: int


def file_region(array: npt.NDArray[np.generic]) -> FileRegion | None:
    """The region of the memory-mapped file that `array` looks at, or None for an array that is no such view.

    Only `numpy.memmap` arrays and contiguous views of them know their file.
    """
    import numpy as np

    if not array.flags.c_contiguous:
        return None
    base: Any = array
    while isinstance(base, np.ndarray):
        view = cast("npt.NDArray[np.generic]", base)
        if isinstance(view, np.memmap) and isinstance(view.base, mmap.mmap):
            return _region_of_memmap(array, cast("np.memmap[Any, Any]", view))
        base = view.base
    return None


def _region_of_memmap(array: npt.NDArray[np.generic], owner: np.memmap[Any, Any]) -> FileRegion | None:
    filename = cast("str | os.PathLike[str] | None", owner.filename)
    if filename is None or owner.mode != "r":
        return None
    try:
        status = os.stat(filename)
    except OSError:
        return None
    if time.time_ns() - status.st_mtime_ns < RACY_NANOSECONDS:
        return None  # a write within the clock's resolution could go unnoticed
    distance = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    return FileRegion(os.path.realpath(filename), status.st_size, status.st_mtime_ns, owner.offset + distance)


@dataclass
class HashMemory:
    """Content keys of regions of files, remembered from one process to the next: one JSON file per data file.

    A file that changed in size or in time of modification is forgotten. A memory that cannot be read is empty, one that
    cannot be written is lost: both only cost time.
    """

    directory: Path
    _known: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    _changed: set[str] = field(default_factory=set[str])

    def key(self, array: npt.NDArray[np.generic], region: FileRegion) -> str:
        """The array's content key, computed only when it is not known."""
        version = f"{region.path}:{region.size}:{region.modified}"
        if version not in self._known:
            self._known[version] = self._load(version, region.path)
        part = f"{region.offset}:{array.dtype.name}:{array.shape}"
        found = self._known[version].get(part)
        if found is None:
            found = self._known[version][part] = content_key(array)
            self._changed.add(version)
        return found

    def save(self) -> None:
        """Write down what was learned since the last time."""
        for version in self._changed:
            path = self._path(version.rsplit(":", 2)[0])
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as file:
                    file.write(json.dumps({"version": version, "keys": self._known[version]}).encode())
        self._changed.clear()

    def _path(self, data_path: str) -> Path:
        return self.directory / f"{hashlib.sha256(data_path.encode()).hexdigest()[:32]}.json"

    def _load(self, version: str, data_path: str) -> dict[str, str]:
        try:
            stored: Any = json.loads(self._path(data_path).read_bytes())
            if stored["version"] != version:
                return {}
            return {str(part): str(key) for part, key in stored["keys"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


class ResourceStore:
    """Arrays by content key. Arrays are held as given (memory maps stay memory maps) and never written to."""

    def __init__(self) -> None:
        self._arrays: dict[str, npt.NDArray[np.generic]] = {}
        self._memory: HashMemory | None = None

    def put(self, array: npt.NDArray[np.generic]) -> str:
        """Keep `array` (not copied when C-contiguous) and return its key.

        The key of a read-only memory map of a file is remembered by the file's path, size and time of modification,
        so that a large model is hashed once; `remember` writes that down.
        """
        import numpy as np

        array = np.ascontiguousarray(array) if array.ndim else array
        region = file_region(array)
        if region is None:
            key = content_key(array)
        else:
            self._memory = self._memory or HashMemory(knobs.CACHE_DIR.value() / "hashes")
            key = self._memory.key(array, region)
        self._arrays.setdefault(key, array)
        return key

    def remember(self) -> None:
        """Write down the keys of memory-mapped arrays for the next process; never raises."""
        if self._memory is not None and knobs.CACHE_SIZE.value():
            self._memory.save()

    def get(self, key: str) -> npt.NDArray[np.generic]:
        """The array under `key`; raises LaminaError when the store lacks it."""
        found = self._arrays.get(key)
        if found is None:
            raise LaminaError(f"no constant named '{key}' in the resource store", hints=(MISSING_HINT,))
        return found

    def save(self, path: str | os.PathLike[str], keys: Iterable[str] | None = None) -> None:
        """Write the arrays (all, or those of `keys`) to a safetensors file whose tensors are named by their keys.

        Raises LaminaError for a key that the store lacks, OSError as the file system does.
        """
        from lamina import safetensors

        safetensors.write(path, {key: self.get(key) for key in (self._arrays if keys is None else keys)})

    def load(self, path: str | os.PathLike[str]) -> None:
        """Add the arrays of a file that `save` wrote, as read-only memory maps under the names they have there.

        Raises LaminaError when the file is missing or malformed.
        """
        from lamina import safetensors

        for key, array in safetensors.read(path).tensors.items():
            self._arrays.setdefault(key, array)

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)
