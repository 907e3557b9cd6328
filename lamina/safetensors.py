"""The safetensors file format: a JSON header, then the bytes of every tensor, little-endian and row-major.

Layout (https://huggingface.co/docs/safetensors): u64 length of the header, the header
`{"__metadata__": {str: str}, name: {"dtype", "shape", "data_offsets": [begin, end]}, …}`, padded with spaces, then the
data, without holes. Tensors begin at multiples of 64 bytes in the file, so that they can be used from a memory map;
where that leaves a gap, a `u8` tensor named `PADDING…` fills it, as the format forbids holes.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import ml_dtypes
import numpy as np
import numpy.typing as npt

from lamina.diagnostics import LaminaError
from lamina.files import replacing

Array = npt.NDArray[np.generic]

ALIGNMENT = 64
MAXIMUM_HEADER_BYTES = 100_000_000
PADDING = "__padding__"

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}
DTYPE_NAMES: Mapping[np.dtype[Any], str] = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class SafetensorsFile:
    """What a file holds: read-only arrays over a memory map of it, and its metadata."""

    tensors: Mapping[str, Array]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class _Entry:
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write `tensors` to `path`: to a temporary file beside it first, then renamed, so no reader sees a part.

    Raises LaminaError for a dtype that the format has no name for, OSError as the file system does.
    """
    entries = list(_layout(tensors))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    for entry in entries:
        header[entry.name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": (entry.begin, entry.end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for entry in entries:
            _write_data(file, entry, tensors)


def read(path: str | os.PathLike[str]) -> SafetensorsFile:
    """The tensors of a file, not copied. Raises LaminaError when the file is missing, truncated or malformed."""
    where = os.fspath(path)
    try:
        size = os.path.getsize(where)
        if size < 8:
            raise LaminaError(f"not a safetensors file: {size} bytes long", where=where)
        mapped = np.memmap(where, np.uint8, "r")
    except OSError as error:
        raise LaminaError(f"cannot be read: {error.strerror}", where=where) from None
    (length,) = struct.unpack("<Q", mapped[:8].tobytes())
    if length > min(MAXIMUM_HEADER_BYTES, size - 8):
        raise LaminaError("not a safetensors file, or a truncated one: its header does not fit", where=where)
    try:
        metadata, entries = _parse_header(json.loads(mapped[8 : 8 + length].tobytes()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LaminaError(f"malformed safetensors header: {error}", where=where) from None
    start = 8 + length
    tensors: dict[str, Array] = {}
    for entry in entries:
        if start + entry.end > size:
            raise LaminaError(
                f"truncated: tensor '{entry.name}' ends at byte {start + entry.end}, the file at {size}", where=where
            )
        if not entry.name.startswith(PADDING):
            tensors[entry.name] = _view(mapped, start + entry.begin, entry)
    return SafetensorsFile(tensors, metadata)


def _layout(tensors: Mapping[str, Array]) -> Iterator[_Entry]:
    offset = 0
    for name, array in tensors.items():
        dtype = DTYPE_NAMES.get(array.dtype)
        if dtype is None:
            raise LaminaError(f"tensor '{name}' has dtype {array.dtype}, which a safetensors file cannot hold")
        gap = -offset % ALIGNMENT
        if gap:
            yield _Entry(f"{PADDING}{offset}", "U8", (gap,), offset, offset + gap)
            offset += gap
        yield _Entry(name, dtype, array.shape, offset, offset + array.nbytes)
        offset += array.nbytes


def _write_data(file: BinaryIO, entry: _Entry, tensors: Mapping[str, Array]) -> None:
    array = tensors.get(entry.name)
    if array is None:
        file.write(bytes(entry.end - entry.begin))
        return
    contiguous = np.ascontiguousarray(array)
    if sys.byteorder == "big":
        contiguous = contiguous.byteswap()
    file.write(contiguous.reshape(-1).view(np.uint8).data)


def _parse_header(header: Any) -> tuple[dict[str, str], list[_Entry]]:
    if not isinstance(header, dict):
        raise ValueError("expected a JSON object")
    fields = cast(dict[str, Any], header)
    metadata: dict[str, str] = {str(k): str(v) for k, v in fields.pop("__metadata__", {}).items()}
    entries: list[_Entry] = []
    for name, value in fields.items():
        dtype, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
        if dtype not in DTYPES:
            raise ValueError(f"tensor '{name}' has the unknown dtype '{dtype}'")
        if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
            raise ValueError(f"tensor '{name}': sizes and offsets must be whole numbers")
        if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
            raise ValueError(f"tensor '{name}': {end - begin} bytes do not hold {dtype}{list(shape)}")
        entries.append(_Entry(name, dtype, shape, begin, end))
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    position = 0
    for entry in entries:
        if entry.begin != position:
            raise ValueError(f"tensor '{entry.name}' begins at {entry.begin}, expected {position}")
        position = entry.end
    return metadata, entries


def _view(mapped: npt.NDArray[np.uint8], offset: int, entry: _Entry) -> Array:
    dtype = DTYPES[entry.dtype]
    data = mapped[offset : offset + entry.end - entry.begin].view(np.ndarray)
    if offset % dtype.itemsize:
        data = data.copy()
    array = data.view(dtype).reshape(entry.shape)
    return array.byteswap() if sys.byteorder == "big" else array
