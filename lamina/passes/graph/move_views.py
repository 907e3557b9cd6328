"""`move-views`: reshapes go where they cancel, and slices of a product become products of slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.dialects.graph.canonicalization.support import constant
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.data_movement import (
    ConcatenateOp,
    DimensionOp,
    DynamicReshapeOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)
from lamina.dialects.graph.dims import MAX_SIZE, Dim, Shape, exact_quotient, product
from lamina.dialects.graph.properties import integers
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.matching import sole_user
from lamina.passes.graph.roles import Role, role_of
from lamina.passes.graph.shape_analysis import ShapeAnalysis, tensor_type

MAX_ROUNDS: Final = 16
"""How often a function is walked: each round moves an op past one other."""

LOOKAHEAD: Final = 6
"""How many elementwise ops may stand between a contraction and the reshape or slice of it."""

AxisGroup = tuple[tuple[int, ...], tuple[int, ...]]
"""Axes of an operand that a reshape makes axes of its result, next to each other on both sides."""


@dataclass(frozen=True)
class MoveViewsPass(LaminaPass):
    """Move reshapes past contractions, elementwise ops and transposes, and slices in front of contractions.

    ```mlir
    %m = graph.reshape %x, [-1, 64] : tensor<8x16x64xf32>          →    %p = graph.dot_general %x, %w
    %p = graph.dot_general %m, %w                                       %z = graph.add %p, %y
    %r = graph.reshape %p, [8, 16, 64]
    %z = graph.add %r, %y

    %p = graph.dot_general %x, %w : tensor<64x128xf32> …           →    %u = graph.slice %w, [0, 0] to [64, 64]
    %q = graph.slice %p, [0, 0] to [16, 64]                             %q = graph.dot_general %x, %u
    %k = graph.slice %p, [0, 64] to [16, 128]                           %v = graph.slice %w, [0, 64] to [64, 128]
                                                                        %k = graph.dot_general %x, %v
    ```

    A reshape between a contraction and what follows it keeps bias, residual and transposes out of its epilogue.
    Reshapes move only over axes that they merge or split as a whole, and only where another reshape follows
    that they may cancel. Slices move only to constants: a part of each is all that the part of the product needs.
    """

    name = "move-views"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"views-moved"})
    counters: ClassVar[Mapping[str, str]] = {"moved": "reshapes and slices that changed places with another op"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in graph_functions(op):
            self.count("moved", move_views(function))


def move_views(function: func.FuncOp) -> int:
    """Move the views of one function; dead ops are removed. Gives how many moves there were."""
    analysis = ShapeAnalysis(function)
    moves = 0
    for _ in range(MAX_ROUNDS):
        before = moves
        for op in list(function.walk()):
            rule = RULES.get(op.name) or (_past_elementwise if role_of(op) is Role.ELEMENTWISE else None)
            if op.parent is not None and rule is not None and (replacement := rule(op, analysis)) is not None:
                _replace(op, replacement, analysis)
                moves += 1
        region_dce(function.body)
        if moves == before:
            break
    return moves


def _replace(op: Operation, replacement: SSAValue, analysis: ShapeAnalysis) -> None:
    result = op.results[0]
    if isinstance(replacement.owner, Operation) and replacement.type != result.type:
        replacement = Rewriter.replace_value_with_new_type(replacement, result.type)
    if isinstance(replacement.owner, Operation) and op.prev_op is replacement.owner:
        analysis.adopt(replacement, result)
    replacement.name_hint = replacement.name_hint or result.name_hint
    result.replace_all_uses_with(replacement)
    Rewriter.erase_op(op)


def _insert(new: Operation, before: Operation) -> SSAValue:
    new.location = before.location
    Rewriter.insert_op(new, InsertPoint.before(before))
    return new.results[0]


# ---- axes of reshapes


def axis_groups(source: Shape, target: Shape) -> list[AxisGroup] | None:
    """The smallest groups of axes that a reshape from one shape to another maps to each other; None if unknown."""
    groups: list[AxisGroup] = []
    i = j = 0
    while i < len(source) and j < len(target):
        first_i, first_j = i, j
        left, right = source[i], target[j]
        i, j = i + 1, j + 1
        while left != right:
            if left == 0 or right == 0:
                return None
            more_source, more_target = exact_quotient(right, left), exact_quotient(left, right)
            if more_source is not None and i < len(source):
                left, i = left * source[i], i + 1
            elif more_target is not None and j < len(target):
                right, j = right * target[j], j + 1
            else:
                return None
        groups.append((tuple(range(first_i, i)), tuple(range(first_j, j))))
    if not groups or any(dim != 1 for dim in (*source[i:], *target[j:])):
        return None
    sources, targets = groups[-1]
    groups[-1] = ((*sources, *range(i, len(source))), (*targets, *range(j, len(target))))
    return groups


def _reshaped(value: SSAValue, shape: Sequence[Dim], before: Operation, analysis: ShapeAnalysis) -> SSAValue | None:
    """A value reshaped; itself where it has the shape, None where the shape is not known well enough."""
    if analysis.shape(value) == tuple(shape):
        return value
    target = _static_target(shape)
    if target is not None:
        return _insert(ReshapeOp(value, target), before)
    own = analysis.shape(value)
    if any(not isinstance(dim, int) and dim not in own for dim in shape):
        return None
    sizes: list[SSAValue] = []
    for dim in shape:
        if isinstance(dim, int):
            sizes.append(_insert(constant(np.array([dim], np.int64)), before))
        else:
            size = _insert(DimensionOp(value, own.index(dim)), before)
            sizes.append(_insert(ReshapeOp(size, (1,)), before))
    return _insert(DynamicReshapeOp(value, _insert(ConcatenateOp(sizes, 0), before)), before)


def _static_target(shape: Sequence[Dim]) -> list[int] | None:
    target = [dim if isinstance(dim, int) else -1 for dim in shape]
    return None if target.count(-1) > 1 or (-1 in target and 0 in target) else target


def _can_state(shape: Sequence[Dim], source: Sequence[Dim]) -> bool:
    """Whether a tensor of shape `source` can be reshaped to `shape`: by attributes, or with sizes that it has."""
    return _static_target(shape) is not None or all(isinstance(dim, int) or dim in source for dim in shape)


def _reshape_of(value: SSAValue) -> ReshapeOp | DynamicReshapeOp | None:
    owner = value.owner
    return owner if isinstance(owner, ReshapeOp | DynamicReshapeOp) else None


# ---- reshapes


def _merge(op: Operation, analysis: ShapeAnalysis) -> SSAValue | None:
    """reshape(x) to x's shape -> x; reshape(reshape(x)) -> reshape(x); the same with a transpose between the two"""
    x, result = op.operands[0], op.results[0]
    if analysis.shape(x) == analysis.shape(result) and x.type == result.type:
        return x
    if isinstance(x.owner, TransposeOp):
        return _reshaped_transpose(x.owner, analysis.shape(result), op, analysis)
    inner = _reshape_of(x)
    if inner is None:
        return None
    source = inner.operands[0]
    if analysis.shape(source) == analysis.shape(result):
        return source if source.type == result.type else None
    return _reshaped(source, analysis.shape(result), op, analysis)


