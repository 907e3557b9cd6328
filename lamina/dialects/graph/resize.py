"""`graph.resize`: resampling along axes, by neighbors or by weighted sums of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import DenseArrayBase, Float64Type, FloatAttr, StringAttr, UnitAttr, f64, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor, Array, InferenceError
from lamina.dialects.graph.composite import CompositeOp, check_element_kind
from lamina.dialects.graph.construction import check_axes, check_length, construct, flag
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.interpolation import COORDINATES, MODES, ROUNDINGS, Sampling, Taps, result_size, taps_of
from lamina.dialects.graph.properties import INTEGERS, TENSOR, Keyword, integers
from lamina.dialects.graph.types import FLOAT

if TYPE_CHECKING:
    from lamina.dialects.graph.builder import GraphBuilder

MOST_TAPS = 8
"""Sums of more elements than this are contractions with a matrix of weights."""

SIZE_FREE_COORDINATES = frozenset(("half_pixel", "pytorch_half_pixel", "asymmetric", "tf_half_pixel_for_nn"))
"""Coordinate transformations that do not depend on the sizes of the axis."""


STATIC_COORDINATES = frozenset(("tf_crop_and_resize", "half_pixel_symmetric"))
"""Coordinate transformations that need a known size."""


def doubles(values: Sequence[float]) -> DenseArrayBase[Float64Type]:
    """`array<f64: …>`."""
    return DenseArrayBase.from_list(f64, [float(value) for value in values])


def rational(scale: float) -> Fraction | None:
    """The scale as p/q when ⌊size · scale⌋ = size · p // q for all sizes that occur, else None."""
    exact = Fraction(scale)
    if exact.denominator <= 64:
        return exact
    near = exact.limit_denominator(64)
    # A scale that is rounded down makes one element fewer of a multiple of q.
    return near if near <= exact <= near * (1 + Fraction(1, 10**6)) and near.numerator == 1 else None


def resized(size: Dim, scale: float) -> Dim | None:
    """⌊size · scale⌋; None for a symbolic size and a scale that is no simple fraction."""
    if isinstance(size, int):
        return result_size(size, scale)
    ratio = rational(scale)
    return None if ratio is None else size * ratio.numerator // ratio.denominator


