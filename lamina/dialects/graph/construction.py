"""What the constructors and the inference rules of graph ops share: attributes from Python values, checks of axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    LocationAttr,
    NoneAttr,
    UnitAttr,
    f32,
)
from xdsl.ir import Attribute, Operation, Region, SSAValue

from lamina.dialects.graph.base import GraphOp, InferenceError, abstract_operands, set_result_types
from lamina.dialects.graph.dims import Dim, Shape


def construct(
    op: GraphOp,
    operands: Sequence[SSAValue | Operation],
    properties: Mapping[str, Attribute | None],
    regions: Sequence[Region] = (),
    result_count: int = 1,
    location: LocationAttr | None = None,
) -> None:
    """The body of an op's `__init__`: fill it in, its result types inferred; properties that are None are left out."""
    Operation.__init__(
        op,
        operands=[SSAValue.get(operand) for operand in operands],
        result_types=[NoneAttr()] * result_count,
        properties={name: value for name, value in properties.items() if value is not None},
        regions=regions,
        location=location,
    )
    set_result_types(op, [result.type for result in op.infer(abstract_operands(op))])


def flag(value: bool) -> UnitAttr | None:
    """A unit attribute when true, absent when false."""
    return UnitAttr() if value else None


def accumulation_type(element_type: Attribute) -> Attribute:
    """The element type that sums of this type are formed in: f32 for f16 and bf16, else the type itself."""
    return f32 if isinstance(element_type, Float16Type | BFloat16Type) else element_type


def check_axes(name: str, what: str, axes: Sequence[int], rank: int) -> None:
    """Axes within [0, rank) and distinct; raises InferenceError."""
    if any(not 0 <= axis < rank for axis in axes):
        raise InferenceError(f"{name}: {what}: expected axes within [0, {rank}), found {list(axes)}")
    if len(set(axes)) != len(axes):
        raise InferenceError(f"{name}: {what}: expected distinct axes, found {list(axes)}")


def check_length(name: str, what: str, values: Sequence[object], expected: int) -> None:
    """A list attribute with as many entries as expected; raises InferenceError."""
    if len(values) != expected:
        raise InferenceError(f"{name}: {what}: expected {expected} entries, found {len(values)}")


def check_at_least(name: str, what: str, values: Sequence[int], least: int) -> None:
    """No entry below a bound; raises InferenceError."""
    if any(value < least for value in values):
        raise InferenceError(f"{name}: {what}: expected values of at least {least}, found {list(values)}")


def check_equal_sizes(name: str, what: str, left: Dim, right: Dim) -> None:
    """Two sizes that must be equal and are not both known to differ; raises InferenceError."""
    if isinstance(left, int) and isinstance(right, int) and left != right:
        raise InferenceError(f"{name}: {what}: expected equal sizes, found {left} and {right}")


def more_precise(left: Dim, right: Dim) -> Dim:
    """Of two sizes taken to be equal, the static one."""
    return right if isinstance(right, int) else left


def unequal_pairs(pairs: Iterable[tuple[Dim, Dim]]) -> list[tuple[Dim, Dim]]:
    """The pairs that are not equal for every value of the symbols: what is left to check at run time."""
    return [(left, right) for left, right in pairs if left != right]


def without_axes(shape: Shape, axes: Iterable[int], *, keep: bool = False) -> Shape:
    """A shape after a reduction over `axes`, which are dropped, or kept with size 1."""
    reduced = set(axes)
    if keep:
        return tuple(1 if axis in reduced else dim for axis, dim in enumerate(shape))
    return tuple(dim for axis, dim in enumerate(shape) if axis not in reduced)