def _past_contraction(op: Operation, analysis: ShapeAnalysis) -> SSAValue | None:
    """dot(reshape(x), w) -> reshape(dot(x, w)), as far as the reshape is of free axes, where a reshape follows"""
    assert isinstance(op, DotGeneralOp)
    reshape = _reshape_of(op.lhs)
    batch, free, contracted = op.lhs_axes
    if reshape is None or batch or not _meets_reshape(op.result):
        return None
    x = reshape.operands[0]
    source, target = analysis.shape(x), analysis.shape(op.lhs)
    groups = axis_groups(source, target)
    if groups is None:
        return None
    shape: list[Dim] = []
    free_shape: list[Dim] = []
    new_axis: dict[int, int] = {}
    moved = False
    for sources, targets in groups:
        if set(targets) <= set(free):
            moved = moved or len(sources) != 1 or len(targets) != 1
            shape += [source[axis] for axis in sources]
            free_shape += [source[axis] for axis in sources]
        else:
            for axis in targets:
                new_axis[axis] = len(shape)
                shape.append(target[axis])
                free_shape += [target[axis]] if axis in free else []
    rhs_free = [analysis.shape(op.rhs)[axis] for axis in op.rhs_axes[1]]
    result_shape = analysis.shape(op.result)
    if not moved or not _can_state(result_shape, [*free_shape, *rhs_free]):
        return None
    lhs = _reshaped(x, shape, op, analysis)
    if lhs is None:
        return None
    type_ = TensorType(op.result.type.get_element_type(), _type_sizes([*free_shape, *rhs_free]))
    properties = {**op.properties, "lhs_contracting_dimensions": integers([new_axis[axis] for axis in contracted])}
    dot = DotGeneralOp.create(operands=[lhs, op.rhs], result_types=[type_], properties=properties)
    return _reshaped(_insert(dot, op), result_shape, op, analysis)


