"""Building graph IR: one method per op, results typed by the ops' own inference, scalars taken for constants.

    builder = GraphBuilder.at_end(block)
    x = builder.multiply(x, 0.5)
    y = builder.softmax(builder.add(x, bias), 1)

Used by decompositions, front ends and derivative rules. Symbolic sizes are tracked while building:
`builder.shape(value)` gives by name what the types print as `?`, where the inputs were declared with names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import BoolAttr, i64
from xdsl.ir import Attribute, Block, Region, SSAValue

from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.builder_base import BuilderBase, Value
from lamina.dialects.graph.construction import accumulation_type
from lamina.dialects.graph.convolution import axis_order, axis_properties
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.scan import segments

BranchFunction: TypeAlias = "Callable[[], Sequence[SSAValue]]"
ScanFunction: TypeAlias = (
    "Callable[[SSAValue, Sequence[SSAValue], Sequence[SSAValue]], tuple[Sequence[SSAValue], Sequence[SSAValue]]]"
)
LoopFunction: TypeAlias = "Callable[[Sequence[SSAValue]], Sequence[SSAValue]]"


def _unary(name: str) -> Callable[[GraphBuilder, Value], SSAValue]:
    def method(self: GraphBuilder, operand: Value) -> SSAValue:
        return self.create(name, (self.value(operand),))

    method.__doc__ = f"`graph.{name}`."
    return method


def _binary(name: str) -> Callable[[GraphBuilder, Value, Value], SSAValue]:
    def method(self: GraphBuilder, lhs: Value, rhs: Value) -> SSAValue:
        return self.create(name, self.values(lhs, rhs))

    method.__doc__ = f"`graph.{name}`; scalars get the other operand's element type."
    return method


class GraphBuilder(BuilderBase):
    """Inserts graph ops at a point, with the current location, and knows the symbolic sizes of what it made.

    Every method raises LaminaError, with the current location, where operands and properties do not fit.
    """

    # Elementwise

    abs = _unary("abs")
    negate = _unary("negate")
    sign = _unary("sign")
    exp = _unary("exp")
    expm1 = _unary("expm1")
    log = _unary("log")
    log1p = _unary("log1p")
    sqrt = _unary("sqrt")
    rsqrt = _unary("rsqrt")
    sin = _unary("sin")
    cos = _unary("cos")
    tan = _unary("tan")
    asin = _unary("asin")
    acos = _unary("acos")
    atan = _unary("atan")
    sinh = _unary("sinh")
    cosh = _unary("cosh")
    tanh = _unary("tanh")
    asinh = _unary("asinh")
    acosh = _unary("acosh")
    atanh = _unary("atanh")
    erf = _unary("erf")
    logistic = _unary("logistic")
    floor = _unary("floor")
    ceil = _unary("ceil")
    round_nearest_even = _unary("round_nearest_even")
    not_ = _unary("not")
    is_nan = _unary("is_nan")

    add = _binary("add")
    subtract = _binary("subtract")
    multiply = _binary("multiply")
    divide = _binary("divide")
    remainder = _binary("remainder")
    power = _binary("power")
    maximum = _binary("maximum")
    minimum = _binary("minimum")
    atan2 = _binary("atan2")
    and_ = _binary("and")
    or_ = _binary("or")
    xor = _binary("xor")
    shift_left = _binary("shift_left")
    shift_right = _binary("shift_right")

    def is_inf(self, operand: Value, detect_negative: bool = True, detect_positive: bool = True) -> SSAValue:
        """`graph.is_inf`."""
        return self.create(
            "is_inf",
            (self.value(operand),),
            detect_negative=BoolAttr.from_bool(detect_negative),
            detect_positive=BoolAttr.from_bool(detect_positive),
        )

    def compare(self, direction: str, lhs: Value, rhs: Value) -> SSAValue:
        """`graph.compare`; the direction is EQ, NE, LT, LE, GT or GE."""
        return self.create("compare", self.values(lhs, rhs), direction=direction)

    def select(self, predicate: Value, on_true: Value, on_false: Value) -> SSAValue:
        """`graph.select`."""
        return self.create("select", (self.value(predicate), *self.values(on_true, on_false)))

    def clamp(self, lower: Value, operand: Value, upper: Value) -> SSAValue:
        """`graph.clamp`."""
        return self.create("clamp", self.values(lower, operand, upper))

    def cast(self, operand: Value, element_type: Attribute) -> SSAValue:
        """`graph.cast`, or the operand when it has the element type."""
        value = self.value(operand)
        if self.element_type(value) == element_type:
            return value
        return self.create("cast", (value,), element_type=element_type)

    def bitcast(self, operand: Value, element_type: Attribute) -> SSAValue:
        """`graph.bitcast`."""
        return self.create("bitcast", (self.value(operand),), element_type=element_type)

    # Data movement

    def reshape(self, operand: Value, shape: Sequence[int]) -> SSAValue:
        """`graph.reshape`; at most one -1."""
        return self.create("reshape", (self.value(operand),), shape=shape)

    def dynamic_reshape(self, operand: Value, shape: Value) -> SSAValue:
        """`graph.dynamic_reshape`."""
        return self.create("dynamic_reshape", (self.value(operand), self.value(shape)))

    def transpose(self, operand: Value, permutation: Sequence[int]) -> SSAValue:
        """`graph.transpose`."""
        return self.create("transpose", (self.value(operand),), permutation=permutation)

    def broadcast(self, operand: Value, shape: Sequence[int]) -> SSAValue:
        """`graph.broadcast`; -1 keeps the operand's size."""
        return self.create("broadcast", (self.value(operand),), shape=shape)

    def dynamic_broadcast(self, operand: Value, shape: Value) -> SSAValue:
        """`graph.dynamic_broadcast`."""
        return self.create("dynamic_broadcast", (self.value(operand), self.value(shape)))

    def slice(
        self, operand: Value, starts: Sequence[int], limits: Sequence[int], strides: Sequence[int] | None = None
    ) -> SSAValue:
        """`graph.slice`; strides left out are 1."""
        steps = (1,) * len(starts) if strides is None else strides
        return self.create("slice", (self.value(operand),), starts=starts, limits=limits, strides=steps)

    def dynamic_slice(self, operand: Value, starts: Value, limits: Value, strides: Value) -> SSAValue:
        """`graph.dynamic_slice`."""
        operands = (operand, starts, limits, strides)
        return self.create("dynamic_slice", [self.value(each) for each in operands])

    def reverse(self, operand: Value, dimensions: Sequence[int]) -> SSAValue:
        """`graph.reverse`."""
        return self.create("reverse", (self.value(operand),), dimensions=dimensions)

    def pad(
        self,
        operand: Value,
        value: Value,
        low: Sequence[int],
        high: Sequence[int],
        interior: Sequence[int] | None = None,
        mode: str = "constant",
    ) -> SSAValue:
        """`graph.pad`."""
        between = (0,) * len(low) if interior is None else interior
        return self.create("pad", self.values(operand, value), low=low, high=high, interior=between, mode=mode)

    def dynamic_pad(self, operand: Value, value: Value, low: Value, high: Value, mode: str = "constant") -> SSAValue:
        """`graph.dynamic_pad`."""
        operands = (*self.values(operand, value), self.value(low), self.value(high))
        return self.create("dynamic_pad", operands, mode=mode)

    def concatenate(self, operands: Sequence[Value], dimension: int) -> SSAValue:
        """`graph.concatenate`."""
        return self.create("concatenate", self.values(*operands), dimension=dimension)

    def gather(
        self,
        operand: Value,
        indices: Value,
        *,
        slice_sizes: Sequence[int],
        offset_dims: Sequence[int] = (),
        collapsed_slice_dims: Sequence[int] = (),
        start_index_map: Sequence[int] = (),
        index_vector_dim: int,
        operand_batching_dims: Sequence[int] = (),
        start_indices_batching_dims: Sequence[int] = (),
    ) -> SSAValue:
        """`graph.gather`."""
        return self.create(
            "gather",
            (self.value(operand), self.value(indices)),
            offset_dims=offset_dims,
            collapsed_slice_dims=collapsed_slice_dims,
            operand_batching_dims=operand_batching_dims,
            start_indices_batching_dims=start_indices_batching_dims,
            start_index_map=start_index_map,
            index_vector_dim=index_vector_dim,
            slice_sizes=slice_sizes,
        )

    def take(self, operand: Value, indices: Value, dimension: int) -> SSAValue:
        """`graph.gather` of whole slices along an axis: NumPy's `take` with clamped, non-negative indices."""
        value, positions = self.value(operand), self.value(indices)
        rank, index_rank = self.rank(value), self.rank(positions)
        result_rank = rank - 1 + index_rank
        return self.gather(
            value,
            positions,
            slice_sizes=[1 if axis == dimension else -1 for axis in range(rank)],
            offset_dims=[axis for axis in range(result_rank) if not dimension <= axis < dimension + index_rank],
            collapsed_slice_dims=[dimension],
            start_index_map=[dimension],
            index_vector_dim=index_rank,
        )

    def take_along(self, operand: Value, indices: Value, dimension: int) -> SSAValue:
        """Elements at positions along an axis, all other axes running together: NumPy's `take_along_axis`."""
        value, positions = self.value(operand), self.value(indices)
        rank = self.rank(value)
        others = [axis for axis in range(rank) if axis != dimension]
        return self.gather(
            value,
            positions,
            slice_sizes=[1] * rank,
            collapsed_slice_dims=[dimension],
            start_index_map=[dimension],
            index_vector_dim=rank,
            operand_batching_dims=others,
            start_indices_batching_dims=others,
        )

    def dynamic_update_slice(self, operand: Value, update: Value, starts: Value) -> SSAValue:
        """`graph.dynamic_update_slice`."""
        return self.create("dynamic_update_slice", (*self.values(operand, update), self.value(starts)))

    def scatter(
        self,
        kind: str,
        operand: Value,
        indices: Value,
        updates: Value,
        *,
        update_window_dims: Sequence[int] = (),
        inserted_window_dims: Sequence[int] = (),
        scatter_dims_to_operand_dims: Sequence[int] = (),
        index_vector_dim: int,
        input_batching_dims: Sequence[int] = (),
        scatter_indices_batching_dims: Sequence[int] = (),
    ) -> SSAValue:
        """`graph.scatter`."""
        target, slices = self.values(operand, updates)
        return self.create(
            "scatter",
            (target, self.value(indices), slices),
            kind=kind,
            update_window_dims=update_window_dims,
            inserted_window_dims=inserted_window_dims,
            input_batching_dims=input_batching_dims,
            scatter_indices_batching_dims=scatter_indices_batching_dims,
            scatter_dims_to_operand_dims=scatter_dims_to_operand_dims,
            index_vector_dim=index_vector_dim,
        )

    def iota(self, element_type: Attribute, shape: Sequence[int], dimension: int = 0) -> SSAValue:
        """`graph.iota`."""
        return self.create("iota", (), element_type=element_type, shape=shape, dimension=dimension)

    def dynamic_iota(self, element_type: Attribute, shape: Value, dimension: int = 0) -> SSAValue:
        """`graph.dynamic_iota`."""
        return self.create("dynamic_iota", (self.value(shape),), element_type=element_type, dimension=dimension)

    def shape_of(self, operand: Value) -> SSAValue:
        """`graph.shape_of`."""
        return self.create("shape_of", (self.value(operand),))

    def dimension(self, operand: Value, axis: int) -> SSAValue:
        """`graph.dimension`: the size of an axis as an i64 scalar; a constant where it is known."""
        value = self.value(operand)
        size = self.shape(value)[axis]
        return self.constant(size) if isinstance(size, int) else self.create("dimension", (value,), axis=axis)

    # Reductions

    def reduce(
        self, kind: str, operand: Value, dimensions: Sequence[int] | None = None, keep_dimensions: bool = False
    ) -> SSAValue:
        """`graph.reduce`; over all axes when `dimensions` is left out."""
        value = self.value(operand)
        axes = range(self.rank(value)) if dimensions is None else dimensions
        return self.create("reduce", (value,), kind=kind, dimensions=axes, keep_dimensions=keep_dimensions)

    def arg_reduce(
        self, kind: str, operand: Value, dimension: int, keep_dimensions: bool = False, select_last: bool = False
    ) -> SSAValue:
        """`graph.arg_reduce`."""
        return self.create(
            "arg_reduce",
            (self.value(operand),),
            kind=kind,
            dimension=dimension,
            keep_dimensions=keep_dimensions,
            select_last=select_last,
        )

    def arg_sort(self, operand: Value, dimension: int, descending: bool = False, count: int | None = None) -> SSAValue:
        """`graph.arg_sort`."""
        return self.create("arg_sort", (self.value(operand),), dimension=dimension, descending=descending, count=count)

    def sort(self, operand: Value, dimension: int, descending: bool = False) -> SSAValue:
        """`graph.sort`."""
        return self.create("sort", (self.value(operand),), dimension=dimension, descending=descending)

    def top_k(self, operand: Value, count: int, dimension: int, largest: bool = True) -> tuple[SSAValue, SSAValue]:
        """The `count` largest (smallest) elements along an axis, the most extreme first, and their positions (i64).

        Of equal elements the first; NaN is the largest. Raises LaminaError where the axis is known to be shorter.
        """
        value = self.value(operand)
        size = self.shape(value)[dimension]
        if isinstance(size, int) and count > size:
            raise self.error(f"top_k: expected at most {size} elements of axis {dimension}, found {count}")
        first = self.arg_sort(value, dimension, largest, count)
        return self.take_along(value, first, dimension), first

    def cumulative(
        self, kind: str, operand: Value, dimension: int, exclusive: bool = False, reverse: bool = False
    ) -> SSAValue:
        """`graph.cumulative`."""
        return self.create(
            "cumulative",
            (self.value(operand),),
            kind=kind,
            dimension=dimension,
            exclusive=exclusive,
            reverse=reverse,
        )

    def reduce_window(
        self,
        kind: str,
        operand: Value,
        window_dimensions: Sequence[int],
        window_strides: Sequence[int] | None = None,
        window_dilations: Sequence[int] | None = None,
        padding: Sequence[int] | None = None,
    ) -> SSAValue:
        """`graph.reduce_window`; strides and dilations left out are 1, padding 0."""
        ones = (1,) * len(window_dimensions)
        return self.create(
            "reduce_window",
            (self.value(operand),),
            kind=kind,
            window_dimensions=window_dimensions,
            window_strides=ones if window_strides is None else window_strides,
            window_dilations=ones if window_dilations is None else window_dilations,
            padding=(0, 0) * len(ones) if padding is None else padding,
        )

    # Contractions

    def dot_general(
        self,
        lhs: Value,
        rhs: Value,
        lhs_contracting_dimensions: Sequence[int],
        rhs_contracting_dimensions: Sequence[int],
        lhs_batching_dimensions: Sequence[int] = (),
        rhs_batching_dimensions: Sequence[int] = (),
        element_type: Attribute | None = None,
    ) -> SSAValue:
        """`graph.dot_general`."""
        return self.create(
            "dot_general",
            (self.value(lhs), self.value(rhs)),
            lhs_batching_dimensions=lhs_batching_dimensions,
            rhs_batching_dimensions=rhs_batching_dimensions,
            lhs_contracting_dimensions=lhs_contracting_dimensions,
            rhs_contracting_dimensions=rhs_contracting_dimensions,
            element_type=element_type,
        )

    def convolution(
        self,
        lhs: Value,
        rhs: Value,
        window_strides: Sequence[int],
        padding: Sequence[int] | None = None,
        lhs_dilation: Sequence[int] | None = None,
        rhs_dilation: Sequence[int] | None = None,
        feature_group_count: int = 1,
    ) -> SSAValue:
        """`graph.convolution` with ONNX's orders of axes (batch or output feature, feature, spatial axes)."""
        ones = (1,) * len(window_strides)
        order = axis_order(0, 1, len(ones) + 2)
        return self.create(
            "convolution",
            (self.value(lhs), self.value(rhs)),
            window_strides=window_strides,
            padding=(0, 0) * len(ones) if padding is None else padding,
            lhs_dilation=ones if lhs_dilation is None else lhs_dilation,
            rhs_dilation=ones if rhs_dilation is None else rhs_dilation,
            feature_group_count=feature_group_count,
            **axis_properties(order, order, order),
        )

    # Control flow

    def if_(self, predicate: Value, then: BranchFunction, otherwise: BranchFunction) -> Sequence[SSAValue]:
        """`graph.if`; each function builds a region with this builder and gives what it yields."""
        value = self.value(predicate)
        regions = [self._region((), lambda _, branch=branch: branch()) for branch in (then, otherwise)]
        left, right = ([self.abstract(value) for value in yielded(region)] for region in regions)
        results = self.create_with_regions("if", (value,), regions, len(left))
        for result, first, second in zip(results, left, right, strict=True):
            sizes = zip(first.shape, second.shape, self.shape(result), strict=True)
            shape = tuple(a if a == b else unknown for a, b, unknown in sizes)
            self.declare(result, AbstractTensor(shape, first.element_type))
        return results

    def while_(
        self,
        inits: Sequence[Value],
        condition: LoopFunction,
        body: LoopFunction,
        loop_values: Sequence[AbstractTensor] | None = None,
    ) -> Sequence[SSAValue]:
        """`graph.while`; the functions get the loop values.

        `loop_values` says what is known of them in every iteration; left out, they keep the initial values' shapes, and
        LaminaError is raised where the body changes one.
        """
        values = [self.value(init) for init in inits]
        initial = [AbstractTensor(item.shape, item.element_type) for item in map(self.abstract, values)]
        known = initial if loop_values is None else loop_values
        regions = [self._region(known, condition), self._region(known, body)]
        if loop_values is None:
            for index, (value, before) in enumerate(zip(yielded(regions[1]), initial, strict=False)):
                after = self.abstract(value)
                if (after.shape, after.element_type) != (before.shape, before.element_type):
                    raise self.error(
                        f"graph.while: loop value {index}: expected {before.element_type} of sizes "
                        f"{list(before.shape)} from the body, found {after.element_type} of sizes {list(after.shape)}"
                    )
        results = self.create_with_regions("while", values, regions, len(values))
        for result, item in zip(results, known, strict=True):
            self.declare(result, item)
        return results

    def scan(
        self,
        inits: Sequence[Value],
        scanned: Sequence[Value],
        body: ScanFunction,
        *,
        length: Value | None = None,
        reverse: bool = False,
    ) -> tuple[Sequence[SSAValue], Sequence[SSAValue]]:
        """`graph.scan`: the last carried values and the stacked outputs.

        `body` gets the position, the carried values and the slices, and gives the next carried values and what is
        stacked. `length` is given where nothing is scanned, and only there.
        """
        values, sources = [self.value(init) for init in inits], [self.value(each) for each in scanned]
        lengths = [] if length is None else [self.value(length)]
        initial = [AbstractTensor(item.shape, item.element_type) for item in map(self.abstract, values)]
        rows = [AbstractTensor(item.shape[1:], item.element_type) for item in map(self.abstract, sources)]
        count = len(values)
        outputs: list[SSAValue] = []

        def run(arguments: Sequence[SSAValue]) -> Sequence[SSAValue]:
            following, steps = body(arguments[0], arguments[1 : 1 + count], arguments[1 + count :])
            outputs.extend(steps)
            return [*following, *steps]

        region = self._region([AbstractTensor((), i64), *initial, *rows], run)
        results = self.create_with_regions(
            "scan",
            [*values, *sources, *lengths],
            (region,),
            count + len(outputs),
            operandSegmentSizes=segments(count, len(sources), len(lengths)),
            reverse=reverse,
        )
        for result, item in zip(results, initial, strict=False):
            self.declare(result, item)
        for result, step in zip(results[count:], outputs, strict=True):
            shape = (self.shape(result)[0], *self.shape(step))
            self.declare(result, AbstractTensor(shape, self.element_type(step)))
        return results[:count], results[count:]

    def _region(
        self, arguments: Sequence[AbstractTensor], function: Callable[[Sequence[SSAValue]], Sequence[SSAValue]]
    ) -> Region:
        block = Block(arg_types=[known.type for known in arguments])
        for argument, known in zip(block.args, arguments, strict=True):
            self.declare(argument, known)
        with self.inside(block):
            self.create_with_regions("yield", list(function(block.args)), (), 0)
        return Region(block)

    # Composites

    relu = _unary("relu")
    silu = _unary("silu")

    def gelu(self, operand: Value, approximate: str = "none") -> SSAValue:
        """`graph.gelu`; `approximate` is none or tanh."""
        return self.create("gelu", (self.value(operand),), approximate=approximate)

    def softmax(self, operand: Value, dimension: int) -> SSAValue:
        """`graph.softmax`."""
        return self.create("softmax", (self.value(operand),), dimension=dimension)

    def log_softmax(self, operand: Value, dimension: int) -> SSAValue:
        """`graph.log_softmax`."""
        return self.create("log_softmax", (self.value(operand),), dimension=dimension)

    def mean(self, operand: Value, dimensions: Sequence[int] | None = None, keep_dimensions: bool = False) -> SSAValue:
        """`graph.mean`; over all axes when `dimensions` is left out."""
        value = self.value(operand)
        axes = range(self.rank(value)) if dimensions is None else dimensions
        return self.create("mean", (value,), dimensions=axes, keep_dimensions=keep_dimensions)

    def layer_norm(self, operand: Value, scale: Value, bias: Value, axis: int, epsilon: float) -> SSAValue:
        """`graph.layer_norm`."""
        return self.create("layer_norm", self.values(operand, scale, bias), axis=axis, epsilon=float(epsilon))

    def group_norm(
        self, operand: Value, scale: Value, bias: Value, dimension: int, groups: int, epsilon: float
    ) -> SSAValue:
        """`graph.group_norm`."""
        operands = self.values(operand, scale, bias)
        return self.create("group_norm", operands, dimension=dimension, groups=groups, epsilon=float(epsilon))

    def rms_norm(self, operand: Value, scale: Value, axis: int, epsilon: float) -> SSAValue:
        """`graph.rms_norm`."""
        return self.create("rms_norm", self.values(operand, scale), axis=axis, epsilon=float(epsilon))

    def batch_norm(
        self, operand: Value, scale: Value, bias: Value, mean: Value, variance: Value, dimension: int, epsilon: float
    ) -> SSAValue:
        """`graph.batch_norm`."""
        operands = self.values(operand, scale, bias, mean, variance)
        return self.create("batch_norm", operands, dimension=dimension, epsilon=float(epsilon))

    def attention(
        self,
        query: Value,
        key: Value,
        value: Value,
        mask: Value | None = None,
        *,
        scale: float,
        causal: str | None = None,
        tokens_first: Sequence[int] = (),
    ) -> SSAValue:
        """`graph.attention`; `causal` is start or end."""
        operands = [*self.values(query, key, value), *(() if mask is None else (self.value(mask),))]
        return self.create("attention", operands, scale=float(scale), causal=causal, tokens_first=tokens_first)

    # What decompositions and front ends need besides

    def widen(self, operand: Value) -> SSAValue:
        """The operand in the element type that sums are formed in: f16 and bf16 become f32."""
        value = self.value(operand)
        return self.cast(value, accumulation_type(self.element_type(value)))

    def sizes(self, shape: Sequence[Dim], known: Mapping[Dim, SSAValue]) -> SSAValue:
        """An i64 vector of sizes; `known` gives the i64 scalars of those that are no numbers."""
        parts = [
            self.constant(np.asarray([size], np.int64)) if isinstance(size, int) else self.reshape(known[size], [1])
            for size in shape
        ]
        if not parts:
            return self.constant(np.zeros(0, np.int64))
        return parts[0] if len(parts) == 1 else self.concatenate(parts, 0)

    def element_count(self, operand: SSAValue, dimensions: Sequence[int], element_type: Attribute) -> SSAValue:
        """The number of elements along some axes, as a scalar of an element type."""
        static = 1
        dynamic: list[SSAValue] = []
        for axis in dimensions:
            size = self.shape(operand)[axis]
            if isinstance(size, int):
                static *= size
            else:
                dynamic.append(self.dimension(operand, axis))
        if not dynamic:
            return self.constant(static, element_type)
        total = dynamic[0]
        for factor in dynamic[1:]:
            total = self.multiply(total, factor)
        return self.cast(total if static == 1 else self.multiply(total, static), element_type)


def yielded(region: Region) -> Sequence[SSAValue]:
    """The operands of a region's terminator."""
    last = region.block.last_op
    return last.operands if last is not None else ()
