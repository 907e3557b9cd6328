"""Kernels of the hardware level run in NumPy, all threads together, to find what goes wrong only sometimes on a GPU.

Threads go in step from barrier to barrier, blocks in random order. Whether two threads get in each other's way is not
left to luck: every access is compared with those of other threads that no barrier puts in order with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from lamina.targets.gpu.control_operations import CONTROL
from lamina.targets.gpu.fragment_operations import FRAGMENTS
from lamina.targets.gpu.kernel_machine import Finding, Machine, Special
from lamina.targets.gpu.memory_operations import MEMORY

__all__ = ["Finding", "Interpreter"]

SPECIAL: Mapping[str, Special] = {**CONTROL, **MEMORY, **FRAGMENTS}
"""By op, what runs it; all others are functions of numbers (`lane_operations`)."""


class Interpreter(Machine):
    """Runs kernels and collects what it finds; `seed` decides the order of blocks and of threads that collide."""

    def __init__(self, seed: int = 0):
        super().__init__(SPECIAL, seed)
