"""The short way into compiled code: arrays are checked and their addresses taken by native code, in one foreign call.

Native code reads fields of tuples and NumPy arrays (type, data, rank, dimensions, dtype, flags) where C extensions
find them: at offsets that are part of CPython's and NumPy's binary interfaces. `LAYOUT` is None where a trial on real
objects does not find them there; then, and for everything that is not exactly what the last call of this plan had,
the checks in Python take over. So the short way decides nothing that the long one would decide otherwise.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

EXPORTS = ("lamina.call_arrays",)
REFUSED = -1
"""Nothing ran: an argument is not as the table has it, or memory that is written is also another argument."""

READABLE = 0x0101
"""NumPy's flags C_CONTIGUOUS and ALIGNED."""
WRITABLE = READABLE | 0x0400

CALL_TYPE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
"""`i32 @lamina.call_arrays(ptr frame, ptr inputs, ptr outputs)`: the code of `lamina.main`, or REFUSED."""


@dataclass(frozen=True)
class Layout:
    """Offsets in bytes: of a tuple's first item, of an object's type, and of the first field of an array."""

    items: int
    type: int
    array: int


class Frame(ctypes.Structure):
    """What one call context brings along: the entry point and its arguments, and the table of its plan."""

    _fields_ = [
        ("main", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("sizes", ctypes.c_void_p),
        ("table", ctypes.c_void_p),
        ("array_type", ctypes.c_void_p),
        ("inputs", ctypes.c_int64),
        ("count", ctypes.c_int64),
    ]


class Expected(ctypes.Structure):
    """What an argument has to be; `written`: no other argument may share its memory."""

    _fields_ = [
        ("dtype", ctypes.c_void_p),
        ("rank", ctypes.c_int64),
        ("dimensions", ctypes.c_void_p),
        ("flags", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
        ("written", ctypes.c_int64),
    ]


class Table:
    """The arguments that a plan is for: the inputs, then the outputs with memory of their own."""

    def __init__(self, arguments: Sequence[tuple[tuple[int, ...], np.dtype[Any], int, bool]]):
        """`arguments`: shape, dtype, bytes, whether it is written."""
        self._dimensions = [(ctypes.c_int64 * max(1, len(shape)))(*shape) for shape, _, _, _ in arguments]
        self._dtypes = [dtype for _, dtype, _, _ in arguments]  # alive, so that no other dtype has their address
        self._entries = (Expected * max(1, len(arguments)))(
            *(
                Expected(
                    dtype=id(dtype),
                    rank=len(shape),
                    dimensions=ctypes.addressof(dimensions),
                    flags=WRITABLE if written else READABLE,
                    bytes=size,
                    written=written,
                )
                for (shape, dtype, size, written), dimensions in zip(arguments, self._dimensions, strict=True)
            )
        )
        self.address = ctypes.addressof(self._entries)


def _layout() -> Layout | None:
    """Where this interpreter and this NumPy keep the fields, tried out on arrays; None where they are elsewhere."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8 or sys.byteorder != "little":
        return None
    head = object.__basicsize__
    layout = Layout(items=tuple.__basicsize__, type=head - 8, array=head)
    if np.ndarray.__basicsize__ < head + 52:
        return None
    samples = (np.empty((2, 3), np.float32), np.empty((4, 5, 6), np.int64)[:, 1:], np.empty((), np.bool_))
    for index, array in enumerate(samples):
        word = ctypes.c_uint64.from_address
        fields = id(array) + head
        found = (
            word(id(samples) + layout.items + 8 * index).value,
            word(id(array) + layout.type).value,
            word(fields).value,
            ctypes.c_int32.from_address(fields + 8).value,
            word(fields + 40).value,
            bool(ctypes.c_int32.from_address(fields + 48).value & 1),
        )
        data = array.__array_interface__["data"][0]
        if found != (id(array), id(np.ndarray), data, array.ndim, id(array.dtype), array.flags.c_contiguous):
            return None
        if tuple((ctypes.c_int64 * array.ndim).from_address(word(fields + 16).value or fields)) != array.shape:
            return None
    return layout


LAYOUT = _layout()


def _interface_address(array: Array) -> int:
    return array.__array_interface__["data"][0]


def _address_reader(layout: Layout) -> Callable[[Array], int]:
    read = ctypes.c_uint64.from_address
    offset = layout.array
    return lambda array: read(id(array) + offset).value


address_of: Callable[[Array], int] = _interface_address if LAYOUT is None else _address_reader(LAYOUT)
"""The address of an array's first element."""


def direct_call_text() -> str:
    """`lamina.call_arrays` as LLVM IR; one that always refuses where the layout is not known."""
    if LAYOUT is None:
        return "define i32 @lamina.call_arrays(ptr %frame, ptr %inputs, ptr %outputs) {\n  ret i32 -1\n}\n"
    text = TEXT.replace("{ITEMS}", str(LAYOUT.items)).replace("{TYPE}", str(LAYOUT.type))
    return text.replace("{ARRAY}", str(LAYOUT.array))


TEXT = r"""
%lamina.frame = type { ptr, ptr, ptr, ptr, ptr, ptr, i64, i64 }
%lamina.expected = type { ptr, i64, ptr, i64, i64, i64 }
%lamina.array = type { ptr, i32, ptr, ptr, ptr, ptr, i32 }

define i32 @lamina.call_arrays(ptr %frame, ptr %inputs, ptr %outputs) {
entry:
  %main.at = getelementptr %lamina.frame, ptr %frame, i64 0, i32 0
  %context.at = getelementptr %lamina.frame, ptr %frame, i64 0, i32 1
  %arguments.at = getelementptr %lamina.frame, ptr %frame, i64 0, i32 2
  %sizes.at = getelementptr %lamina.frame, ptr %frame, i64 0, i32 3
  %table.at = getelementptr %lamina.frame, ptr %frame, i64 0, i32 4
  %type.at = getelementptr %lamina.frame, ptr %frame, i64 0, i32 5
  %input_count.at = getelementptr %lamina.frame, ptr %frame, i64 0, i32 6
  %count.at = getelementptr %lamina.frame, ptr %frame, i64 0, i32 7
  %main = load ptr, ptr %main.at
  %context = load ptr, ptr %context.at
  %arguments = load ptr, ptr %arguments.at
  %sizes = load ptr, ptr %sizes.at
  %table = load ptr, ptr %table.at
  %array_type = load ptr, ptr %type.at
  %input_count = load i64, ptr %input_count.at
  %count = load i64, ptr %count.at
  %input_items = getelementptr i8, ptr %inputs, i64 {ITEMS}
  %output_items = getelementptr i8, ptr %outputs, i64 {ITEMS}
  %own = getelementptr ptr, ptr %arguments, i64 1     ; the first argument is the arena
  br label %argument

argument:
  %index = phi i64 [ 0, %entry ], [ %index.next, %matches ]
  %is_argument = icmp slt i64 %index, %count
  br i1 %is_argument, label %look, label %overlaps

look:
  %is_input = icmp slt i64 %index, %input_count
  %output_index = sub i64 %index, %input_count
  %input.at = getelementptr ptr, ptr %input_items, i64 %index
  %output.at = getelementptr ptr, ptr %output_items, i64 %output_index
  %object.at = select i1 %is_input, ptr %input.at, ptr %output.at
  %object = load ptr, ptr %object.at
  %object_type.at = getelementptr i8, ptr %object, i64 {TYPE}
  %object_type = load ptr, ptr %object_type.at
  %is_array = icmp eq ptr %object_type, %array_type
  br i1 %is_array, label %fields, label %refuse

fields:
  %array = getelementptr i8, ptr %object, i64 {ARRAY}
  %expected = getelementptr %lamina.expected, ptr %table, i64 %index
  %expected_rank.at = getelementptr %lamina.expected, ptr %expected, i64 0, i32 1
  %expected_dimensions.at = getelementptr %lamina.expected, ptr %expected, i64 0, i32 2
  %expected_flags.at = getelementptr %lamina.expected, ptr %expected, i64 0, i32 3
  %expected_dtype = load ptr, ptr %expected
  %expected_rank = load i64, ptr %expected_rank.at
  %expected_dimensions = load ptr, ptr %expected_dimensions.at
  %expected_flags = load i64, ptr %expected_flags.at
  %rank.at = getelementptr %lamina.array, ptr %array, i64 0, i32 1
  %dimensions.at = getelementptr %lamina.array, ptr %array, i64 0, i32 2
  %dtype.at = getelementptr %lamina.array, ptr %array, i64 0, i32 5
  %flags.at = getelementptr %lamina.array, ptr %array, i64 0, i32 6
  %data = load ptr, ptr %array
  %rank.narrow = load i32, ptr %rank.at
  %rank = sext i32 %rank.narrow to i64
  %dimensions = load ptr, ptr %dimensions.at
  %dtype = load ptr, ptr %dtype.at
  %flags.narrow = load i32, ptr %flags.at
  %flags = sext i32 %flags.narrow to i64
  %flags.common = and i64 %flags, %expected_flags
  %same_dtype = icmp eq ptr %dtype, %expected_dtype
  %same_rank = icmp eq i64 %rank, %expected_rank
  %same_flags = icmp eq i64 %flags.common, %expected_flags
  %same_kind = and i1 %same_dtype, %same_rank
  %same = and i1 %same_kind, %same_flags
  br i1 %same, label %dimension, label %refuse

dimension:
  %axis = phi i64 [ 0, %fields ], [ %axis.next, %compare ]
  %is_axis = icmp slt i64 %axis, %rank
  br i1 %is_axis, label %compare, label %matches

compare:
  %size.at = getelementptr i64, ptr %dimensions, i64 %axis
  %expected_size.at = getelementptr i64, ptr %expected_dimensions, i64 %axis
  %size = load i64, ptr %size.at
  %expected_size = load i64, ptr %expected_size.at
  %same_size = icmp eq i64 %size, %expected_size
  %axis.next = add i64 %axis, 1
  br i1 %same_size, label %dimension, label %refuse

matches:
  %argument.at = getelementptr ptr, ptr %own, i64 %index
  store ptr %data, ptr %argument.at
  %index.next = add i64 %index, 1
  br label %argument

overlaps:                               ; every argument that is written against every other one
  %one = phi i64 [ 0, %argument ], [ %one.next, %following ]
  %is_one = icmp slt i64 %one, %count
  br i1 %is_one, label %question, label %run

question:
  %one.expected = getelementptr %lamina.expected, ptr %table, i64 %one
  %written.at = getelementptr %lamina.expected, ptr %one.expected, i64 0, i32 5
  %one.bytes.at = getelementptr %lamina.expected, ptr %one.expected, i64 0, i32 4
  %written = load i64, ptr %written.at
  %one.bytes = load i64, ptr %one.bytes.at
  %one.at = getelementptr i64, ptr %own, i64 %one
  %one.begin = load i64, ptr %one.at
  %one.end = add i64 %one.begin, %one.bytes
  %is_written = icmp ne i64 %written, 0
  br i1 %is_written, label %pair, label %following

pair:
  %other = phi i64 [ 0, %question ], [ %other.next, %apart ]
  %is_other = icmp slt i64 %other, %count
  br i1 %is_other, label %against, label %following

against:
  %other.expected = getelementptr %lamina.expected, ptr %table, i64 %other
  %other.bytes.at = getelementptr %lamina.expected, ptr %other.expected, i64 0, i32 4
  %other.bytes = load i64, ptr %other.bytes.at
  %other.at = getelementptr i64, ptr %own, i64 %other
  %other.begin = load i64, ptr %other.at
  %other.end = add i64 %other.begin, %other.bytes
  %begins_before = icmp ult i64 %one.begin, %other.end
  %ends_behind = icmp ult i64 %other.begin, %one.end
  %different = icmp ne i64 %one, %other
  %meet = and i1 %begins_before, %ends_behind
  %clash = and i1 %meet, %different
  br i1 %clash, label %refuse, label %apart

apart:
  %other.next = add i64 %other, 1
  br label %pair

following:
  %one.next = add i64 %one, 1
  br label %overlaps

run:
  %code = call i32 %main(ptr %context, ptr %arguments, ptr %sizes, ptr null)
  ret i32 %code

refuse:
  ret i32 -1
}
"""
