"""Operators that make tensors from shapes and numbers: constants, ranges, masks; and those that read shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import Array
from lamina.dialects.graph.dims import static_size
from lamina.dialects.graph.types import is_float
from lamina.frontends.onnx.axes import axis_of
from lamina.frontends.onnx.builder import OnnxBuilder, Size
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import DATA_DEPENDENT, UnsupportedNode
from lamina.frontends.onnx.tensors import element_type, tensor_array

CONSTANT_FORMS: Mapping[str, type[np.generic]] = {
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_float": np.float32,
    "value_floats": np.float32,
}


def constant(node: Node, build: OnnxBuilder) -> SSAValue:
    """Exactly one of the attributes gives the value."""
    given = [name for name in node.attributes if name.startswith(("value", "sparse_value"))]
    if len(given) != 1:
        raise LaminaError(f"Constant needs one value, found {len(given)}")
    (name,) = given
    if name in CONSTANT_FORMS:
        return build.constant(np.asarray(node.attributes[name], CONSTANT_FORMS[name]))
    if name == "sparse_value":
        raise UnsupportedNode("sparse tensors are not built yet")
    if name != "value":
        raise UnsupportedNode("strings are not built yet")
    return build.constant(_checked(node.tensor("value")))


def _checked(tensor: onnx.TensorProto) -> Array:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise LaminaError("the tensor of an attribute cannot have external data")
    return tensor_array(tensor, None)


def constant_of_shape(node: Node, build: OnnxBuilder) -> SSAValue:
    array = _checked(node.tensor("value")) if node.has("value") else np.zeros(1, np.float32)
    if array.size != 1:
        raise LaminaError(f"the value of ConstantOfShape must have one element, found {array.size}")
    return build.broadcast_to(build.constant(array.reshape(())), build.entries(node.operand(0)))


def shape(node: Node, build: OnnxBuilder) -> SSAValue:
    """The sizes from axis `start` to before `end`, out-of-range ones clamped."""
    value = node.operand(0)
    axes = range(build.rank(value))[slice(node.integer("start", 0), node.integer("end") if node.has("end") else None)]
    sizes = build.shape(value)[axes.start : axes.stop] if len(axes) else ()
    if static_size(sizes) is not None:
        return build.constant(np.asarray(sizes, np.int64).reshape(-1))
    whole = build.shape_of(value)
    return whole if len(axes) == build.rank(value) else build.slice(whole, (axes.start,), (axes.stop,))


def size(node: Node, build: OnnxBuilder) -> SSAValue:
    return build.value(build.product(build.sizes_of(node.operand(0))), i64)


def arange(node: Node, build: OnnxBuilder) -> SSAValue:
    """start, start + delta, … before limit: max(ceil((limit - start) / delta), 0) numbers."""
    start, limit, delta = (build.reshape_to(node.operand(index), ()) for index in range(3))
    element_type_ = build.element_type(start)
    arrays = [build.static(value) for value in (start, limit, delta)]
    if all(array is not None for array in arrays):
        first, last, step = (array.item() for array in arrays if array is not None)
        if step == 0:
            raise LaminaError("the step of Range is 0")
        count: Size = max(math.ceil((last - first) / step), 0)
    else:
        count = _range_length(build, start, limit, delta)
    positions = build.positions([count], 0, element_type_)
    return build.add(build.multiply(positions, delta), start)


def _range_length(build: OnnxBuilder, start: SSAValue, limit: SSAValue, delta: SSAValue) -> Size:
    step = build.elements(delta)
    if is_float(build.element_type(start)) or step is None or not isinstance(step[0], int) or step[0] == 0:
        raise UnsupportedNode(DATA_DEPENDENT)
    first, last = build.known(build.cast(start, i64)), build.known(build.cast(limit, i64))
    if step[0] < 0:
        first, last = last, first
    stride = abs(step[0])
    span = build.combine("maximum", build.combine("subtract", last, first), 0)
    return build.combine("divide", build.combine("add", span, stride - 1), stride)


def eye_like(node: Node, build: OnnxBuilder) -> SSAValue:
    """Ones on the k-th diagonal of a matrix of the input's shape."""
    value = node.operand(0)
    if build.rank(value) != 2:
        raise LaminaError(f"EyeLike takes a matrix, found {build.rank(value)} axes")
    target = element_type(node.integer("dtype")).attribute if node.has("dtype") else build.element_type(value)
    sizes = build.sizes_of(value)
    rows, columns = (build.positions(sizes, axis) for axis in (0, 1))
    return build.cast(build.compare("EQ", columns, build.add(rows, node.integer("k"))), target)


def one_hot(node: Node, build: OnnxBuilder) -> SSAValue:
    """`on` where the position along a new axis equals the index, negative ones counting from its end."""
    indices, values = node.operand(0), node.operand(2)
    depth_value = build.cast(build.reshape_to(node.operand(1), ()), i64)
    depth = build.known(depth_value)
    static_depth = build.static(depth_value)
    if static_depth is not None:
        depth = int(static_depth.item())
    rank = build.rank(indices) + 1
    axis = axis_of(node.integer("axis"), rank)
    positions = build.positions([depth], 0)
    indices = build.cast(indices, i64)
    wrapped = build.select(build.compare("LT", indices, 0), build.add(indices, build.value(depth, i64)), indices)
    sizes = build.sizes_of(indices)
    spread = build.reshape_to(wrapped, [*sizes[:axis], 1, *sizes[axis:]])
    hit = build.compare("EQ", spread, build.along_axis(positions, axis, rank))
    off, on = (build.reshape_to(build.slice(values, (index,), (index + 1,)), ()) for index in (0, 1))
    return build.select(hit, on, off)


def triangle(node: Node, build: OnnxBuilder) -> SSAValue:
    """Keep the elements on one side of the k-th diagonal of the last two axes; zeros elsewhere."""
    value = node.operand(0)
    rank = build.rank(value)
    if rank < 2:
        raise LaminaError(f"Trilu takes matrices, found {rank} axes")
    offset = node.optional(1)
    sizes = build.sizes_of(value)[-2:]
    rows, columns = (build.positions(sizes, axis) for axis in (0, 1))
    if offset is not None:
        rows = build.add(rows, build.cast(build.reshape_to(offset, ()), i64))
    kept = build.compare("GE" if node.flag("upper") else "LE", columns, rows)
    return build.select(kept, value, build.constant(0, build.element_type(value)))


GENERATORS: Mapping[str, Versions] = {
    "Constant": {1: constant},
    "ConstantOfShape": {9: constant_of_shape},
    "EyeLike": {9: eye_like},
    "OneHot": {9: one_hot},
    "Range": {11: arange},
    "Shape": {1: shape},
    "Size": {1: size},
    "Trilu": {14: triangle},
}
