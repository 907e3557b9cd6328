"""Fourier transforms: products with matrices of cosines and sines, in two steps where a length has factors.

Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.types import dtype_of
from lamina.frontends.onnx.builder import FIX_DIMS, OnnxBuilder
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode

LONGEST_MATRIX = 4096
"""A transform of a length without factors is a matrix product up to this length."""
DIRECT = 128
"""Up to this length one matrix product is as fast as two steps."""

Complexes = npt.NDArray[np.complex128]


@dataclass(frozen=True)
class Complex:
    """A complex tensor in two parts; without an imaginary one it is real."""

    real: SSAValue
    imaginary: SSAValue | None


def dft(node: Node, build: OnnxBuilder) -> SSAValue:
    """Along one axis; the last axis has the real and the imaginary part, or only the real one."""
    value = node.operand(0)
    rank = build.rank(value)
    given = node.optional(2) if node.version >= 20 else None
    axis = node.integer("axis", 1 if node.version < 20 else -2)
    if given is not None:
        (axis,) = build.require_integers(given, "the axis of a transform")
    axis = build.axis(value, axis)
    inverse, onesided = node.flag("inverse"), node.flag("onesided")
    size = build.shape(value)[axis]
    if not isinstance(size, int):
        raise UnsupportedNode("a transform along an axis of unknown length is not built yet", hints=(FIX_DIMS,))
    length = 2 * (size - 1) if inverse and onesided else size
    if node.optional(1) is not None:
        (length,) = build.require_integers(node.operand(1), "the length of a transform")
    if length < 1 or axis == rank - 1:
        raise LaminaError(f"DFT: a transform of length {length} along axis {axis}")
    order = [other for other in range(rank - 1) if other != axis] + [axis]
    parts = _parts(build, value, order)
    if onesided and (parts.imaginary is None) == inverse:
        expected = "inverse transforms of complex" if inverse else "transforms of real"
        raise LaminaError(f"DFT: onesided is for {expected} inputs")
    parts = _mapped(parts, lambda part: _fitted(build, part, length // 2 + 1 if inverse and onesided else length))
    if inverse and onesided:
        parts = _hermitian(build, parts, length)
    result = transform(build, parts, length, 1 if inverse else -1)
    if inverse:
        result = _mapped(result, lambda part: build.multiply(part, 1 / length))
    back = [order.index(axis) for axis in range(rank - 1)]
    if inverse and onesided:
        return _joined(build, [build.transposed(result.real, back)])
    if onesided:
        result = _mapped(result, lambda part: build.slice_axis(part, rank - 2, 0, length // 2 + 1))
    both = [result.real, result.imaginary if result.imaginary is not None else build.multiply(result.real, 0)]
    return _joined(build, [build.transposed(part, back) for part in both])


def _mapped(value: Complex, function: Callable[[SSAValue], SSAValue]) -> Complex:
    return Complex(function(value.real), None if value.imaginary is None else function(value.imaginary))


def _parts(build: OnnxBuilder, value: SSAValue, order: Sequence[int]) -> Complex:
    last = build.rank(value) - 1
    count = build.shape(value)[last]
    if not isinstance(count, int) or count not in (1, 2):
        raise LaminaError(f"the last axis has the real and the imaginary part, found {count} elements")
    sizes = build.sizes_of(value)[:last]
    parts = [
        build.transposed(build.reshape_to(build.slice_axis(value, last, part, part + 1), sizes), order)
        for part in range(count)
    ]
    return Complex(parts[0], parts[1] if count == 2 else None)


def _joined(build: OnnxBuilder, parts: Sequence[SSAValue]) -> SSAValue:
    sizes = build.sizes_of(parts[0])
    columns = [build.reshape_to(part, [*sizes, 1]) for part in parts]
    return columns[0] if len(columns) == 1 else build.concatenate(columns, len(sizes))


def _fitted(build: OnnxBuilder, value: SSAValue, length: int) -> SSAValue:
    """The last axis cut or filled with zeros to `length`."""
    axis = build.rank(value) - 1
    size = build.shape(value)[axis]
    if size == length:
        return value
    if isinstance(size, int) and size > length:
        return build.slice_axis(value, axis, 0, length)
    missing = [0] * axis + [length - size if isinstance(size, int) else 0]
    return build.pad(value, build.constant(0, build.element_type(value)), [0] * (axis + 1), missing)


def _hermitian(build: OnnxBuilder, value: Complex, length: int) -> Complex:
    """The whole spectrum of a real signal from its first half."""
    axis = build.rank(value.real) - 1
    first, last = 1, (length + 1) // 2

    def whole(part: SSAValue, sign: int) -> SSAValue:
        mirrored = build.reverse(build.slice_axis(part, axis, first, last), (axis,))
        return build.concatenate([part, mirrored if sign > 0 else build.negate(mirrored)], axis)

    def without(part: SSAValue, index: int) -> SSAValue:
        keep = np.ones(length // 2 + 1, dtype_of(build.element_type(part)))
        keep[index] = 0
        return build.multiply(part, build.constant(keep))

    if value.imaginary is None:
        return Complex(whole(value.real, 1), None)
    # What a real signal cannot have is left out.
    imaginary = without(value.imaginary, 0)
    imaginary = imaginary if length % 2 else without(imaginary, length // 2)
    return Complex(whole(value.real, 1), whole(imaginary, -1))


def roots(rows: int, columns: int, length: int, sign: int) -> Complexes:
    """exp(sign · 2πi · row · column / length), the angle reduced exactly."""
    steps = np.outer(np.arange(rows, dtype=np.int64), np.arange(columns, dtype=np.int64)) % length
    return np.exp(sign * 2j * np.pi * steps / length)


def transform(build: OnnxBuilder, value: Complex, length: int, sign: int) -> Complex:
    """Along the last axis, which has that length."""
    factor = _factor(length)
    if factor is None:
        if length > LONGEST_MATRIX:
            raise UnsupportedNode(f"a transform of the prime length {length} is not built yet")
        return _product(build, value, roots(length, length, length, sign))
    # j = j1 · inner + j2 and k = k1 + outer · k2: transforms over j1, a rotation, transforms over j2.
    outer, inner = factor, length // factor
    sizes = build.sizes_of(value.real)[:-1]
    rank = len(sizes)
    swap = [*range(rank), rank + 1, rank]
    value = _mapped(value, lambda part: build.transpose(build.reshape_to(part, [*sizes, outer, inner]), swap))
    value = transform(build, value, outer, sign)
    value = _rotated(build, value, roots(inner, outer, length, sign))
    value = _mapped(value, lambda part: build.transpose(part, swap))
    value = transform(build, value, inner, sign)
    return _mapped(value, lambda part: build.reshape_to(build.transpose(part, swap), [*sizes, length]))


def _factor(length: int) -> int | None:
    """The largest factor up to the root; None where one step will do."""
    if length <= DIRECT:
        return None
    return next((factor for factor in range(math.isqrt(length), 1, -1) if length % factor == 0), None)


def _constants(build: OnnxBuilder, like: SSAValue, matrix: Complexes) -> tuple[SSAValue, SSAValue]:
    dtype = dtype_of(build.element_type(like))
    return build.constant(matrix.real.astype(dtype)), build.constant(matrix.imag.astype(dtype))


def _product(build: OnnxBuilder, value: Complex, matrix: Complexes) -> Complex:
    cosines, sines = _constants(build, value.real, matrix)
    axis = build.rank(value.real) - 1

    def times(part: SSAValue, factor: SSAValue) -> SSAValue:
        return build.dot_general(part, factor, (axis,), (0,))

    real, imaginary = times(value.real, cosines), times(value.real, sines)
    if value.imaginary is not None:
        real = build.subtract(real, times(value.imaginary, sines))
        imaginary = build.add(imaginary, times(value.imaginary, cosines))
    return Complex(real, imaginary)


def _rotated(build: OnnxBuilder, value: Complex, matrix: Complexes) -> Complex:
    cosines, sines = _constants(build, value.real, matrix)
    if value.imaginary is None:
        return Complex(build.multiply(value.real, cosines), build.multiply(value.real, sines))
    real = build.subtract(build.multiply(value.real, cosines), build.multiply(value.imaginary, sines))
    imaginary = build.add(build.multiply(value.real, sines), build.multiply(value.imaginary, cosines))
    return Complex(real, imaginary)


def stft(node: Node, build: OnnxBuilder) -> SSAValue:
    """Transforms of overlapping windows: a convolution with the windowed cosines and sines."""
    signal = node.operand(0)
    (step,) = build.require_integers(node.operand(1), "the step of the windows")
    window, given = node.optional(2), node.optional(3)
    if given is not None:
        (length,) = build.require_integers(given, "the length of the windows")
    elif window is not None:
        (length,) = build.static_shape(window, "the length of the windows")
    else:
        raise LaminaError("STFT needs a window or its length")
    if step < 1 or length < 1:
        raise LaminaError(f"STFT: windows of length {length} every {step} elements")
    if length > LONGEST_MATRIX:
        raise UnsupportedNode(f"windows of more than {LONGEST_MATRIX} elements are not built yet")
    rank = build.rank(signal)
    parts = Complex(signal, None) if rank == 2 else _parts(build, signal, (0, 1))
    count = length // 2 + 1 if node.integer("onesided", 1) else length
    matrix = roots(count, length, length, -1)
    cosines, sines = (_windowed(build, part, window) for part in _constants(build, parts.real, matrix))
    batch = build.size(signal, 0)

    def over(part: SSAValue, basis: SSAValue) -> SSAValue:
        return build.convolution(build.reshape_to(part, [batch, 1, build.size(part, 1)]), basis, (step,))

    real, imaginary = over(parts.real, cosines), over(parts.real, sines)
    if parts.imaginary is not None:
        real = build.subtract(real, over(parts.imaginary, sines))
        imaginary = build.add(imaginary, over(parts.imaginary, cosines))
    return _joined(build, [build.transpose(part, (0, 2, 1)) for part in (real, imaginary)])


def _windowed(build: OnnxBuilder, basis: SSAValue, window: SSAValue | None) -> SSAValue:
    """[frequencies, length] -> a kernel [frequencies, 1, length], times the window."""
    count, length = build.static_shape(basis)
    if window is not None:
        if build.shape(window) != (length,):
            raise LaminaError(f"STFT: expected a window of {length} elements")
        basis = build.multiply(basis, window)
    return build.reshape_to(basis, [count, 1, length])


SPECTRA: Mapping[str, Versions] = {"DFT": {17: dft}, "STFT": {17: stft}}