def _type_sizes(shape: Sequence[Dim]) -> list[int]:
    return [dim if isinstance(dim, int) else DYNAMIC_INDEX for dim in shape]


def _meets_reshape(value: SSAValue) -> bool:
    """Whether a reshape follows after a few elementwise ops."""
    for _ in range(LOOKAHEAD):
        user = sole_user(value)
        if user is None:
            return False
        if isinstance(user, ReshapeOp | DynamicReshapeOp):
            return True
        if role_of(user) is not Role.ELEMENTWISE:
            return False
        value = user.results[0]
    return False


def _past_elementwise(op: Operation, analysis: ShapeAnalysis) -> SSAValue | None:
    """f(reshape(x), …) -> reshape(f(x, …)), where x is a contraction or comes after one, and the rest fits x too"""
    for index, operand in enumerate(op.operands):
        reshape = _reshape_of(operand)
        if reshape is None or not operand.has_one_use():
            continue
        x = reshape.operands[0]
        result_shape = analysis.shape(op.results[0])
        if analysis.shape(operand) != result_shape or not _can_state(result_shape, analysis.shape(x)):
            continue
        if not x.has_one_use() or not _is_product(x):
            continue
        others = [other for position, other in enumerate(op.operands) if position != index]
        # What has no more axes than are kept broadcasts the same way before and after.
        kept = _kept_axes(analysis.shape(x), result_shape)
        if any(len(analysis.shape(other)) > kept for other in others):
            continue
        operands = [x if position == index else other for position, other in enumerate(op.operands)]
        type_ = TensorType(tensor_type(op.results[0].type).get_element_type(), _type_sizes(analysis.shape(x)))
        moved = type(op).create(operands=operands, result_types=[type_], properties=op.properties)
        return _reshaped(_insert(moved, op), result_shape, op, analysis)
    return None


def _kept_axes(source: Shape, target: Shape) -> int:
    """How many trailing axes a reshape keeps."""
    kept = 0
    for sources, targets in reversed(axis_groups(source, target) or ()):
        plain = len(sources) == 1 and len(targets) == 1
        if plain or all(dim == 1 for dim in (*_front(source, sources), *_front(target, targets))):
            kept += 1
        if not plain:
            break
    return kept


def _front(shape: Shape, axes: Sequence[int]) -> list[Dim]:
    return [shape[axis] for axis in axes[:-1]]


def _is_product(value: SSAValue) -> bool:
    """Whether a value is a contraction's or a slice, or what elementwise ops with smaller operands make of one."""
    for _ in range(LOOKAHEAD):
        owner = value.owner
        if not isinstance(owner, Operation):
            return False
        if isinstance(owner, DotGeneralOp | SliceOp):
            return True
        if role_of(owner) is not Role.ELEMENTWISE:
            return False
        value = next((operand for operand in owner.operands if operand.type == value.type), owner.operands[0])
    return False


