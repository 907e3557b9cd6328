"""Library calls of a compiled model: the addresses that its code is linked with."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lamina.artefact import DTYPES, ExternInfo
from lamina.diagnostics import LaminaError
from lamina.plugins import Plugin

if TYPE_CHECKING:
    from lamina.dialects.graph.extern import CFunction, ExternOp, PythonFunction

# The dialect is imported where it is used: a model without library calls starts without it.

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Failure:
    """What went wrong in a Python callable."""

    op: str
    error: BaseException


class ExternLinks:
    """The functions that one executable calls; must live as long as its code.

    Raises LaminaError for an op of which no plugin has the definition.
    """

    def __init__(self, externs: Sequence[ExternInfo], plugins: Sequence[Plugin]):
        known = _extern_ops(plugins if externs else ())
        self._failed = threading.local()
        self._callbacks: list[Any] = []
        self.addresses: dict[str, int] = {}
        for info in externs:
            op = known.get(info.op)
            if op is None:
                raise LaminaError(
                    f"the model calls '{info.op}', which no plugin defines", hints=("give its plugin when loading it",)
                )
            self.addresses[info.symbol] = self._address(info, op.FUNCTION)

    def take_failure(self) -> Failure | None:
        """The first exception of a Python callable in this thread since the last question."""
        found = getattr(self._failed, "failure", None)
        self._failed.failure = None
        return found

    def _address(self, info: ExternInfo, function: CFunction | PythonFunction) -> int:
        from lamina.dialects.graph.extern import CFunction

        if isinstance(function, CFunction):
            return function.address
        buffers = [_parse_buffer(text) for text in info.buffers]
        kinds = [kind for _, rank in buffers for kind in (ctypes.c_void_p, *[ctypes.c_int64] * rank)]
        callback = ctypes.CFUNCTYPE(None, *kinds)(self._callback(info, buffers, function))
        self._callbacks.append(callback)
        return ctypes.cast(callback, ctypes.c_void_p).value or 0

    def _callback(
        self, info: ExternInfo, buffers: Sequence[tuple[np.dtype[Any], int]], function: PythonFunction
    ) -> Callable[..., None]:
        def call(*arguments: int | None) -> None:
            arrays = _arrays(arguments, buffers)
            first_output = len(arrays) - info.results
            inputs, outputs = arrays[:first_output], arrays[first_output:]
            try:
                if getattr(self._failed, "failure", None) is None:
                    function.call(inputs, outputs)
                    return
            except BaseException as error:  # a Ctrl-C too: nothing can pass through machine code
                self._failed.failure = Failure(info.op, error)
            # The rest of the model still runs: on zeros, not on whatever the memory held.
            for output in outputs:
                output[...] = np.zeros((), output.dtype)

        return call


def _extern_ops(plugins: Sequence[Plugin]) -> Mapping[str, type[ExternOp]]:
    if not plugins:
        return {}
    from lamina.dialects.graph.extern import ExternOp

    dialects = [factory() for plugin in plugins for factory in plugin.dialects.values()]
    return {op.name: op for dialect in dialects for op in dialect.operations if issubclass(op, ExternOp)}


def _parse_buffer(text: str) -> tuple[np.dtype[Any], int]:
    name, _, rank = text.rpartition("x")
    return DTYPES[name], int(rank)


def _arrays(arguments: Sequence[int | None], buffers: Sequence[tuple[np.dtype[Any], int]]) -> list[Array]:
    """NumPy arrays over the buffers: a pointer and all sizes for each."""
    arrays: list[Array] = []
    position = 0
    for dtype, rank in buffers:
        address, *shape = (argument or 0 for argument in arguments[position : position + 1 + rank])
        position += 1 + rank
        count = int(np.prod(shape, dtype=np.int64))
        # Without elements there is no address to speak of.
        memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address) if count else bytearray()
        arrays.append(np.ndarray(shape, dtype, memoryview(memory)))
    return arrays
