"""ONNX tensors as NumPy arrays: embedded data copied at most once, external data mapped from inside the folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto
from xdsl.ir import Attribute

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.types import BFLOAT16, element_type_of
from lamina.frontends.onnx.report import UnsupportedNode

Array: TypeAlias = npt.NDArray[np.generic]

MAX_TENSOR_BYTES = 2**40


@dataclass(frozen=True)
class ElementType:
    """One element type in the three worlds, and the typed repeated field that holds it in a TensorProto."""

    name: str
    attribute: Attribute
    dtype: np.dtype[Any]
    field: str


def _row(name: str, dtype: Any, field: str) -> ElementType:
    return ElementType(name, element_type_of(dtype), np.dtype(dtype), field)


ELEMENT_TYPES: Mapping[int, ElementType] = {
    TensorProto.FLOAT: _row("float", np.float32, "float_data"),
    TensorProto.DOUBLE: _row("double", np.float64, "double_data"),
    TensorProto.FLOAT16: _row("float16", np.float16, "int32_data"),
    TensorProto.BFLOAT16: _row("bfloat16", BFLOAT16, "int32_data"),
    TensorProto.INT8: _row("int8", np.int8, "int32_data"),
    TensorProto.INT16: _row("int16", np.int16, "int32_data"),
    TensorProto.INT32: _row("int32", np.int32, "int32_data"),
    TensorProto.INT64: _row("int64", np.int64, "int64_data"),
    TensorProto.UINT8: _row("uint8", np.uint8, "int32_data"),
    TensorProto.UINT16: _row("uint16", np.uint16, "int32_data"),
    TensorProto.UINT32: _row("uint32", np.uint32, "uint64_data"),
    TensorProto.UINT64: _row("uint64", np.uint64, "uint64_data"),
    TensorProto.BOOL: _row("bool", np.bool_, "int32_data"),
}
BY_ATTRIBUTE: Mapping[Attribute, ElementType] = {row.attribute: row for row in ELEMENT_TYPES.values()}
DATA_TYPE_OF: Mapping[Attribute, int] = {row.attribute: key for key, row in ELEMENT_TYPES.items()}


def element_type(data_type: int) -> ElementType:
    """The element type with an ONNX number; raises UnsupportedNode for one that is not built yet."""
    found = ELEMENT_TYPES.get(data_type)
    if found is not None:
        return found
    names: Mapping[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    if data_type not in names or data_type == TensorProto.UNDEFINED:
        raise LaminaError(f"unknown element type number {data_type}")
    raise UnsupportedNode(f"the element type {names[data_type].lower()} is not built yet")


def checked_shape(dims: Sequence[int], itemsize: int, what: str) -> tuple[int, ...]:
    """`dims` as a shape; raises LaminaError for negative sizes and tensors past MAX_TENSOR_BYTES."""
    shape = tuple(dims)
    if any(size < 0 for size in shape):
        raise LaminaError(f"{what} has a negative size: {list(shape)}")
    if math.prod(shape) * itemsize > MAX_TENSOR_BYTES:
        raise LaminaError(f"{what} is too large to allocate: {list(shape)}")
    return shape


def tensor_shape(tensor: onnx.TensorProto) -> tuple[int, ...]:
    """The checked shape of a tensor of a known element type."""
    return checked_shape(tensor.dims, element_type(tensor.data_type).dtype.itemsize, f"the tensor '{tensor.name}'")


def tensor_array(tensor: onnx.TensorProto, folder: Path | None, data: npt.NDArray[np.uint8] | None = None) -> Array:
    """The contents of `tensor`, read-only; external data lie in `folder`, `data` are in place of its `raw_data`.

    Of `data` the array is a view, which need not be aligned.
    Raises LaminaError when the data do not fit the shape or cannot be read, UnsupportedNode for other element types.
    """
    row = element_type(tensor.data_type)
    shape = tensor_shape(tensor)
    if tensor.HasField("segment"):
        raise LaminaError(f"the tensor '{tensor.name}' is stored in segments, which ONNX never defined")
    if tensor.data_location == TensorProto.EXTERNAL:
        array = _mapped(tensor, row, shape, folder)
    elif tensor.HasField("raw_data"):
        array = _from_bytes(tensor, row, shape, tensor.raw_data if data is None else data)
    else:
        array = _from_field(tensor, row, shape)
    if row.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        array = array.view(np.uint8) != 0
    array.flags.writeable = False
    return array


def _from_bytes(
    tensor: onnx.TensorProto, row: ElementType, shape: tuple[int, ...], data: bytes | npt.NDArray[np.uint8]
) -> Array:
    _check_size(tensor, len(data), math.prod(shape) * row.dtype.itemsize, "bytes")
    array = np.frombuffer(data, row.dtype).reshape(shape)
    return np.require(array, requirements="A") if isinstance(data, bytes) else array


def _from_field(tensor: onnx.TensorProto, row: ElementType, shape: tuple[int, ...]) -> Array:
    values = getattr(tensor, row.field)
    _check_size(tensor, len(values), math.prod(shape), "values")
    if tensor.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
        return np.array(values, np.int32).astype(np.uint16).view(row.dtype).reshape(shape)
    stored = {"int32_data": np.int32, "uint64_data": np.uint64}.get(row.field, row.dtype)
    return np.array(values, stored).astype(row.dtype).reshape(shape)


def _check_size(tensor: onnx.TensorProto, found: int, expected: int, unit: str) -> None:
    if found != expected:
        raise LaminaError(
            f"the tensor '{tensor.name}' of shape {list(tensor.dims)} holds {found} {unit}, expected {expected}"
        )


def _mapped(tensor: onnx.TensorProto, row: ElementType, shape: tuple[int, ...], folder: Path | None) -> Array:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _inside(entries.get("location", ""), folder, tensor.name)
    bytes_expected = math.prod(shape) * row.dtype.itemsize
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or bytes_expected)
        size = path.stat().st_size
    except (ValueError, OSError) as error:
        raise LaminaError(f"the external data of '{tensor.name}' cannot be read: {error}") from error
    _check_size(tensor, length, bytes_expected, "bytes of external data")
    if offset < 0 or offset + length > size:
        place = f"bytes {offset} to {offset + length} of {size}"
        raise LaminaError(f"the external data of '{tensor.name}' end outside '{path.name}': {place}")
    if length == 0:
        return np.zeros(shape, row.dtype)
    try:
        mapped = np.memmap(path, np.uint8, "r", offset, (length,))
    except OSError as error:
        raise LaminaError(f"the external data of '{tensor.name}' cannot be read: {error}") from error
    return np.require(mapped.view(row.dtype).reshape(shape), requirements="A")


def _inside(location: str, folder: Path | None, name: str) -> Path:
    """The file of external data; refuses every way out of the model's folder."""
    if folder is None:
        raise LaminaError(
            f"the tensor '{name}' has external data, but the model was not read from a file",
            hints=("pass the path of the model",),
        )
    if not location or "\0" in location:
        raise LaminaError(f"the external data of '{name}' have no location")
    outside = LaminaError(f"the external data of '{name}' lie outside the model's folder: '{location}'")
    relative = Path(location)
    if relative.is_absolute() or ".." in relative.parts or "\\" in location:
        raise outside
    try:
        path = (folder / relative).resolve()
        inside = path.is_relative_to(folder.resolve())
        is_file = path.is_file()
    except (OSError, RuntimeError) as error:
        raise LaminaError(f"the external data of '{name}' cannot be read: {error}") from error
    if not inside:
        raise outside
    if not is_file:
        raise LaminaError(f"the external data of '{name}' are missing: no file '{location}' beside the model")
    return path
