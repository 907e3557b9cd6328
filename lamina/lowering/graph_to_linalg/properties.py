"""Properties of graph ops as Python values."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr
from xdsl.ir import Operation


def integers(op: Operation, name: str) -> tuple[int, ...]:
    """A list of integers; empty when absent."""
    attribute = op.properties.get(name)
    return tuple(int(value) for value in attribute.get_values()) if isinstance(attribute, DenseArrayBase) else ()


def integer(op: Operation, name: str) -> int:
    """An integer."""
    return cast(IntegerAttr, op.properties[name]).value.data


def keyword(op: Operation, name: str) -> str:
    """A string out of a closed set."""
    return cast(StringAttr, op.properties[name]).data


def flag(op: Operation, name: str) -> bool:
    """Whether a unit property is there."""
    return name in op.properties
