"""The large weights inside of an ONNX file, found without parsing them: a walk over protobuf's wire format.

A file of 400 MB is parsed in milliseconds when its weights are left where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

WEIGHTS = (7, 5, 9)
"""`raw_data` of an `initializer` of a model's `graph`, as field numbers."""
LARGE_BYTES = 1 << 12

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
MAXIMUM_VARINT_BYTES = 10


class Field(NamedTuple):
    """One field of a message: its number, its kind on the wire, where its tag and its content begin, and its end."""

    number: int
    kind: int
    start: int
    begin: int
    end: int


def split_weights(model: memoryview) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """A serialized model whose large weights are empty, and where these are: begin and end by the index of the
    initializer.

    Raises ValueError for anything but a well-formed message with at most one such field for each initializer.
    """
    weights: dict[int, tuple[int, int]] = {}
    counts = [0] * len(WEIGHTS)
    small = _without(model, 0, len(model), 0, weights, counts)
    return small, weights


def _without(
    data: memoryview, begin: int, end: int, depth: int, weights: dict[int, tuple[int, int]], counts: list[int]
) -> bytes:
    chunks: list[bytes | memoryview] = []
    copied = begin
    for field in _fields(data, begin, end):
        if field.number != WEIGHTS[depth] or field.kind != DELIMITED:
            continue
        content: bytes | None = None
        if depth + 1 < len(WEIGHTS):
            before = len(weights)
            content = _without(data, field.begin, field.end, depth + 1, weights, counts)
            if len(weights) == before:
                content = None
        elif field.end - field.begin >= LARGE_BYTES:
            initializer = counts[depth - 1]
            if initializer in weights:
                raise ValueError("an initializer with its data twice")
            weights[initializer] = field.begin, field.end
            content = b""
        counts[depth] += 1
        if content is not None:
            chunks += [
                data[copied : field.start],
                _varint(field.number << 3 | DELIMITED),
                _varint(len(content)),
                content,
            ]
            copied = field.end
    return b"".join([*chunks, data[copied:end]])


def _fields(data: memoryview, begin: int, end: int) -> Iterator[Field]:
    position = begin
    while position < end:
        start = position
        tag, position = _read_varint(data, position, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            length = _read_varint(data, position, end)[1] - position
        elif kind == DELIMITED:
            length, position = _read_varint(data, position, end)
        elif kind in FIXED_BYTES:
            length = FIXED_BYTES[kind]
        else:
            raise ValueError(f"a field of kind {kind}")
        if number == 0 or position + length > end:
            raise ValueError("a field that ends outside of its message")
        yield Field(number, kind, start, position, position + length)
        position += length


def _read_varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    """The number, and the position after it."""
    value = 0
    for shift in range(0, 7 * MAXIMUM_VARINT_BYTES, 7):
        if position >= end:
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number that does not end")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