def _past_transpose(op: Operation, analysis: ShapeAnalysis) -> SSAValue | None:
    """transpose(reshape(transpose(x))) -> reshape(transpose(transpose(x))), and the two transposes become one"""
    assert isinstance(op, TransposeOp)
    inner = op.operand.owner
    if isinstance(inner, TransposeOp):
        first = inner.permutation.get_values()
        merged = [first[axis] for axis in op.permutation.get_values()]
        same = merged == sorted(merged) and inner.operand.type == op.result.type
        return inner.operand if same else _insert(TransposeOp(inner.operand, merged), op)
    reshape = _reshape_of(op.operand)
    if reshape is None or not isinstance(reshape.operands[0].owner, TransposeOp):
        return None
    return _reshaped_transpose(op, analysis.shape(op.result), op, analysis)


def _reshaped_transpose(
    transpose: TransposeOp, shape: Shape, before: Operation, analysis: ShapeAnalysis
) -> SSAValue | None:
    """transpose(reshape(x)) in a shape as reshape(transpose(x)): the axes of each group stay together and in order."""
    reshape = _reshape_of(transpose.operand)
    if reshape is None:
        return None
    x = reshape.operands[0]
    source = analysis.shape(x)
    groups = axis_groups(source, analysis.shape(transpose.operand))
    permutation = transpose.permutation.get_values()
    group_of = {targets[0]: (sources, targets) for sources, targets in groups or ()}
    moved: list[int] = []
    position = 0
    while position < len(permutation):
        sources, targets = group_of.get(permutation[position], ((), ()))
        if not targets or permutation[position : position + len(targets)] != targets:
            return None
        moved += sources
        position += len(targets)
    transposed = tuple(source[axis] for axis in moved)
    if transposed != shape and not _can_state(shape, transposed):
        return None
    return _reshaped(_insert(TransposeOp(x, moved), before), shape, before, analysis)


# ---- slices


def _slice(op: Operation, analysis: ShapeAnalysis) -> SSAValue | None:
    """slice(f(x)) -> f(slice(x)) on the way to a contraction with constants, all of whose uses are slices"""
    assert isinstance(op, SliceOp)
    cut = _sole_cut(op, analysis)
    if cut is None or not _reaches_weights(op.operand, cut[0], analysis):
        return None
    axis, start, limit = cut
    return _sliced(op.operand, axis, start, limit, op, analysis)


def _sole_cut(op: SliceOp, analysis: ShapeAnalysis) -> tuple[int, int, int] | None:
    """(axis, start, limit) of a slice along one axis of known size, without steps."""
    found: list[tuple[int, int, int]] = []
    bounds = zip(op.starts.get_values(), op.limits.get_values(), op.strides.get_values(), strict=True)
    for axis, (size, (start, limit, stride)) in enumerate(zip(analysis.shape(op.operand), bounds, strict=True)):
        if stride != 1:
            return None
        if isinstance(size, int):
            first, last, _ = slice(start, limit).indices(size)
            if (first, last) != (0, size):
                found.append((axis, first, last))
        elif start != 0 or limit < MAX_SIZE:
            return None
    return found[0] if len(found) == 1 and found[0][1] < found[0][2] else None


def _reaches_weights(value: SSAValue, axis: int, analysis: ShapeAnalysis) -> bool:
    """Whether a slice of a value along an axis can be moved to the constants that a contraction reads.

    All uses of the value are slices along the axis, so that no column is computed twice but where they overlap.
    """
    cuts = [
        cut
        for use in value.uses
        if isinstance(use.operation, SliceOp) and (cut := _sole_cut(use.operation, analysis)) is not None
    ]
    size = analysis.shape(value)[axis]
    if len(cuts) != sum(1 for _ in value.uses) or any(cut[0] != axis for cut in cuts) or not isinstance(size, int):
        return False
    return sum(limit - start for _, start, limit in cuts) <= size and _leads_to_weights(value, axis, analysis)


def _leads_to_weights(value: SSAValue, axis: int, analysis: ShapeAnalysis) -> bool:
    owner = value.owner
    if isinstance(owner, DotGeneralOp):
        rhs_axis = _rhs_axis(owner, axis)
        return rhs_axis is not None and isinstance(owner.rhs.owner, ConstantOp)
    previous = _before(owner, axis, analysis) if isinstance(owner, Operation) else None
    return previous is not None and previous[0].has_one_use() and _leads_to_weights(*previous[:2], analysis)


