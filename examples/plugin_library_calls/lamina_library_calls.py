"""Library calls as a plugin: C's `gmtime_r` and a NumPy function as ops of a compiled model."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import Dialect
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.extern import CFunction, ExternOp, PythonFunction
from lamina.dialects.graph.properties import TENSOR
from lamina.plugins import Plugin

FORMAT = "$operand attr-dict `:` type($operand) `->` type($result)"


@irdl_op_definition
class CalendarOp(ExternOp):
    """Seconds since 1970 (i64 scalar) as the words of C's `struct tm`: second, minute, hour, day, month, year …"""

    name = "library.calendar"
    operand = operand_def(TENSOR)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = FORMAT
    FUNCTION: ClassVar = CFunction(ctypes.CDLL(None).gmtime_r, ("memref<i64>", "memref<14xi32>"))

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        return (AbstractTensor((14,), i32),)


@irdl_op_definition
class SortOp(ExternOp):
    """The rows of a tensor, each in ascending order, by NumPy. The result has the operand's type."""

    name = "library.sort"
    operand = operand_def(TENSOR)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = FORMAT
    FUNCTION: ClassVar = PythonFunction(lambda x: np.sort(x, axis=-1))

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        return (AbstractTensor(operands[0].shape, operands[0].element_type),)


PLUGIN = Plugin(
    "library-calls",
    dialects={"library": lambda: Dialect("library", [CalendarOp, SortOp])},
    onnx={("example.library", "Sort"): lambda node, build: build.create(SortOp, (node.operand(0),))},
)
