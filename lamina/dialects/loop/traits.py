"""Traits of ops on buffers."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.traits import OpTrait


@dataclass(frozen=True)
class DescribesBuffer(OpTrait):
    """The result stands for the buffer that is the first operand: that lives as long as the result is used."""
