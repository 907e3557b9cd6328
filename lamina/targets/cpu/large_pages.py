"""Constants of small models in large pages: a product of one row is done before pages of 4 KiB are found."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PAGE = 2 << 20
"""Bytes of a large page on x86-64, and on AArch64 with the usual small ones."""

ALIGNMENT = 64

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")

LEAST, MOST = 64 << 10, 32 << 20
"""All constants together, in bytes: fewer have few pages anyway; more would take longer to copy than they save where a
model is loaded for a few calls, and products of many rows find their pages while they multiply."""


def in_large_pages(arrays: Sequence[Array]) -> list[Array]:
    """The arrays, C-contiguous and aligned to their elements: copied into large pages where they suit and exist."""
    found = [np.require(array, requirements=("C", "A")) for array in arrays]
    ends = list(accumulate(array.nbytes + -array.nbytes % ALIGNMENT for array in found))
    if not ends or not LEAST <= ends[-1] <= MOST:
        return found
    memory = _large_pages(ends[-1])
    if memory is None:
        return found
    copies: list[Array] = []
    for array, start in zip(found, (0, *ends), strict=False):
        copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        copy.flags.writeable = False
        copies.append(copy)
    return copies


def _large_pages(size: int) -> npt.NDArray[np.uint8] | None:
    """Memory that begins a large page; None on systems that cannot be asked for them."""
    if not hasattr(mmap, "MADV_HUGEPAGE") or not are_enabled():
        return None
    whole = size + -size % PAGE
    try:
        # Private: what is shared has large pages only where an administrator allows it.
        region = mmap.mmap(-1, whole + PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        region.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # a kernel without them
        return None
    memory = np.frombuffer(region, np.uint8)
    start = -memory.ctypes.data % PAGE
    return memory[start : start + size]


def are_enabled() -> bool:
    """Whether the kernel gives large pages to those who ask."""
    try:
        return "[never]" not in SETTING.read_text()
    except OSError:
        return False