@irdl_op_definition
class ResizeOp(CompositeOp):
    """Resampling along some axes, one after the other.

    Along an axis of size s in the operand and t in the result, element i of the result lies at a coordinate of the
    operand that depends on `coordinates` and the scale r:

    - half_pixel: (i + 1/2) / r - 1/2; pytorch_half_pixel: the same, -1/2 where s · r = 1; tf_half_pixel_for_nn:
      (i + 1/2) / r; asymmetric: i / r;
    - half_pixel_symmetric: half_pixel, moved so that the middles of both axes meet;
    - align_corners: i · (s - 1) / (s · r - 1);
    - tf_crop_and_resize: align_corners on the part of the axis that `roi` gives (starts, then ends, from 0 to 1); what
      lies outside the operand is `extrapolation_value`.

    nearest takes the element at the coordinate rounded as `rounding` says; linear weighs the two neighbors, cubic the
    four, with the parameter `cubic_coefficient`. Positions outside the axis are those of its ends, or, with
    `exclude_outside`, have no weight. `antialias` widens the filters where the axis gets shorter.

    Operand: for nearest any element type, else floats; sums are in f32 for f16 and bf16. Result: the operand's element
    type. Per axis in `dimensions` `sizes` holds the size of the result, -1 for ⌊s · r⌋, and `scales` r, 0 for t / s.

    Constraints:
    1. `dimensions` are distinct and within [0, rank); `sizes` and `scales` have an entry for each, `roi` two.
    2. `sizes` are at least -1, `scales` at least 0; not both are left open.
    3. An axis of symbolic size has a simple fraction as its scale (a denominator up to 64), and is not resampled with
       antialias, exclude_outside, tf_crop_and_resize or half_pixel_symmetric.
    4. An axis of size 0 stays one, and none becomes of size 0 from elements.

    ONNX Resize, Upsample; StableHLO has no counterpart.
    """

    name = "graph.resize"
    operand = operand_def(TENSOR)
    mode = prop_def(StringAttr)
    dimensions = prop_def(INTEGERS)
    sizes = prop_def(INTEGERS)
    scales = prop_def(DenseArrayBase.constr(f64))
    coordinates = prop_def(StringAttr)
    rounding = prop_def(StringAttr)
    cubic_coefficient = prop_def(FloatAttr[Float64Type])
    exclude_outside = opt_prop_def(UnitAttr)
    antialias = opt_prop_def(UnitAttr)
    roi = opt_prop_def(DenseArrayBase.constr(f64))
    extrapolation_value = opt_prop_def(FloatAttr[Float64Type])
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "custom<Keyword>($mode) $operand `,` $dimensions `,` `sizes` `=` $sizes `,` `scales` `=` $scales `,` "
        "custom<Keyword>($coordinates) `,` custom<Keyword>($rounding) `,` "
        "`cubic_coefficient` `=` $cubic_coefficient (`exclude_outside` $exclude_outside^)? (`antialias` $antialias^)? "
        "(`roi` `=` $roi^)? (`extrapolation_value` `=` $extrapolation_value^)? attr-dict "
        "`:` type($operand) `->` type($result)"
    )
    custom_directives = (Keyword,)

    def __init__(
        self,
        operand: SSAValue | Operation,
        mode: str,
        dimensions: Sequence[int],
        sizes: Sequence[int],
        scales: Sequence[float],
        coordinates: str = "half_pixel",
        rounding: str = "round_prefer_floor",
        cubic_coefficient: float = -0.75,
        exclude_outside: bool = False,
        antialias: bool = False,
        roi: Sequence[float] | None = None,
        extrapolation_value: float | None = None,
    ):
        properties: dict[str, Attribute | None] = {
            "mode": StringAttr(mode),
            "dimensions": integers(dimensions),
            "sizes": integers(sizes),
            "scales": doubles(scales),
            "coordinates": StringAttr(coordinates),
            "rounding": StringAttr(rounding),
            "cubic_coefficient": FloatAttr(cubic_coefficient, f64),
            "exclude_outside": flag(exclude_outside),
            "antialias": flag(antialias),
            "roi": None if roi is None else doubles(roi),
            "extrapolation_value": None if extrapolation_value is None else FloatAttr(extrapolation_value, f64),
        }
        construct(self, (operand,), properties)

    # ---- types

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        self._check_properties(len(operand.shape))
        if self.mode.data != "nearest":
            check_element_kind(self.name, "operand", FLOAT, operand.element_type)
        shape = list(operand.shape)
        for index, axis in enumerate(self.dimensions.get_values()):
            shape[axis] = self._result_size(index, shape[axis])
        return (AbstractTensor(tuple(shape), operand.element_type),)

    def _check_properties(self, rank: int) -> None:
        for what, word, known in (
            ("mode", self.mode, MODES),
            ("coordinates", self.coordinates, COORDINATES),
            ("rounding", self.rounding, ROUNDINGS),
        ):
            if word.data not in known:
                raise InferenceError(f"{self.name}: {what}: expected one of {', '.join(known)}, found {word.data}")
        dimensions, sizes, scales = self.dimensions.get_values(), self.sizes.get_values(), self.scales.get_values()
        check_axes(self.name, "dimensions", dimensions, rank)
        check_length(self.name, "sizes", sizes, len(dimensions))
        check_length(self.name, "scales", scales, len(dimensions))
        if self.roi is not None:
            check_length(self.name, "roi", self.roi.get_values(), 2 * len(dimensions))
        for size, scale in zip(sizes, scales, strict=True):
            if size < -1 or not 0 <= scale < np.inf or (size == -1 and scale == 0):
                raise InferenceError(
                    f"{self.name}: sizes, scales: expected a size of at least 0 or a positive scale, "
                    f"found {size} and {scale}"
                )

    def _result_size(self, index: int, size: Dim) -> Dim:
        given, scale = self.sizes.get_values()[index], self.scales.get_values()[index]
        found: Dim | None = given if given >= 0 else resized(size, scale)
        if found is None:
            raise InferenceError(f"{self.name}: scales: a symbolic size needs a simple fraction, found {scale}")
        if not isinstance(size, int) and not self._is_unchanged(index):
            filtered = self.antialias is not None or self.exclude_outside is not None
            if filtered or self.coordinates.data in STATIC_COORDINATES:
                raise InferenceError(f"{self.name}: this form of resampling needs a known size, found {size}")
        if size == 0 != found or (found == 0 != size and isinstance(size, int)):
            raise InferenceError(f"{self.name}: cannot resample {size} elements as {found}")
        return found

    def _is_unchanged(self, index: int) -> bool:
        """Whether an axis keeps its elements whatever its size."""
        whole = self.coordinates.data != "tf_crop_and_resize" and self.coordinates.data != "tf_half_pixel_for_nn"
        return whole and self.sizes.get_values()[index] == -1 and self.scales.get_values()[index] == 1

    def _sampling(self, index: int, size: int, length: int) -> Sampling:
        scale = float(self.scales.get_values()[index]) or length / size
        count = len(self.dimensions)
        roi = self.roi.get_values() if self.roi is not None else (0.0,) * count + (1.0,) * count
        return Sampling(
            self.mode.data,
            self.coordinates.data,
            self.rounding.data,
            scale,
            self.cubic_coefficient.value.data,
            self.exclude_outside is not None,
            self.antialias is not None,
            float(roi[index]),
            float(roi[count + index]),
        )

    @property
    def _extrapolation(self) -> float:
        return 0.0 if self.extrapolation_value is None else self.extrapolation_value.value.data

    # ---- values

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        x = operand if self.mode.data == "nearest" else operand.astype(np.float64)
        for index, axis in enumerate(self.dimensions.get_values()):
            length = self._result_size(index, x.shape[axis])
            assert isinstance(length, int)
            if length and not self._is_unchanged(index):
                taps = taps_of(self._sampling(index, x.shape[axis], length), x.shape[axis], length)
                x = self._apply(x, axis, taps)
        with np.errstate(over="ignore"):
            return x.astype(operand.dtype)

    def _apply(self, x: Array, axis: int, taps: Taps) -> Array:
        after = (1,) * (x.ndim - axis - 1)
        picked = [np.take(x, column, axis) for column in taps.positions.T]
        if self.mode.data == "nearest":
            result = picked[0]
        else:
            result = np.zeros(picked[0].shape)
            for part, column in zip(picked, taps.weights.T, strict=True):
                if column.any():
                    result = result + part * column.reshape(-1, *after)
        outside = taps.outside.reshape(-1, *after)
        return np.where(outside, np.asarray(self._extrapolation, x.dtype), result) if taps.outside.any() else result

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        nearest = self.mode.data == "nearest"
        x = self.operand if nearest else builder.widen(self.operand)
        repeated: dict[int, int] = {}
        for index, axis in self._in_order(builder):
            size = builder.shape(x)[axis]
            length = self._result_size(index, size)
            count = self._repeat_count(index, size, length)
            if self._is_unchanged(index) or size == 0:
                continue
            if count is not None:
                repeated[axis] = count
            elif isinstance(size, int) and isinstance(length, int):
                taps = taps_of(self._sampling(index, size, length), size, length)
                x = self._static_axis(builder, x, axis, taps)
            else:
                x = SymbolicAxis(builder, self, x, index, axis).resampled()
        x = repeat(builder, x, repeated)
        return (builder.cast(x, builder.element_type(self.operand)),)

    def _repeat_count(self, index: int, size: Dim, length: Dim | None) -> int | None:
        """n where the axis is n times each element."""
        if self.mode.data != "nearest":
            return None
        if isinstance(size, int) and isinstance(length, int):
            taps = taps_of(self._sampling(index, size, length), size, length)
            return None if taps.outside.any() or not size else repeat_count(taps.positions[:, 0], size)
        scale = float(self.scales.get_values()[index])
        open_ended = not isinstance(size, int) and self.sizes.get_values()[index] < 0
        if not open_ended or self.coordinates.data not in SIZE_FREE_COORDINATES:
            return None
        sample = 8
        taken = result_size(sample, scale)
        if not taken:
            return None
        sampling = replace(self._sampling(index, sample, taken), scale=scale)
        count = repeat_count(taps_of(sampling, sample, taken).positions[:, 0], sample)
        return count if count == scale else None

    def _in_order(self, builder: GraphBuilder) -> list[tuple[int, int]]:
        """The axes, those first that get shorter: what is left to do is less then."""

        def growth(item: tuple[int, int]) -> float:
            size = builder.shape(self.operand)[item[1]]
            length = self._result_size(item[0], size)
            known = isinstance(size, int) and isinstance(length, int) and size
            return length / size if known else float(self.scales.get_values()[item[0]])  # pyright: ignore

        return sorted(enumerate(self.dimensions.get_values()), key=growth)

    def _static_axis(self, builder: GraphBuilder, x: SSAValue, axis: int, taps: Taps) -> SSAValue:
        length, count = taps.positions.shape
        after = (1,) * (builder.rank(x) - axis - 1)
        if self.mode.data == "nearest":
            result = picked(builder, x, axis, taps.positions[:, 0])
        elif count > MOST_TAPS:
            result = self._contracted(builder, x, axis, taps)
        else:
            element_type = builder.element_type(x)
            terms = [
                builder.multiply(
                    builder.take(x, builder.constant(taps.positions[:, tap]), axis),
                    builder.constant(taps.weights[:, tap].reshape(length, *after), element_type),
                )
                for tap in range(count)
                if taps.weights[:, tap].any()
            ]
            result = terms[0]
            for term in terms[1:]:
                result = builder.add(result, term)
        if not taps.outside.any():
            return result
        outside = builder.constant(taps.outside.reshape(length, *after))
        return builder.select(outside, self._extrapolation, result)

    @staticmethod
    def _contracted(builder: GraphBuilder, x: SSAValue, axis: int, taps: Taps) -> SSAValue:
        """A matrix of weights times the axis."""
        size = builder.shape(x)[axis]
        length, count = taps.positions.shape
        assert isinstance(size, int)
        matrix = np.zeros((length, size))
        rows: npt.NDArray[np.int64] = np.arange(length, dtype=np.int64)
        for tap in range(count):
            matrix[rows, taps.positions[:, tap]] += taps.weights[:, tap]
        product = builder.dot_general(x, builder.constant(matrix.T.copy(), builder.element_type(x)), [axis], [0])
        rank = builder.rank(x)
        permutation = [*range(axis), rank - 1, *range(axis, rank - 1)]
        return product if permutation == list(range(rank)) else builder.transpose(product, permutation)


