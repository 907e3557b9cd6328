"""Stages as `linalg.generic`: elementwise and data movement, reductions, contractions and convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, DenseArrayBase, StringAttr, i64
from xdsl.dialects.utils.fast_math import FastMathFlag
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.data_movement import PadOp
from lamina.dialects.graph.dims import Shape
from lamina.dialects.graph.reduction import identity_of
from lamina.dialects.graph.types import dtype_of, is_float
from lamina.dialects.loop import arith
from lamina.dialects.tensor import linalg
from lamina.lowering.graph_to_linalg import elementwise
from lamina.lowering.graph_to_linalg.attention import lower_attention
from lamina.lowering.graph_to_linalg.body import Body, Inputs
from lamina.lowering.graph_to_linalg.elementwise import convert, predicate
from lamina.lowering.graph_to_linalg.emitter import FunctionScope, element_type_of, signless, tensor_type
from lamina.lowering.graph_to_linalg.indexing import (
    Linear,
    affine_map,
    dim_index,
    identity_indices,
)
from lamina.lowering.graph_to_linalg.plan import Stage
from lamina.lowering.graph_to_linalg.properties import flag, integer, integers, keyword
from lamina.lowering.graph_to_linalg.scatter import lower_scatter
from lamina.lowering.graph_to_linalg.sort import lower_arg_sort
from lamina.lowering.graph_to_linalg.spaces import SPACES, Axis, Space
from lamina.resources import ResourceStore

AXES, BORDER = "lamina.axes", "lamina.border"
REASSOCIATE = {"fastmath": FastMathFlagsAttr([FastMathFlag.REASSOC])}
EXTREME = {"fastmath": FastMathFlagsAttr([FastMathFlag.REASSOC, FastMathFlag.NO_SIGNED_ZEROS])}
"""Of +0 and -0 either is the extreme: telling them apart would take several instructions more than the comparison."""
MULTIPLY_ADD = {"fastmath": FastMathFlagsAttr([FastMathFlag.REASSOC, FastMathFlag.ALLOW_CONTRACT])}

PARALLEL = linalg.IteratorTypeAttr(linalg.IteratorType.PARALLEL)
REDUCTION = linalg.IteratorTypeAttr(linalg.IteratorType.REDUCTION)

Build: TypeAlias = Callable[[Body, Sequence[SSAValue]], Sequence[SSAValue]]
"""Fills a body, given the current elements of the outputs; returns what it yields."""


@dataclass(frozen=True)
class Output:
    """A tensor that a generic updates, and the iteration dim, or the position, of each of its axes."""

    tensor: SSAValue
    dims: tuple[int | Linear, ...]

    @property
    def indices(self) -> tuple[Linear, ...]:
        """The position along each axis."""
        return tuple(dim_index(dim) if isinstance(dim, int) else dim for dim in self.dims)


def generic(
    function: FunctionScope, axes: Sequence[Axis], outputs: Sequence[Output], build: Build
) -> Sequence[SSAValue]:
    """Append a `linalg.generic` over `axes`; its results are the updated outputs."""
    block = Block(arg_types=[element_type_of(output.tensor) for output in outputs])
    inputs = Inputs(block)
    sizes = tuple(axis.size for axis in axes)
    body = Body(function, sizes, inputs)
    results = build(body, tuple(block.args))
    body.append(linalg.YieldOp(*results))
    _bound_all_dims(function, inputs, sizes, outputs)
    block.add_ops(body.ops)
    maps = [affine_map(indices, len(axes)) for indices in inputs.maps]
    maps += [affine_map(output.indices, len(axes)) for output in outputs]
    tensors = [output.tensor for output in outputs]
    op = linalg.GenericOp(
        inputs.operands,
        tensors,
        Region(block),
        [AffineMapAttr(map_) for map_ in maps],
        [REDUCTION if axis.reduced else PARALLEL for axis in axes],
        [tensor.type for tensor in tensors],
        {AXES: ArrayAttr([StringAttr(axis.name) for axis in axes])},
    )
    return function.append(op).results


def _bound_all_dims(function: FunctionScope, inputs: Inputs, sizes: Shape, outputs: Sequence[Output]) -> None:
    """linalg takes a dim's size from an operand with that plain dim: where none has it, from an empty tensor."""
    bounded = {index.plain_dim for output in outputs for index in output.indices}
    bounded |= {index.plain_dim for indices in inputs.maps for index in indices if index.plain_dim is not None}
    missing = [dim for dim in range(len(sizes)) if dim not in bounded]
    if not missing:
        return
    element_type = element_type_of(outputs[0].tensor)
    shape = tuple(sizes[dim] for dim in missing)
    inputs.argument(function.empty(shape, tensor_type(shape, element_type)), tuple(dim_index(dim) for dim in missing))


