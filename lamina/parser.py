"""Reading textual IR: xDSL's parser, with a source location on every op and undefined values reported at their use."""

from __future__ import annotations

from bisect import bisect_right
from math import prod
from pathlib import Path
from typing import Any

from xdsl.context import Context
from xdsl.dialect_interfaces.op_asm import OpAsmDialectInterface
from xdsl.dialects.builtin import (
    AnyFloat,
    ComplexType,
    FileLineColLoc,
    IndexType,
    IntAttr,
    IntegerType,
    ModuleOp,
    RankedStructure,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import AttributeInvT, Operation, SSAValue
from xdsl.parser import AttrParser, Parser, UnresolvedOperand
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Span

from lamina.context import resources_of
from lamina.diagnostics import LaminaError

MAX_DENSE_ELEMENTS = 2**26
"""xDSL holds every element of a dense constant, of a splat too, as bytes and for a moment as a list."""


class FloatBits(AttrParser._TensorLiteralElement):  # pyright: ignore[reportPrivateUsage]
    """A hexadecimal element of `dense<…>`: for floats its bits (NaN and infinities print so; xDSL reads a number)."""

    def to_type(self, parser: AttrParser, type: Any) -> Any:
        if not isinstance(type, AnyFloat):
            return super().to_type(parser, type)
        size = type.compile_time_size
        bits = self.to_int(parser, allow_negative=False)
        if bits >= 1 << (8 * size):
            parser.raise_error(f"expected at most {2 * size} hexadecimal digits for {type}", at_position=self.span)
        return type.unpack(bits.to_bytes(size, "little"), 1)[0]


class LocatingParser(Parser):
    """xDSL's parser; ops without a written `loc(…)` get `loc("file":line:col)` of where they stand."""

    def __init__(self, context: Context, text: str, name: str, line_offset: int = 0):
        super().__init__(context, text, name)
        self._name = StringAttr(name)
        self._line_offset = line_offset
        self._line_starts = [0, *(index + 1 for index, character in enumerate(text) if character == "\n")]
        self._first_uses: dict[str, Span[str] | Span[bytes]] = {}
        self.external_resources: dict[str, dict[str, str | bool]] = {}
        """What `{-# external_resources: … #-}` says, by key; `mlir_reproducer` is a failed pipeline."""

    def parse_operation(self) -> Operation:
        position = self._current_token.span.start
        operation = super().parse_operation()
        if isinstance(operation.location, UnknownLoc):
            line = bisect_right(self._line_starts, position)
            column = position - self._line_starts[line - 1] + 1
            operation.location = FileLineColLoc(self._name, IntAttr(line + self._line_offset), IntAttr(column))
        return operation

    def _get_op_by_name(self, name: str) -> type[Operation]:
        try:
            return super()._get_op_by_name(name)
        except ParseError:
            # xDSL points at the token after the name.
            after = self._current_token.span
            start = str(after.input.content).rfind(name, 0, after.start)
            raise ParseError(Span(start, start + len(name), after.input), f"unknown op '{name}'") from None

    def _parse_dense_literal_type(self) -> RankedStructure[IntegerType | IndexType | AnyFloat | ComplexType]:
        type_ = super()._parse_dense_literal_type()
        elements = prod(type_.get_shape())
        if elements > MAX_DENSE_ELEMENTS:
            self.raise_error(
                f"a dense constant of {elements} elements is more than the {MAX_DENSE_ELEMENTS} that are read: "
                "broadcast a scalar, or use dense_resource"
            )
        return type_

    def _parse_tensor_literal_element(self) -> AttrParser._TensorLiteralElement:
        hexadecimal = self._current_token.text[:2] in ("0x", "0X")
        element = super()._parse_tensor_literal_element()
        return FloatBits(element.is_negative, element.value, element.span) if hexadecimal else element

    def _parse_dialect_resource_handle(self, dialect_name: str, interface: OpAsmDialectInterface) -> str:
        # xDSL renames a key that it has seen before in this process; ours are content hashes: the same key is the
        # same constant.
        key = self.parse_identifier(" for resource handle")
        self.dialect_resources.add((dialect_name, key))
        return key

    def _parse_external_resources(self) -> None:
        self.parse_comma_separated_list(self.Delimiter.BRACES, self._parse_external_resource)

    def _parse_external_resource(self) -> None:
        key = self.parse_identifier()
        self.parse_punctuation(":")
        entries = self.external_resources.setdefault(key, {})

        def entry() -> None:
            name = self.parse_identifier()
            self.parse_punctuation(":")
            flag = self.parse_optional_boolean()
            entries[name] = self.parse_str_literal() if flag is None else flag

        self.parse_comma_separated_list(self.Delimiter.BRACES, entry)

    def resolve_operand(self, operand: UnresolvedOperand, type: AttributeInvT) -> SSAValue[AttributeInvT]:
        value = super().resolve_operand(operand, type)
        if operand.operand_name in self.forward_ssa_references:
            self._first_uses.setdefault(operand.operand_name, operand.span)
        return value

    def parse_module(self, allow_implicit_module: bool = True) -> ModuleOp:
        try:
            return super().parse_module(allow_implicit_module)
        except RecursionError:
            raise ParseError(self._current_token.span, "regions, attributes or types are nested too deeply") from None
        except ParseError as error:
            undefined = next((name for name in self._first_uses if name in self.forward_ssa_references), None)
            if undefined is None or "used but not defined" not in error.msg:
                raise
            raise ParseError(self._first_uses[undefined], f"value %{undefined} is used but not defined") from None


def parse_text(
    context: Context, text: str, name: str, *, line_offset: int = 0, allow_implicit_module: bool = True
) -> ModuleOp:
    """A module from textual IR; raises xDSL's ParseError. `line_offset` is added to line numbers."""
    return LocatingParser(context, text, name, line_offset).parse_module(allow_implicit_module)


def read_module(context: Context, path: Path) -> ModuleOp:
    """A module from a `.mlir` file, with the constants of the `.safetensors` file beside it where there is one."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise LaminaError(f"cannot be read: {error}", where=str(path)) from None
    store = path.with_suffix(".safetensors")
    if store.exists():
        resources_of(context).load(store)
    return parse_text(context, text, str(path))
