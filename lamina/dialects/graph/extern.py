"""Library calls: ops whose kernel is a C function or a Python callable that somebody else wrote."""

from __future__ import annotations

import ctypes
from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import DYNAMIC_INDEX, MemRefType, TensorType
from xdsl.ir import Attribute
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor, Array, Differentiability, GraphOp
from lamina.dialects.graph.types import dtype_of, element_type_of

Tensor: TypeAlias = TensorType[Attribute]


@dataclass(frozen=True)
class CFunction:
    """A C function over buffers: `void f(const T0 *, int64_t…, …)`, inputs first, then outputs.

    `pointer` is a function of a `ctypes` library (or any ctypes function pointer); whatever holds its code must stay
    alive with it. `types` are the buffers as upstream MLIR writes them, such as `memref<?x4xf32>`: row-major and
    contiguous, an `i64` argument after the pointer for every `?`. A result of the function is ignored.
    """

    pointer: Any
    types: tuple[str, ...]

    @property
    def address(self) -> int:
        """Where the code is."""
        return ctypes.cast(self.pointer, ctypes.c_void_p).value or 0

    def tensor_types(self) -> list[Tensor]:
        """`types`, as tensors; raises LaminaError for text that is no memref type."""
        return [_tensor_type(text) for text in self.types]

    def call(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Call the function on contiguous arrays; raises LaminaError for arrays of other types than it takes."""
        arguments: list[int] = []
        kinds: list[Any] = []
        for array, type_ in zip((*inputs, *outputs), self.tensor_types(), strict=True):
            shape = type_.get_shape()
            fits = len(shape) == array.ndim and all(
                size in (DYNAMIC_INDEX, actual) for size, actual in zip(shape, array.shape, strict=True)
            )
            if not fits or dtype_of(type_.get_element_type()) != array.dtype:
                raise LaminaError(f"expected {type_}, found an array of shape {array.shape} and dtype {array.dtype}")
            sizes = [actual for size, actual in zip(shape, array.shape, strict=True) if size == DYNAMIC_INDEX]
            arguments += [array.ctypes.data, *sizes]
            kinds += [ctypes.c_void_p, *[ctypes.c_int64] * len(sizes)]
        ctypes.CFUNCTYPE(None, *kinds)(self.address)(*arguments)


@dataclass(frozen=True)
class PythonFunction:
    """A Python callable over NumPy arrays: `function(*inputs)` gives one array, or a tuple of one per result.

    The inputs are read-only views of the compiled model's buffers, valid during the call; what is returned is copied.
    An exception that it raises ends the model's call with a LaminaError.
    """

    function: Callable[..., Any]

    def call(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Call the function; raises LaminaError where its results are not what the shape rule says."""
        views = [array.view() for array in inputs]
        for view in views:
            view.flags.writeable = False
        results: Any = self.function(*views)
        arrays: tuple[Any, ...] = cast("tuple[Any, ...]", results) if isinstance(results, tuple) else (results,)
        if len(arrays) != len(outputs):
            raise LaminaError(f"expected {len(outputs)} results, found {len(arrays)}")
        for index, (output, result) in enumerate(zip(outputs, arrays, strict=True)):
            array = np.asarray(result)
            if array.shape != output.shape or array.dtype != output.dtype:
                raise LaminaError(
                    f"result {index}: expected {output.dtype}{list(output.shape)}, found {array.dtype}"
                    f"{list(array.shape)}"
                )
            output[...] = array


class ExternOp(GraphOp, ABC):
    """An op computed by a function from outside; `infer` is its shape rule, from which the results are allocated.

    The sizes of the results have to follow from those of the operands. The function sees the operands' elements and
    sizes and nothing else: such an op has no properties and no regions. One call of a model makes its library calls
    one at a time, in the order of the text; several threads may call one model. Without the trait `Pure` the call is
    made even where nothing reads the results; with it, also while the model is compiled, when the operands are
    constants.
    """

    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.OPAQUE
    FUNCTION: ClassVar[CFunction | PythonFunction]

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        known = [AbstractTensor(array.shape, element_type_of(array.dtype)) for array in operands]
        results: list[Array] = [
            np.zeros([int(str(size)) for size in result.shape], dtype_of(result.element_type))
            for result in self.infer(known)
        ]
        self.FUNCTION.call([np.ascontiguousarray(array).reshape(array.shape) for array in operands], results)
        return tuple(results)


def _tensor_type(text: str) -> Tensor:
    try:
        type_ = Parser(Context(), text).parse_type()
    except ParseError as error:
        raise LaminaError(f"'{text}' is no type: {error.msg}") from None
    if not isinstance(type_, MemRefType):
        raise LaminaError(f"expected a type such as memref<?xf32>, found '{text}'")
    buffer = cast("MemRefType[Attribute]", type_)
    return TensorType(buffer.get_element_type(), buffer.get_shape())
