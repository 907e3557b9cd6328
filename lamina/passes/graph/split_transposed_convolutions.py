"""`split-transposed-convolutions`: a transposed convolution becomes ordinary ones of the input as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.context import resources_of
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.convolution import ConvolutionOp, axis_properties
from lamina.dialects.graph.dims import Dim
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.shape_analysis import ShapeAnalysis, shape_of_type, tensor_type
from lamina.resources import ResourceStore

MAX_PARTS = 16
"""Into how many convolutions one is split at most: each is a kernel of its own."""

TO_THE_END = 2**63 - 1


@dataclass(frozen=True)
class SplitTransposedConvolutionsPass(LaminaPass):
    """Write a convolution of a dilated input as convolutions of the input without the zeros in between.

    ```mlir
    %y = graph.convolution %x, %w, … lhs_dilation = [2] …      →  %e = graph.slice %w … step 2; %o = …
         : tensor<1x8x16xf32>, tensor<4x16x32xf32>                %y0 = graph.convolution %x, %e … lhs_dilation = [1]
                                                                  %y1 = graph.convolution %x, %o … lhs_dilation = [1]
                                                                  %y = … %y0 and %y1 in turn
    ```

    With a dilation of s, the outputs at positions r, r + s, r + 2s … meet only every s-th element of the kernel: an
    ordinary convolution for each r (Shi et al. 2016, sub-pixel convolution). Where all of them read the same part of
    the input (the kernel is as long as the dilation), they are one convolution with s times the features, which are
    then moved to their positions. Where only one r meets the kernel (a kernel of size 1), zeros go between its results.

    Axes that are dilated and strided, and kernels of unknown size, stay as they are.
    """

    name = "split-transposed-convolutions"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"transposed-convolutions-split"})
    counters: ClassVar[Mapping[str, str]] = {"convolutions": "transposed convolutions written as ordinary ones"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        for function in graph_functions(op):
            found = [inner for inner in function.walk() if isinstance(inner, ConvolutionOp) and _is_dilated(inner)]
            if not found:
                continue
            analysis = ShapeAnalysis(function)
            for convolution in found:
                plan = _plan(convolution)
                if plan is not None:
                    _Split(convolution, plan, analysis, resources).run()
                    self.count("convolutions")


def _is_dilated(op: ConvolutionOp) -> bool:
    return any(step > 1 for step in op.lhs_dilation.get_values())


# ---- what is computed where


@dataclass(frozen=True)
class Phase:
    """The outputs at positions r, r + s …: from every s-th of the kernel's elements, `start` the first of them.

    The input gets `low` and `high` elements more, or fewer where they are negative.
    """

    start: int
    taps: int
    low: int
    high: int


@dataclass(frozen=True)
class Dilated:
    """One axis: its phases, and how its outputs are put together.

    `only`: the one phase that meets the kernel, where it is one. `rest`: how many positions too many the phases have
    together; for one phase alone, how many zeros follow its last result.
    """

    step: int
    phases: tuple[Phase, ...]
    rest: int
    only: int | None = None

    @property
    def is_uniform(self) -> bool:
        """Whether all phases read the same part of the input."""
        return all((phase.taps, phase.low) == (self.phases[0].taps, self.phases[0].low) for phase in self.phases)


def dilated_axis(step: int, window: int, low: int, high: int) -> Dilated | None:
    """How an axis with a dilation of `step` is split; None where some phases have nothing to compute.

    An input of n elements gives step · n + 2 - step + low + high - window outputs.
    """
    surplus = 2 - step + low + high - window
    starts = [(low - position) % step for position in range(step)]
    counts = [len(range(start, window, step)) for start in starts]
    present = [position for position, count in enumerate(counts) if count]
    only = present[0] if len(present) == 1 else None
    if only is None and len(present) < step:
        return None
    more = _quotient_up(surplus - (only or 0), step)
    phases: list[Phase] = []
    for position in present:
        before = (low - position - starts[position]) // step
        phases.append(Phase(starts[position], counts[position], before, more + counts[position] - 1 - before))
    rest = step * more - surplus
    return Dilated(step, tuple(phases), step - 1 - rest - only if only is not None else rest, only)


def _quotient_up(value: int, divisor: int) -> int:
    return -(-value // divisor)


def _plan(op: ConvolutionOp) -> dict[int, Dilated] | None:
    """The dilated axes by their number among the spatial axes; None where the convolution stays as it is."""
    source, kernel = shape_of_type(op.lhs.type), shape_of_type(op.rhs.type)
    padding = op.padding.get_values()
    plan: dict[int, Dilated] = {}
    parts = 1
    for number, step in enumerate(op.lhs_dilation.get_values()):
        if step == 1:
            continue
        window, size = kernel[op.kernel_order.spatial[number]], source[op.input_order.spatial[number]]
        strided = op.window_strides.get_values()[number] != 1 or op.rhs_dilation.get_values()[number] != 1
        if strided or window < 1 or size == 0:
            return None
        axis = dilated_axis(step, window, padding[2 * number], padding[2 * number + 1])
        if axis is None:
            return None
        plan[number] = axis
        parts *= len(axis.phases)
    return plan if parts <= MAX_PARTS or _is_joined(op, plan) else None


def _is_joined(op: ConvolutionOp, plan: Mapping[int, Dilated]) -> bool:
    """Whether one convolution with more features computes all phases."""
    return op.feature_group_count.value.data == 1 and all(axis.is_uniform for axis in plan.values())


# ---- rewriting


class _Split:
    """One transposed convolution and the ops that take its place."""

    def __init__(
        self, op: ConvolutionOp, plan: Mapping[int, Dilated], analysis: ShapeAnalysis, resources: ResourceStore
    ):
        self.op = op
        self.plan = plan
        self.several = {number: axis for number, axis in plan.items() if axis.only is None}
        self.builder = GraphBuilder(InsertPoint.before(op), resources, op.location)
        for operand in op.operands:
            self.builder.declare(operand, analysis.of(operand))

    def run(self) -> None:
        """Replace the op."""
        op = self.op
        order = op.output_order
        choices = [dict(zip(self.plan, chosen, strict=True)) for chosen in self._phases()]
        if len(choices) > 1 and _is_joined(op, self.plan):
            weights = [self._weights(phases) for phases in choices]
            joined = self.builder.concatenate(weights, op.kernel_order.first)
            result = self._from_features(self._convolution(joined, choices[0]))
        else:
            parts = [self._convolution(self._weights(phases), phases) for phases in choices]
            result = self._in_turn(parts)
        limits = [TO_THE_END] * len(order.permutation)
        for number, axis in self.several.items():
            limits[order.spatial[number]] = -axis.rest or TO_THE_END
        if any(limit != TO_THE_END for limit in limits):
            result = self.builder.slice(result, [0] * len(limits), limits)
        result = self._between_zeros(result)
        if result.type != op.result.type:
            result = Rewriter.replace_value_with_new_type(result, op.result.type)
        result.name_hint = result.name_hint or op.result.name_hint
        op.result.replace_all_uses_with(result)
        Rewriter.erase_op(op)

    def _phases(self) -> list[tuple[Phase, ...]]:
        return list(product(*(axis.phases for axis in self.plan.values())))

    def _weights(self, phases: Mapping[int, Phase]) -> SSAValue:
        """Every s-th element of the kernel."""
        rank = len(self.op.kernel_order.permutation)
        starts, steps = [0] * rank, [1] * rank
        for number, phase in phases.items():
            place = self.op.kernel_order.spatial[number]
            starts[place], steps[place] = phase.start, self.plan[number].step
        return self.builder.slice(self.op.rhs, starts, [TO_THE_END] * rank, steps)

    def _convolution(self, weights: SSAValue, phases: Mapping[int, Phase]) -> SSAValue:
        """The outputs of one phase along every axis, or of all in the features."""
        op, b = self.op, self.builder
        padding = list(op.padding.get_values())
        rank = len(op.input_order.permutation)
        starts, limits = [0] * rank, [TO_THE_END] * rank
        for number, phase in phases.items():
            place = op.input_order.spatial[number]
            padding[2 * number], padding[2 * number + 1] = max(phase.low, 0), max(phase.high, 0)
            starts[place] = max(-phase.low, 0)
            limits[place] = phase.high if phase.high < 0 else TO_THE_END
        source = op.lhs
        if any(starts) or any(limit < 0 for limit in limits):
            source = b.slice(source, starts, limits)
        return b.create(
            ConvolutionOp,
            (source, weights),
            window_strides=op.window_strides.get_values(),
            padding=padding,
            lhs_dilation=[1] * len(op.lhs_dilation.get_values()),
            rhs_dilation=op.rhs_dilation.get_values(),
            feature_group_count=op.feature_group_count.value.data,
            **axis_properties(op.input_order, op.kernel_order, op.output_order),
        )

    def _from_features(self, wide: SSAValue) -> SSAValue:
        """Features (phases, features) → the phases behind the axes to which they belong."""
        b, order = self.builder, self.op.output_order
        steps = [axis.step for axis in self.several.values()]
        shape = b.shape(wide)
        features = shape[order.second]
        count = features // prod(steps) if isinstance(features, int) else -1
        apart = list[Dim]((*shape[: order.second], *steps, count, *shape[order.second + 1 :]))
        split = self._reshaped(wide, apart, wide)
        moved: list[int] = []
        for axis in range(len(shape)):
            moved.append(axis if axis < order.second else axis + len(steps))
            for index, number in enumerate(self.several):
                if axis == order.spatial[number]:
                    moved.append(order.second + index)
        return self._merged(b.transpose(split, moved), wide, features=count)

    def _in_turn(self, parts: Sequence[SSAValue]) -> SSAValue:
        """Results of all phases, the last axis's running fastest, along one new axis behind each."""
        b, order = self.builder, self.op.output_order
        if not self.several:
            return parts[0]
        shape = list(b.shape(parts[0]))
        apart: list[Dim] = []
        place: dict[int, int] = {}
        for axis, size in enumerate(shape):
            apart.append(size)
            number = next((number for number in self.several if order.spatial[number] == axis), None)
            if number is not None:
                place[number] = len(apart)
                apart.append(1)
        values = [self._reshaped(part, apart, parts[0]) for part in parts]
        for number in reversed(self.several):
            step = self.several[number].step
            values = [
                b.concatenate(values[start : start + step], place[number]) for start in range(0, len(values), step)
            ]
        return self._merged(values[0], parts[0])

    def _merged(self, value: SSAValue, source: SSAValue, features: int | None = None) -> SSAValue:
        """Each dilated axis and its phases as one axis; `source` has the axes as they were."""
        order = self.op.output_order
        steps = {order.spatial[number]: axis.step for number, axis in self.several.items()}
        merged = [size * steps.get(axis, 1) for axis, size in enumerate(self.builder.shape(source))]
        if features is not None:
            merged[order.second] = features
        return self._reshaped(value, merged, source)

    def _between_zeros(self, value: SSAValue) -> SSAValue:
        """Axes of which one phase meets the kernel: zeros for the others."""
        alone = {number: axis for number, axis in self.plan.items() if axis.only is not None}
        if not alone:
            return value
        b, order = self.builder, self.op.output_order
        low, high, interior = ([0] * b.rank(value) for _ in range(3))
        for number, axis in alone.items():
            place = order.spatial[number]
            low[place], high[place], interior[place] = axis.only or 0, axis.rest, axis.step - 1
        zero = b.constant(0, tensor_type(self.op.result.type).get_element_type())
        return b.pad(value, zero, low, high, interior)

    def _reshaped(self, value: SSAValue, shape: Sequence[Dim], source: SSAValue) -> SSAValue:
        """Reshape to sizes that are those of `source`, or multiples of them."""
        b = self.builder
        unknown = [size for size in shape if not isinstance(size, int)]
        if len(unknown) <= 1 and 0 not in shape:
            return b.reshape(value, [size if isinstance(size, int) else -1 for size in shape])
        known: dict[Dim, SSAValue] = {}
        for axis, size in enumerate(b.shape(source)):
            if isinstance(size, int):
                continue
            scalar = b.dimension(source, axis)
            known[size] = scalar
            known |= {size * step: b.multiply(scalar, step) for step in {axis.step for axis in self.several.values()}}
        return b.dynamic_reshape(value, b.sizes(shape, known))