def fill(function: FunctionScope, value: SSAValue, destination: SSAValue) -> SSAValue:
    """`linalg.fill`."""
    return function.append(linalg.FillOp([value], [destination], [destination.type])).results[0]


def has_no_elements(function: FunctionScope, value: SSAValue) -> bool:
    """Whether a tensor is known to be empty: nothing is to be computed."""
    return 0 in function.canonical_shape(value)


@dataclass
class Lowering:
    """Lowers the stages of one function, one after the other."""

    function: FunctionScope
    space_of: dict[SSAValue, Space] = field(default_factory=dict[SSAValue, Space])

    def lower(self, stage: Stage, destination: SSAValue) -> SSAValue:
        """Compute a stage into `destination`, a tensor of the type of the stage's value."""
        op = stage.root.owner
        assert isinstance(op, Operation)
        self.function.location = op.location
        if has_no_elements(self.function, stage.value):
            return destination
        rule = self.function.rules.stage.get(op.name)
        if rule is None:
            return self.parallel(stage, destination)
        return rule(self, op, destination, stage.permutation)

    def parallel(self, stage: Stage, destination: SSAValue) -> SSAValue:
        """One element after the other; an epilogue in place has the contraction's result as input and output."""
        sizes = self.function.shape(stage.root)
        names = tuple(f"i{axis}" for axis in range(len(sizes)))
        if stage.epilogue_of is not None and (space := self.space_of.get(stage.epilogue_of)) is not None:
            names = space.result
        axes = [Axis(name, size) for name, size in zip(names, sizes, strict=True)]
        indices = identity_indices(len(sizes))

        dims = permuted(tuple(range(len(sizes))), stage.permutation)

        def build(body: Body, outputs: Sequence[SSAValue]) -> Sequence[SSAValue]:
            if stage.in_place:
                # The contraction's result lies in the destination, its axes permuted as this stage's are.
                result = body.inputs.argument(destination, tuple(dim_index(dim) for dim in dims))
                body.remember(("read", stage.epilogue_of, indices), result)
            return [read_root(body, stage.root, indices)]

        results = generic(self.function, axes, [Output(destination, dims)], build)
        self._mark_border(stage, results[0])
        return results[0]

    def _mark_border(self, stage: Stage, result: SSAValue) -> None:
        """Say what a stage that only pads a stored tensor with zeros adds, for `skip-padding`."""
        op = stage.root.owner
        if not isinstance(op, PadOp) or stage.in_place or list(stage.permutation) != sorted(stage.permutation):
            return
        value = op.value.owner
        widths = (*op.low.get_values(), *op.high.get_values())
        is_zero = isinstance(value, ConstantOp) and not value.array(ResourceStore()).any()
        is_plain = op.mode.data == "constant" and not any(op.interior.get_values()) and min(widths, default=0) >= 0
        if is_zero and is_plain and isinstance(op.operand.owner, Block) and isinstance(result.owner, Operation):
            result.owner.attributes[BORDER] = DenseArrayBase.from_list(i64, widths)

    def copy(self, source: SSAValue, destination: SSAValue) -> SSAValue:
        """A tensor that is in memory into another one."""
        sizes = self.function.shape(source)
        if 0 in sizes:
            return destination
        axes = [Axis(f"i{axis}", size) for axis, size in enumerate(sizes)]
        output = Output(destination, tuple(range(len(sizes))))
        indices = identity_indices(len(sizes))
        return generic(self.function, axes, [output], lambda body, outputs: [body.read(source, indices)])[0]


def read_root(body: Body, root: SSAValue, indices: tuple[Linear, ...]) -> SSAValue:
    """The element of the value that a stage computes: by the rule of its op, since it is not stored yet."""
    op = root.owner
    assert isinstance(op, Operation)
    body.location = op.location
    return body.compute_element(op, indices)


