"""Printing one LLVM function: instructions, names, blocks, and what is known about every value."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from xdsl.dialects.builtin import DYNAMIC_INDEX, NoneAttr
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.loop.types import AnyMemRef, is_vector
from lamina.lowering.to_llvm_text.abi import aggregate_type
from lamina.lowering.to_llvm_text.module import ModuleText
from lamina.lowering.to_llvm_text.types import (
    VectorLayout,
    element_bytes,
    element_of,
    element_text,
    lanes_of,
    mangled,
    memory_text,
    vector_layout,
)
from lamina.lowering.to_llvm_text.values import Buffer, Scalar, Value, Vector

Case: TypeAlias = Callable[["FunctionPrinter", Operation], None]
Typed: TypeAlias = tuple[str, str]
"""An LLVM type and an operand of it."""
PartProducer: TypeAlias = Callable[[int], str]
"""Prints part number n of a vector and returns its operand."""


class FunctionPrinter:
    """State of one LLVM function while its ops are printed, and the primitives that the cases are made of."""

    def __init__(self, module: ModuleText, context: str = "%context"):
        self.module = module
        self.context = context
        self.lanes = module.target.lanes
        self.values: dict[SSAValue, Value] = {}
        self.lines: list[str | None] = []
        self.entry_lines: list[str] = []
        self.label = "entry"
        self.loop_depth = 0
        self.frame_is_dynamic = False
        self.streams = False
        """Whether stores past the caches have to be made visible at the end."""
        self.rounds_to_bfloat = False
        """Whether the target has code of its own for rounding to bf16."""
        self.return_values: tuple[str, ...] = ()
        self._count = 0
        self._reused: dict[object, str] = {}
        self._layouts: dict[Attribute, VectorLayout] = {}

    # Instructions and names

    def fresh(self, prefix: str = "t") -> str:
        """A name that is not taken in this function, without `%`."""
        self._count += 1
        return f"{prefix}{self._count}"

    def emit(self, text: str) -> None:
        """Print an instruction that gives no value."""
        self.lines.append("  " + text)

    def value(self, text: str) -> str:
        """Print an instruction and return the name of its result."""
        self._count += 1
        name = f"%t{self._count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def reused(self, text: str) -> str:
        """The result of a pure instruction, printed unless the same stands in a block that dominates this one."""
        found = self._reused.get(text)
        if found is None:
            found = self._reused[text] = self.value(text)
        return found

    def start_block(self, label: str) -> None:
        """Begin the basic block `label`; the one before must be terminated."""
        self.lines.append(label + ":")
        self.label = label

    def branch(self, label: str) -> None:
        """An unconditional branch."""
        self.emit(f"br label %{label}")

    @contextmanager
    def scope(self) -> Generator[None]:
        """A stretch of blocks that do not dominate what follows: instructions printed in it are not reused after it."""
        saved = dict(self._reused)
        try:
            yield
        finally:
            self._reused = saved

    def intrinsic(
        self, name: str, result: str, arguments: Sequence[Typed], overloads: Sequence[str], flags: str = ""
    ) -> str:
        """Call `llvm.NAME` overloaded on `overloads`; the instruction's text, for `value` or `reused`."""
        symbol = ".".join([f"@llvm.{name}", *map(mangled, overloads)])
        return self.call_text(symbol, result, arguments, flags)

    def call_text(self, symbol: str, result: str, arguments: Sequence[Typed], flags: str = "") -> str:
        """A call of an external function, which is declared."""
        self.module.declare(symbol, result, [type_ for type_, _ in arguments])
        listed = ", ".join(f"{type_} {operand}" for type_, operand in arguments)
        return f"call{flags} {result} {symbol}({listed})"

    # Values

    def set(self, value: SSAValue, known: Value) -> None:
        """Bind an SSA value."""
        self.values[value] = known

    def scalar(self, value: SSAValue) -> Scalar:
        """A scalar's operand."""
        known = self.values[value]
        if isinstance(known, str | int):
            return known
        raise LaminaError(f"expected a scalar, found {value.type}")

    def text(self, value: SSAValue) -> str:
        """A scalar's operand as text."""
        return str(self.scalar(value))

    def vector(self, value: SSAValue) -> Vector:
        """What is known of a vector."""
        known = self.values[value]
        if isinstance(known, Vector):
            return known
        raise LaminaError(f"expected a vector, found {value.type}")

    def buffer(self, value: SSAValue) -> Buffer:
        """What is known of a buffer."""
        known = self.values[value]
        if isinstance(known, Buffer):
            return known
        raise LaminaError(f"expected a buffer, found {value.type}")

    def layout(self, type_: Attribute) -> VectorLayout:
        """The layout of a vector type."""
        found = self._layouts.get(type_)
        if found is None:
            if not is_vector(type_):
                raise LaminaError(f"expected a vector type, found {type_}")
            found = self._layouts[type_] = vector_layout(type_, self.lanes)
        return found

    def parts(self, value: SSAValue) -> list[str]:
        """A vector's operands, part by part."""
        return self.vector_parts(self.vector(value))

    def vector_parts(self, vector: Vector) -> list[str]:
        """A vector's operands; scalars are gathered into registers."""
        if vector.parts is not None:
            return vector.parts
        layout = vector.layout
        elements = vector.elements or []
        parts: list[str] = []
        start = 0
        for type_ in layout.types:
            width = lanes_of(type_)
            parts.append(self.gathered(type_, elements[start : start + width]))
            start += width
        return parts

    def gathered(self, type_: str, elements: Sequence[str]) -> str:
        """One register made of scalars."""
        if all(element == elements[0] for element in elements):
            return self.splat(type_, elements[0])
        element_type = element_of(type_)
        part = "poison"
        for lane, element in enumerate(elements):
            part = self.reused(f"insertelement {type_} {part}, {element_type} {element}, i64 {lane}")
        return part

    def elements(self, value: SSAValue) -> list[str]:
        """A vector's scalars in row-major order."""
        return self.vector_elements(self.vector(value))

    def vector_elements(self, vector: Vector) -> list[str]:
        """A vector's scalars; registers are taken apart."""
        if vector.elements is not None:
            return vector.elements
        layout = vector.layout
        return [
            self.reused(f"extractelement {type_} {part}, i64 {lane}")
            for type_, part in zip(layout.types, vector.parts or [], strict=True)
            for lane in range(lanes_of(type_))
        ]

    def set_parts(self, value: SSAValue, parts: list[str]) -> None:
        """Bind a vector by its parts."""
        self.values[value] = Vector(self.layout(value.type), parts)

    def set_elements(self, value: SSAValue, elements: list[str]) -> None:
        """Bind a vector by its scalars."""
        self.values[value] = Vector(self.layout(value.type), elements=elements)

    def splat(self, type_: str, operand: str) -> str:
        """A register with `operand` in every lane."""
        if not operand.startswith("%"):
            return f"splat ({element_of(type_)} {operand})"
        first = self.reused(f"insertelement {type_} poison, {element_of(type_)} {operand}, i64 0")
        indices = f"<{lanes_of(type_)} x i32> zeroinitializer"
        return self.reused(f"shufflevector {type_} {first}, {type_} poison, {indices}")

    # Index arithmetic, folded where both sides are known

    def add(self, left: Scalar, right: Scalar) -> Scalar:
        """left + right as i64, without overflow."""
        if isinstance(left, int) and isinstance(right, int):
            return left + right
        if left == 0:
            return right
        if right == 0:
            return left
        return self.reused(f"add nsw i64 {left}, {right}")

    def subtract(self, left: Scalar, right: Scalar) -> Scalar:
        """left - right as i64, without overflow."""
        if isinstance(left, int) and isinstance(right, int):
            return left - right
        return left if right == 0 else self.reused(f"sub nsw i64 {left}, {right}")

    def multiply(self, left: Scalar, right: Scalar) -> Scalar:
        """left * right as i64, without overflow."""
        if isinstance(left, int) and isinstance(right, int):
            return left * right
        if left == 0 or right == 0:
            return 0
        if left == 1:
            return right
        if right == 1:
            return left
        return self.reused(f"mul nsw i64 {left}, {right}")

    def product(self, factors: Iterable[Scalar]) -> Scalar:
        """The product of sizes."""
        result: Scalar = 1
        for factor in factors:
            result = self.multiply(result, factor)
        return result

    # Addresses

    def row_major_strides(self, sizes: Sequence[Scalar]) -> tuple[Scalar, ...]:
        """The strides of a dense buffer."""
        strides: list[Scalar] = []
        stride: Scalar = 1
        for size in reversed(sizes):
            strides.append(stride)
            stride = self.multiply(stride, size)
        return tuple(reversed(strides))

    def offset_pointer(self, pointer: str, offset: Scalar, element: str, *, inbounds: bool = True) -> str:
        """`pointer` moved by a number of elements; `inbounds`: it stays within its buffer, or at the end of that."""
        if offset == 0:
            return pointer
        move = "getelementptr inbounds" if inbounds else "getelementptr"
        if isinstance(offset, int):
            return self.reused(f"{move} i8, ptr {pointer}, i64 {offset * element_bytes(element)}")
        return self.reused(f"{move} {memory_text(element)}, ptr {pointer}, i64 {offset}")

    def element_address(self, buffer: Buffer, indices: Sequence[Scalar], *, inbounds: bool = True) -> tuple[str, int]:
        """The address of an element as a pointer and a number of elements beyond it."""
        pointer, offset = buffer.pointer, buffer.offset
        for index, stride in zip(indices, buffer.strides, strict=True):
            step = self.multiply(index, stride)
            if isinstance(step, int):
                offset += step
            else:
                pointer = self.offset_pointer(pointer, step, buffer.element, inbounds=inbounds)
        return pointer, offset

    def pointer(self, buffer: Buffer) -> str:
        """The address of a buffer's first element."""
        return self.offset_pointer(buffer.pointer, buffer.offset, buffer.element)

    def dense_buffer(self, type_: AnyMemRef, pointer: str, sizes: Sequence[Scalar], *, exclusive: bool) -> Buffer:
        """A buffer at `pointer` with the type's static strides, or row-major ones for a type without a layout."""
        strides = type_.get_strides()
        static = (
            None
            if strides is None
            else [stride for stride in strides if stride is not None and stride != DYNAMIC_INDEX]
        )
        if static is not None and len(static) == len(sizes):
            known: tuple[Scalar, ...] = tuple(static)
        elif isinstance(type_.layout, NoneAttr):
            known = self.row_major_strides(sizes)
        else:
            raise LaminaError(f"a buffer of type {type_} cannot be passed or allocated: its strides are not static")
        return Buffer(pointer, pointer, 0, tuple(sizes), known, element_text(type_.get_element_type()), exclusive)

    def mixed_sizes(self, type_: AnyMemRef, dynamic: Iterable[Scalar]) -> list[Scalar]:
        """The sizes of a type, its dynamic ones filled in."""
        values = iter(dynamic)
        return [next(values) if size == DYNAMIC_INDEX else size for size in type_.get_shape()]

    # Values that cross blocks

    def flat(self, value: SSAValue) -> list[Typed]:
        """A scalar or vector as LLVM operands with their types."""
        known = self.values[value]
        if isinstance(known, Vector):
            return list(zip(known.layout.types, self.vector_parts(known), strict=True))
        if isinstance(known, Buffer):
            raise LaminaError("a buffer cannot be carried around a loop or returned from a region")
        return [(element_text(value.type), str(known))]

    def flat_types(self, type_: Attribute) -> tuple[str, ...]:
        """The LLVM types that a value of `type_` is made of."""
        return self.layout(type_).types if is_vector(type_) else (element_text(type_),)

    def bind_flat(self, values: Sequence[SSAValue], operands: Sequence[str]) -> None:
        """Bind values to consecutive LLVM operands."""
        start = 0
        for value in values:
            count = len(self.flat_types(value.type))
            taken = list(operands[start : start + count])
            if is_vector(value.type):
                self.set_parts(value, taken)
            else:
                self.set(value, taken[0])
            start += count

    def loop(
        self,
        lower: Scalar,
        upper: Scalar,
        step: Scalar,
        carried: Sequence[Typed],
        body: Callable[[str, list[str]], Sequence[str]],
        index_type: str = "i64",
    ) -> list[str]:
        """`for (i = lower; i < upper; i += step)` with values carried around it; the values after the loop."""
        number = self.fresh("")
        head, inside, done, before = f"head{number}", f"body{number}", f"done{number}", self.label
        induction, following = f"%i{number}", f"%n{number}"
        names = [f"%c{number}_{position}" for position in range(len(carried))]
        self.branch(head)
        self.start_block(head)
        phi_line = len(self.lines)
        self.lines.append(None)
        condition = self.value(f"icmp slt {index_type} {induction}, {upper}")
        self.emit(f"br i1 {condition}, label %{inside}, label %{done}")
        self.start_block(inside)
        outer_frame_is_dynamic, self.frame_is_dynamic = self.frame_is_dynamic, False
        frame_line = len(self.lines)
        self.lines.append("")
        self.loop_depth += 1
        with self.scope():
            results = body(induction, names)
            if self.frame_is_dynamic:
                self.lines[frame_line] = f"  %frame{number} = " + self.intrinsic("stacksave", "ptr", [], ["ptr"])
                self.emit(self.intrinsic("stackrestore", "void", [("ptr", f"%frame{number}")], ["ptr"]))
        self.loop_depth -= 1
        self.frame_is_dynamic = outer_frame_is_dynamic
        self.emit(f"{following} = add nsw {index_type} {induction}, {step}")
        self.branch(head)
        phis = [f"  {induction} = phi {index_type} [ {lower}, %{before} ], [ {following}, %{self.label} ]"]
        phis += [
            f"  {name} = phi {type_} [ {initial}, %{before} ], [ {result}, %{self.label} ]"
            for name, (type_, initial), result in zip(names, carried, results, strict=True)
        ]
        self.lines[phi_line] = "\n".join(phis)
        self.start_block(done)
        return names

    def alloca(self, text: str) -> str:
        """A stack slot in the entry block: `text` is what follows `alloca`."""
        name = f"%{self.fresh('stack')}"
        self.entry_lines.append(f"  {name} = alloca {text}")
        return name

    def return_early(self) -> None:
        """Return from the function with zeros."""
        if not self.return_values:
            self.emit("ret void")
            return
        self.emit(f"ret {aggregate_type(self.return_values)} zeroinitializer")

    def body_text(self) -> str:
        """The function's instructions, entry block first."""
        return "\n".join(["entry:", *self.entry_lines, *(line for line in self.lines if line)])
