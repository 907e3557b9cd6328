"""Matrix products with NumPy's broadcasting."""

from __future__ import annotations

from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim
from lamina.frontends.python import shapes
from lamina.frontends.python.tracer import Operand, Traced, active_tracer, operation, plains


@operation
def matmul(x: Operand, y: Operand) -> Traced:
    """The matrix product of the last two axes; axes before them broadcast, a vector is a row or a column.

    Sums of f16 and bf16 are formed in f32.
    """
    builder = active_tracer().builder
    left, right = builder.values(*plains((x, y)))
    if not builder.rank(left) or not builder.rank(right):
        raise LaminaError("matmul: expected at least one axis, found a scalar")
    is_row, is_column = builder.rank(left) == 1, builder.rank(right) == 1
    if is_row:
        left = shapes.reshape(left, (1, *builder.shape(left)))
    if is_column:
        right = shapes.reshape(right, (*builder.shape(right), 1))
    product = _broadcasting(left, right)
    rank = builder.rank(product)
    return Traced(shapes.without_axes(product, [rank - 2] * is_row + [rank - 1] * is_column))


def _broadcasting(left: SSAValue, right: SSAValue) -> SSAValue:
    """One dot_general: axes that only one operand has, or in which the other is 1, are free there."""
    builder = active_tracer().builder
    count = max(builder.rank(left), builder.rank(right)) - 2
    # Per axis of the result before the last two: the operand's axis, None where it has none or stretches.
    left_axes, left_sizes = _stretching(left, count)
    right_axes, right_sizes = _stretching(right, count)
    left = shapes.without_axes(left, [axis for axis, size in enumerate(left_sizes) if size == 1])
    right = shapes.without_axes(right, [axis for axis, size in enumerate(right_sizes) if size == 1])
    batch = [axis for axis in range(count) if left_axes[axis] is not None and right_axes[axis] is not None]
    left_batch = [axis for axis in (left_axes[i] for i in batch) if axis is not None]
    right_batch = [axis for axis in (right_axes[i] for i in batch) if axis is not None]
    product = builder.dot_general(
        left, right, (builder.rank(left) - 1,), (builder.rank(right) - 2,), left_batch, right_batch
    )
    left_free = [axis for axis in range(count) if left_axes[axis] is not None and axis not in batch]
    right_free = [axis for axis in range(count) if right_axes[axis] is not None and axis not in batch]
    order = [*batch, *left_free, count, *right_free, count + 1]
    permutation = sorted(range(len(order)), key=order.__getitem__)
    if permutation != list(range(len(order))):
        product = builder.transpose(product, permutation)
    sizes = dict(zip(sorted(order), builder.shape(product), strict=True))
    return shapes.reshape(product, [sizes.get(axis, 1) for axis in range(count + 2)])


def _stretching(value: SSAValue, count: int) -> tuple[list[int | None], list[Dim]]:
    """For each batch axis of the result the operand's axis once its axes of size 1 are gone; its batch sizes."""
    sizes = list(active_tracer().builder.shape(value)[:-2])
    axes: list[int | None] = [None] * (count - len(sizes))
    kept = 0
    for size in sizes:
        axes.append(None if size == 1 else kept)
        kept += size != 1
    return axes, sizes