class SymbolicAxis:
    """Positions and weights along one axis as graph ops, in f64."""

    def __init__(self, builder: GraphBuilder, op: ResizeOp, x: SSAValue, index: int, axis: int):
        self.builder, self.op, self.x, self.axis = builder, op, x, axis
        given, scale = op.sizes.get_values()[index], float(op.scales.get_values()[index])
        count = builder.dimension(x, axis)
        self.last = builder.subtract(count, 1)
        self.size = builder.cast(count, f64)
        if given >= 0:
            length = builder.constant(given)
        else:
            ratio = rational(scale)
            assert ratio is not None
            length = count if ratio.numerator == 1 else builder.multiply(count, ratio.numerator)
            length = length if ratio.denominator == 1 else builder.divide(length, ratio.denominator)
        self.to = builder.dynamic_iota(f64, builder.reshape(length, [1]))
        self.scale = builder.constant(scale, f64) if scale else builder.divide(builder.cast(length, f64), self.size)

    def coordinates(self) -> SSAValue:
        """As `interpolation.source_coordinates`."""
        build, to = self.builder, self.to
        half = build.divide(build.add(to, 0.5), self.scale)
        width = build.multiply(self.scale, self.size)
        match self.op.coordinates.data:
            case "asymmetric":
                return build.divide(to, self.scale)
            case "tf_half_pixel_for_nn":
                return half
            case "align_corners":
                apart = build.divide(build.multiply(to, build.subtract(self.size, 1.0)), build.subtract(width, 1.0))
                return build.select(build.compare("EQ", width, 1.0), 0.0, apart)
            case "pytorch_half_pixel":
                return build.select(build.compare("EQ", width, 1.0), -0.5, build.subtract(half, 0.5))
            case _:
                return build.subtract(half, 0.5)

    def resampled(self) -> SSAValue:
        """The operand resampled along the axis."""
        build, at = self.builder, self.coordinates()
        if self.op.mode.data == "nearest":
            return self._taken(self._rounded(at))
        below = build.floor(at)
        fraction = build.subtract(at, below)
        reach = 1 if self.op.mode.data == "linear" else 2
        total: SSAValue | None = None
        after = [1] * (build.rank(self.x) - self.axis - 1)
        for offset in range(1 - reach, 1 + reach):
            distance = build.abs(build.subtract(fraction, float(offset)))
            weight = build.cast(self._weight(distance, offset in (0, 1)), build.element_type(self.x))
            weight = build.reshape(weight, [-1, *after]) if after else weight
            term = build.multiply(self._taken(build.add(below, float(offset))), weight)
            total = term if total is None else build.add(total, term)
        assert total is not None
        return total

    def _weight(self, distance: SSAValue, inner: bool) -> SSAValue:
        build, a = self.builder, self.op.cubic_coefficient.value.data
        if self.op.mode.data == "linear":
            return build.subtract(1.0, distance)
        if inner:
            factor = build.subtract(build.multiply(distance, a + 2), a + 3)
            return build.add(build.multiply(build.multiply(factor, distance), distance), 1.0)
        factor = build.add(build.multiply(build.subtract(distance, 5.0), distance), 8.0)
        return build.subtract(build.multiply(build.multiply(factor, distance), a), 4 * a)

    def _rounded(self, at: SSAValue) -> SSAValue:
        build = self.builder
        match self.op.rounding.data:
            case "floor":
                return build.floor(at)
            case "ceil":
                return build.ceil(at)
            case "round_prefer_floor":
                return build.ceil(build.subtract(at, 0.5))
            case _:
                return build.floor(build.add(at, 0.5))

    def _taken(self, positions: SSAValue) -> SSAValue:
        build = self.builder
        return build.take(self.x, build.clamp(0, build.cast(positions, i64), self.last), self.axis)


