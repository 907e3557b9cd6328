"""`fold-scales`: constant factors after a contraction or convolution move into its constant weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import DenseResourceAttr, Float32Type, Float64Type, ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.context import resources_of
from lamina.dialects.graph.base import Array
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.convolution import ConvolutionOp
from lamina.dialects.graph.elementwise import AddOp, MultiplyOp
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.shape_analysis import shape_of_type, tensor_type
from lamina.resources import ResourceStore


@dataclass(frozen=True)
class FoldScalesPass(LaminaPass):
    """Fold the factors and shifts that batch normalization leaves behind a contraction or convolution.

    ```mlir
    %c = graph.convolution %x, %w, …      →      %c = graph.convolution %x, %w·f, …
    %d = graph.add %c, %b                         %y = graph.add %c, %b·f + s
    %m = graph.multiply %d, %f
    %y = graph.add %m, %s
    ```

    `%w`, `%b`, `%f` and `%s` are constants; the factor varies along axes of the result that come from the constant
    operand only, and `%w` and every value in between have one user. Only f32 and f64 are folded, and only finite
    numbers whose products and sums are finite.
    """

    name = "fold-scales"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"scales-folded"})
    counters: ClassVar[Mapping[str, str]] = {
        "scales": "factors folded into weights",
        "shifts": "constant sums merged",
    }

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        for function in graph_functions(op):
            for inner in list(function.walk()):
                if isinstance(inner, MultiplyOp) and _fold_scale(inner, resources):
                    self.count("scales")
                elif isinstance(inner, AddOp) and _merge_shifts(inner, resources):
                    self.count("shifts")
            region_dce(function.body)


def _fold_scale(op: MultiplyOp, resources: ResourceStore) -> bool:
    """(weights · x [+ b]) · f -> (weights · f) · x [+ b · f]"""
    found = _value_and_constant(op, resources)
    if found is None:
        return False
    value, factor = found
    shift: Array | None = None
    producer = value.owner
    if isinstance(producer, AddOp) and value.has_one_use():
        summands = _value_and_constant(producer, resources)
        if summands is None:
            return False
        value, shift = summands
        producer = value.owner
    if not isinstance(producer, ConvolutionOp | DotGeneralOp) or not value.has_one_use():
        return False
    if value.type != op.result.type or not _is_folded(tensor_type(value.type).get_element_type()):
        return False
    if shift is not None and (shift := _combined(np.multiply, shift, factor)) is None:
        return False
    scaled = _scaled(producer, factor, resources)
    if scaled is None:
        return False
    made = type(producer).create(
        operands=scaled, result_types=producer.result_types, properties=producer.properties, location=producer.location
    )
    Rewriter.insert_op(made, InsertPoint.before(op))
    made.results[0].name_hint = value.name_hint
    if shift is None:
        _replace(op, made.results[0])
    else:
        _replace(op, _added(made.results[0], shift, op, resources))
    return True


def _merge_shifts(op: AddOp, resources: ResourceStore) -> bool:
    """(contraction + b) + c -> contraction + (b + c)"""
    found = _value_and_constant(op, resources)
    if found is None or not isinstance(found[0].owner, AddOp) or not found[0].has_one_use():
        return False
    inner = _value_and_constant(found[0].owner, resources)
    if inner is None or not isinstance(inner[0].owner, ConvolutionOp | DotGeneralOp) or inner[0].type != op.result.type:
        return False
    shift = _combined(np.add, inner[1], found[1])
    if shift is None or not _is_folded(tensor_type(op.result.type).get_element_type()):
        return False
    _replace(op, _added(inner[0], shift, op, resources))
    return True


def _added(value: SSAValue, shift: Array, op: Operation, resources: ResourceStore) -> SSAValue:
    """`value + shift` ahead of `op`."""
    constant = ConstantOp.from_array(shift, resources, op.location)
    made = AddOp.create(operands=(value, constant.result), result_types=op.result_types, location=op.location)
    Rewriter.insert_op([constant, made], InsertPoint.before(op))
    return made.results[0]


def _replace(op: Operation, value: SSAValue) -> None:
    value.name_hint = op.results[0].name_hint or value.name_hint
    op.results[0].replace_all_uses_with(value)
    Rewriter.erase_op(op)


def _is_folded(of_type: Attribute) -> bool:
    """Whether constants of a type are folded: narrower floats would be rounded once more."""
    return isinstance(of_type, Float32Type | Float64Type)


def _combined(function: np.ufunc, left: Array, right: Array) -> Array | None:
    """The result for finite constants; None where one is infinite or NaN, or the result is."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        result = function(left, right)
    return result if all(bool(np.isfinite(each).all()) for each in (left, right, result)) else None


def _value_and_constant(op: Operation, resources: ResourceStore) -> tuple[SSAValue, Array] | None:
    """The operand of a commutative op that is computed, and the constant one as an array of the result's rank."""
    left, right = op.operands
    for value, other in ((left, right), (right, left)):
        array = _array(other, resources)
        rank = len(shape_of_type(op.results[0].type))
        if array is not None and not isinstance(value.owner, ConstantOp) and array.ndim <= rank:
            return value, array.reshape((1,) * (rank - array.ndim) + array.shape)
    return None


def _array(value: SSAValue, resources: ResourceStore) -> Array | None:
    """The elements of a constant; None where it is none, or where the store lacks them."""
    owner = value.owner
    if not isinstance(owner, ConstantOp):
        return None
    attribute = owner.value
    if isinstance(attribute, DenseResourceAttr) and attribute.resource_handle.data not in resources:
        return None
    return owner.array(resources)


def _scaled(op: ConvolutionOp | DotGeneralOp, factor: Array, resources: ResourceStore) -> Sequence[SSAValue] | None:
    """The operands of a contraction, one of them a constant that takes in the factor; None where none can."""
    moving = [axis for axis, size in enumerate(factor.shape) if size != 1]
    for index, axes in _weight_axes(op).items():
        weights = _array(op.operands[index], resources)
        # Weights that have another user would be kept twice.
        if weights is None or not set(moving) <= set(axes) or not op.operands[index].has_one_use():
            continue
        places = [axes[axis] for axis in moving]
        shape = [1] * weights.ndim
        for axis, place in zip(moving, places, strict=True):
            shape[place] = factor.shape[axis]
        squeezed = factor.reshape([factor.shape[axis] for axis in moving])
        turned = squeezed.transpose(np.argsort(places)) if places else squeezed
        folded = _combined(np.multiply, weights, turned.reshape(shape))
        if folded is None or folded.dtype != weights.dtype:
            continue
        constant = ConstantOp.from_array(folded, resources, cast(Operation, op).location)
        Rewriter.insert_op(constant, InsertPoint.before(op))
        operands = list(op.operands)
        operands[index] = constant.result
        return operands
    return None


def _weight_axes(op: ConvolutionOp | DotGeneralOp) -> Mapping[int, Mapping[int, int]]:
    """For each operand that may be a constant of weights: the result's axes that it alone gives, and its own."""
    if isinstance(op, ConvolutionOp):
        return {1: {op.output_order.second: op.kernel_order.first}}
    (_, lhs_free, _), (_, rhs_free, _) = op.lhs_axes, op.rhs_axes
    batch = len(op.lhs_batching_dimensions)
    return {
        1: {batch + len(lhs_free) + number: axis for number, axis in enumerate(rhs_free)},
        0: {batch + number: axis for number, axis in enumerate(lhs_free)},
    }
