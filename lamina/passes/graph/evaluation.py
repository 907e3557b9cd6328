"""One op in NumPy, its results checked against its types: what constant folding and the reference target share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import Array, GraphOp
from lamina.dialects.graph.types import dtype_of


def evaluate_op(op: GraphOp, operands: Sequence[Array]) -> tuple[Array, ...]:
    """The results of one op without regions for given operands, checked against its types."""
    try:
        with np.errstate(all="ignore"):
            results = op.reference(*operands)
    except LaminaError:
        raise
    except Exception as error:
        raise LaminaError(f"{op.name}: cannot be evaluated: {error}", where=location_text(op.location)) from error
    arrays = results if isinstance(results, tuple) else (results,)
    return tuple(checked(value, array, op) for value, array in zip(op.results, arrays, strict=True))


def mismatch(type_: Attribute, array: Array) -> str | None:
    """How an array differs from a tensor type, None when it fits."""
    if not isinstance(type_, TensorType):
        return f"expected a value of type {type_}"
    tensor = cast(TensorType[Attribute], type_)
    shape = tensor.get_shape()
    dtype = dtype_of(tensor.get_element_type())
    fits = len(shape) == array.ndim and all(
        size in (DYNAMIC_INDEX, actual) for size, actual in zip(shape, array.shape, strict=True)
    )
    if fits and array.dtype == dtype:
        return None
    return f"expected {type_}, found an array of shape {array.shape} and dtype {array.dtype}"


def checked(value: SSAValue, array: Array, op: Operation) -> Array:
    """`array` when it fits the type of `value`; raises LaminaError naming the op otherwise."""
    array = np.asarray(array)
    problem = mismatch(value.type, array)
    if problem is not None:
        raise LaminaError(f"{op.name}: {problem}", where=location_text(op.location))
    return array