def _before(owner: Operation, axis: int, analysis: ShapeAnalysis) -> tuple[SSAValue, int, int] | None:
    """The operand through which an axis of an op's result is sliced, its axis there, and by how much it is finer."""
    if isinstance(owner, TransposeOp):
        return owner.operand, owner.permutation.get_values()[axis], 1
    if isinstance(owner, ReshapeOp | DynamicReshapeOp):
        target = analysis.shape(owner.results[0])
        groups = axis_groups(analysis.shape(owner.operands[0]), target)
        for sources, targets in groups or ():
            if targets[0] == axis and len(sources) == 1:
                inner = product(target[other] for other in targets[1:])
                return (owner.operands[0], sources[0], inner) if isinstance(inner, int) else None
        return None
    if role_of(owner) is not Role.ELEMENTWISE:
        return None
    shape = analysis.shape(owner.results[0])
    whole = [operand for operand in owner.operands if analysis.shape(operand) == shape]
    rest = [operand for operand in owner.operands if analysis.shape(operand) != shape]
    if len(whole) != 1 or not all(isinstance(operand.owner, ConstantOp) for operand in rest):
        return None
    return whole[0], axis, 1


def _rhs_axis(op: DotGeneralOp, axis: int) -> int | None:
    """The axis of the right operand that is an axis of a contraction's result."""
    first = len(op.lhs_axes[0]) + len(op.lhs_axes[1])
    return op.rhs_axes[1][axis - first] if axis >= first else None


def _sliced(
    value: SSAValue, axis: int, start: int, limit: int, before: Operation, analysis: ShapeAnalysis
) -> SSAValue | None:
    """Elements start … limit - 1 of a value along an axis, computed from slices of constants."""
    owner = value.owner
    assert isinstance(owner, Operation)
    shape = [*analysis.shape(value)]
    shape[axis] = limit - start
    type_ = TensorType(tensor_type(value.type).get_element_type(), _type_sizes(shape))
    if isinstance(owner, DotGeneralOp):
        rhs_axis = _rhs_axis(owner, axis)
        assert rhs_axis is not None
        operands = [owner.lhs, _cut(owner.rhs, rhs_axis, start, limit, before)]
    else:
        previous = _before(owner, axis, analysis)
        assert previous is not None
        inner, inner_axis, finer = previous
        source = _sliced(inner, inner_axis, start * finer, limit * finer, before, analysis)
        if source is None or isinstance(owner, ReshapeOp | DynamicReshapeOp):
            return None if source is None else _reshaped(source, shape, before, analysis)
        operands = [
            source if operand is inner else _cut_aligned(operand, axis - len(shape), start, limit, before)
            for operand in owner.operands
        ]
    moved = type(owner).create(operands=operands, result_types=[type_], properties=owner.properties)
    return _insert(moved, before)


def _cut(value: SSAValue, axis: int, start: int, limit: int, before: Operation) -> SSAValue:
    count = len(tensor_type(value.type).get_shape())
    starts, limits = [0] * count, [MAX_SIZE] * count
    starts[axis], limits[axis] = start, limit
    return _insert(SliceOp(value, starts, limits, (1,) * count), before)


def _cut_aligned(value: SSAValue, axis: int, start: int, limit: int, before: Operation) -> SSAValue:
    """A broadcast operand of an elementwise op, sliced along an axis (from the end) unless it stretches there."""
    sizes = tensor_type(value.type).get_shape()
    if len(sizes) + axis < 0 or sizes[axis] == 1:
        return value
    return _cut(value, len(sizes) + axis, start, limit, before)


RULES: Mapping[str, Callable[[Operation, ShapeAnalysis], SSAValue | None]] = {
    "graph.reshape": _merge,
    "graph.dynamic_reshape": _merge,
    "graph.dot_general": _past_contraction,
    "graph.transpose": _past_transpose,
    "graph.slice": _slice,
}
"""By op, how it changes places with what is before it: what takes its place, None where it stays."""
