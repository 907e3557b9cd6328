"""Operands of an op by the operands that its definition names, whichever class defines the op."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase
from xdsl.ir import Operation, SSAValue

from lamina.diagnostics import LaminaError


def integers(op: Operation, name: str) -> tuple[int, ...]:
    """The integers of an array property; raises LaminaError when the op has none of that name."""
    attribute = op.properties.get(name, op.attributes.get(name))
    if not isinstance(attribute, DenseArrayBase):
        raise LaminaError(f"'{op.name}' has no integers '{name}'")
    return tuple(int(item) for item in attribute.get_values())


def operand_segments(op: Operation) -> list[Sequence[SSAValue]]:
    """The operands, cut at `operandSegmentSizes`."""
    segments: list[Sequence[SSAValue]] = []
    start = 0
    for size in integers(op, "operandSegmentSizes"):
        segments.append(op.operands[start : start + size])
        start += size
    return segments


def mixed(static: Sequence[int], dynamic: Sequence[SSAValue]) -> list[int | SSAValue]:
    """A list of integers whose dynamic entries are filled in."""
    values = iter(dynamic)
    return [next(values) if item == DYNAMIC_INDEX else item for item in static]