def permuted(dims: tuple[int, ...], permutation: Sequence[int]) -> tuple[int, ...]:
    """The iteration dims of a value whose axis a is axis `permutation[a]` of what is computed."""
    return tuple(dims[axis] for axis in permutation)


# ---- reductions


def combine(body: Body, kind: str, element_type: Attribute, accumulator: SSAValue, element: SSAValue) -> SSAValue:
    """One step of a reduction; floats may be combined in any order."""
    operands = (accumulator, element)
    if is_float(element_type):
        op_type = {
            "add": arith.AddfOp,
            "multiply": arith.MulfOp,
            "maximum": arith.MaximumfOp,
            "minimum": arith.MinimumfOp,
        }
        flags = EXTREME if kind in ("maximum", "minimum") else REASSOCIATE
        return body.emit(op_type[kind], operands, element.type, flags)
    return elementwise.COMPUTE[f"graph.{kind}"](body, element_type, operands)


def _identity(function: FunctionScope, kind: str, element_type: Attribute) -> SSAValue:
    value = identity_of(kind, dtype_of(element_type)).item()
    return function.constant(value, signless(element_type))


def _reduce(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    function = lowering.function
    (operand,) = op.operands
    reduced, keep = integers(op, "dimensions"), flag(op, "keep_dimensions")
    kind, element_type = keyword(op, "kind"), element_type_of(operand)
    sizes = function.shape(operand)
    axes: list[Axis] = []
    dims: list[int] = []
    indices: list[Linear] = []
    for axis, size in enumerate(sizes):
        if axis in reduced and keep:
            dims.append(len(axes))
            axes.append(Axis(f"i{axis}", 1))
        if axis not in reduced:
            dims.append(len(axes))
        indices.append(dim_index(len(axes)))
        axes.append(Axis(f"r{axis}", size, reduced=True) if axis in reduced else Axis(f"i{axis}", size))
    filled = fill(function, _identity(function, kind, element_type), destination)
    if has_no_elements(function, operand):
        return filled

    def build(body: Body, outputs: Sequence[SSAValue]) -> Sequence[SSAValue]:
        return [combine(body, kind, element_type, outputs[0], body.read(operand, tuple(indices)))]

    return generic(function, axes, [Output(filled, permuted(tuple(dims), permutation))], build)[0]


def _reduce_window(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    function = lowering.function
    (operand,) = op.operands
    kind, element_type = keyword(op, "kind"), element_type_of(operand)
    space = SPACES[op.name](function, op)
    filled = fill(function, _identity(function, kind, element_type), destination)
    if has_no_elements(function, operand):
        return filled

    def build(body: Body, outputs: Sequence[SSAValue]) -> Sequence[SSAValue]:
        (indices,) = space.operands(body)
        return [combine(body, kind, element_type, outputs[0], body.read(operand, indices))]

    return generic(function, space.axes, [Output(filled, permuted(space.result_dims, permutation))], build)[0]


def _arg_reduce(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    """One pass with two results: the extreme so far, and its position. NaN counts as the extreme."""
    function = lowering.function
    (operand,) = op.operands
    reduced, keep = integer(op, "dimension"), flag(op, "keep_dimensions")
    kind, element_type = keyword(op, "kind"), element_type_of(operand)
    sizes = function.shape(operand)
    axes = [
        Axis(f"r{axis}" if axis == reduced else f"i{axis}", size, axis == reduced) for axis, size in enumerate(sizes)
    ]
    indices = identity_indices(len(axes))
    dims = [axis for axis in range(len(axes)) if axis != reduced]
    if keep:
        axes.append(Axis(f"i{reduced}", 1))
        dims.insert(reduced, len(axes) - 1)
    shape = function.shape(op.results[0])
    scalar = signless(element_type)
    extremes = function.empty(shape, tensor_type(shape, scalar))
    extremes = fill(function, _identity(function, kind, element_type), extremes)
    positions = fill(function, function.constant(0, i64), destination)
    direction = (
        ("GE" if flag(op, "select_last") else "GT")
        if kind == "maximum"
        else ("LE" if flag(op, "select_last") else "LT")
    )

    def build(body: Body, outputs: Sequence[SSAValue]) -> Sequence[SSAValue]:
        extreme, position = outputs
        element = body.read(operand, indices)
        better = body.compare(predicate(direction, element_type), element, extreme)
        if is_float(element_type):
            better = _or_nan(body, better, element, extreme, first=not flag(op, "select_last"))
        here = body.emit(arith.IndexCastOp, (body.index(indices[reduced]),), i64)
        return [body.select(better, element, extreme), body.select(better, here, position)]

    outputs = [Output(extremes, tuple(dims)), Output(positions, permuted(tuple(dims), permutation))]
    return generic(function, axes, outputs, build)[1]


def _or_nan(body: Body, better: SSAValue, element: SSAValue, extreme: SSAValue, *, first: bool) -> SSAValue:
    """A NaN wins, over another NaN only where the last extreme is wanted."""
    is_nan = body.compare("uno", element, element)
    if first:
        extreme_is_number = body.compare("ord", extreme, extreme)
        is_nan = body.emit(arith.AndIOp, (is_nan, extreme_is_number), is_nan.type)
    return body.emit(arith.OrIOp, (better, is_nan), better.type)


def _cumulative(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    """A pass along the axis with two results: the running value, and the element that it is stored to.

    The scanned axis is a reduction dim that the second result has too: it must run in order.
    """
    function = lowering.function
    (operand,) = op.operands
    scanned, kind, element_type = integer(op, "dimension"), keyword(op, "kind"), element_type_of(operand)
    sizes = function.shape(operand)
    axes = [
        Axis(f"r{axis}" if axis == scanned else f"i{axis}", size, axis == scanned) for axis, size in enumerate(sizes)
    ]
    indices = identity_indices(len(axes))
    others = tuple(axis for axis in range(len(axes)) if axis != scanned)
    shape = tuple(sizes[axis] for axis in others)
    running = function.empty(shape, tensor_type(shape, signless(element_type)))
    running = fill(function, _identity(function, kind, element_type), running)

    def build(body: Body, outputs: Sequence[SSAValue]) -> Sequence[SSAValue]:
        before = outputs[0]
        # In order: no reassociation.
        after = elementwise.COMPUTE[f"graph.{kind}"](body, element_type, (before, body.read(operand, indices)))
        return [after, before if flag(op, "exclusive") else after]

    outputs = [Output(running, others), Output(destination, permuted(tuple(range(len(axes))), permutation))]
    return generic(function, axes, outputs, build)[1]


# ---- contractions


def _contraction(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    """Products summed into a zero destination; narrow operands are converted to the result's type first."""
    function = lowering.function
    space = SPACES[op.name](function, op)
    lowering.space_of[op.results[0]] = space
    result_type = element_type_of(op.results[0])
    filled = fill(function, function.constant(0, signless(result_type)), destination)
    if any(has_no_elements(function, operand) for operand in op.operands):
        return filled

    def build(body: Body, outputs: Sequence[SSAValue]) -> Sequence[SSAValue]:
        factors = [
            convert(body, body.read(operand, indices), element_type_of(operand), result_type)
            for operand, indices in zip(op.operands, space.operands(body), strict=True)
        ]
        of_floats = is_float(result_type)
        multiply, add = (arith.MulfOp, arith.AddfOp) if of_floats else (arith.MuliOp, arith.AddiOp)
        flags = MULTIPLY_ADD if of_floats else None
        product = body.emit(multiply, factors, outputs[0].type, flags)
        return [body.emit(add, (outputs[0], product), outputs[0].type, flags)]

    return generic(function, space.axes, [Output(filled, permuted(space.result_dims, permutation))], build)[0]


StageRule: TypeAlias = Callable[[Lowering, Operation, SSAValue, Sequence[int]], SSAValue]
"""Computes an op, its axes permuted, into a destination; gives the updated destination."""

STAGE_RULES: Mapping[str, StageRule] = {
    "graph.reduce": _reduce,
    "graph.reduce_window": _reduce_window,
    "graph.arg_reduce": _arg_reduce,
    "graph.cumulative": _cumulative,
    "graph.dot_general": _contraction,
    "graph.convolution": _contraction,
    "graph.attention": lower_attention,
    "graph.scatter": lower_scatter,
    "graph.arg_sort": lower_arg_sort,
}
"""Ops that combine elements; all others are parallel stages."""