def picked(builder: GraphBuilder, x: SSAValue, axis: int, positions: np.ndarray) -> SSAValue:
    """The elements at constant positions of an axis: strided or gathered."""
    first, last = int(positions[0]), int(positions[-1])
    step = int(positions[1]) - first if len(positions) > 1 else 1
    if step > 0 and np.array_equal(positions, first + step * np.arange(len(positions))):
        rank = builder.rank(x)
        starts, limits, strides = [0] * rank, [np.iinfo(np.int32).max] * rank, [1] * rank
        starts[axis], limits[axis], strides[axis] = first, last + 1, step
        return builder.slice(x, starts, limits, strides)
    return builder.take(x, builder.constant(positions), axis)


def repeat_count(positions: np.ndarray, size: int) -> int | None:
    """n where every one of `size` elements is taken n times in a row."""
    count, rest = divmod(len(positions), size)
    if rest or not np.array_equal(positions, np.repeat(np.arange(size), count)):
        return None
    return count


def repeat(builder: GraphBuilder, x: SSAValue, counts: Mapping[int, int]) -> SSAValue:
    """Every element of some axes a number of times in a row: broadcast along new axes behind them."""
    counts = {axis: count for axis, count in counts.items() if count != 1}
    if not counts:
        return x
    shape = builder.shape(x)
    known: dict[Dim, SSAValue] = {
        size: builder.dimension(x, axis) for axis, size in enumerate(shape) if not isinstance(size, int)
    }
    apart: list[Dim] = []
    wide: list[int] = []
    merged: list[Dim] = []
    for axis, size in enumerate(shape):
        count = counts.get(axis)
        apart += [size] if count is None else [size, 1]
        wide += [-1] if count is None else [-1, count]
        merged.append(size if count is None else size * count)
        if count is not None and not isinstance(size, int):
            known[size * count] = builder.multiply(known[size], count)
    return _reshaped(builder, builder.broadcast(_reshaped(builder, x, apart, known), wide), merged, known)


def _reshaped(builder: GraphBuilder, x: SSAValue, shape: Sequence[Dim], known: dict[Dim, SSAValue]) -> SSAValue:
    """Reshape to sizes; at most one unknown one is left to the reshape."""
    unknown = [size for size in shape if not isinstance(size, int)]
    if len(unknown) <= 1 and 0 not in shape:
        return builder.reshape(x, [size if isinstance(size, int) else -1 for size in shape])
    return builder.dynamic_reshape(x, builder.sizes(shape, known))


RESIZE_OPS = (ResizeOp,)
