"""Reading a model from a path, bytes or a proto, in every format that ONNX knows; nothing is trusted."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
from google.protobuf import json_format, text_format
from google.protobuf.message import DecodeError

from lamina import knobs
from lamina.diagnostics import LaminaError
from lamina.onnx_weights import split_weights
from lamina.resources import fresh_memory

ModelSource: TypeAlias = "str | os.PathLike[str] | bytes | onnx.ModelProto"
Weights: TypeAlias = Mapping[int, npt.NDArray[np.uint8]]

PROTOBUF_LIMIT = 2**31
MAX_NESTING = 200
LARGE_FILE_BYTES = 1 << 20
"""From here on weights are not parsed but looked at in the file's content."""


@dataclass(frozen=True)
class LoadedModel:
    """A parsed model, what to call it in messages, and the folder that its external data lies in (None: no folder)."""

    proto: onnx.ModelProto
    where: str
    folder: Path | None
    weights: Weights = field(default_factory=dict[int, "npt.NDArray[np.uint8]"])
    """Bytes that the proto lacks (there `raw_data` is empty), by the index of the graph's initializer."""


def load(source: ModelSource) -> LoadedModel:
    """Parse `source`; raises LaminaError when it cannot be read or is no ONNX model.

    The format follows the file's suffix (`.onnx` and unknown ones are binary, `.onnxtxt`, `.textproto`, `.json` … are
    text); bytes are binary or ONNX's text syntax, told apart by the first character.
    """
    if isinstance(source, onnx.ModelProto):
        return LoadedModel(source, str(source.graph.name or "<model>"), None)
    if isinstance(source, bytes):
        return LoadedModel(_parse_bytes(source, "<bytes>"), "<bytes>", None)
    path = Path(source)
    return LoadedModel(*_read_file(path))


def _read_file(path: Path) -> tuple[onnx.ModelProto, str, Path, Weights]:
    where = str(path)
    try:
        if not path.is_file():
            raise LaminaError("is a directory" if path.is_dir() else "no such file", where=where)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise LaminaError("the file is empty", where=where)
            parse = TEXT_PARSERS.get(path.suffix.lower())
            if parse is not None:
                return _parse_text(file.read(), parse, where), where, path.parent, {}
            if size >= PROTOBUF_LIMIT:
                raise LaminaError(
                    "the file is larger than 2 GiB, the limit of the protobuf format",
                    where=where,
                    hints=("save the model with external data",),
                )
            if size >= LARGE_FILE_BYTES:
                model, weights = _parse_large(path, size, where)
                return model, where, path.parent, weights
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
                return _parse_binary(view, where), where, path.parent, {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise LaminaError(f"cannot be read: {reason}", where=where) from error


def _parse_bytes(data: bytes, where: str) -> onnx.ModelProto:
    if not data:
        raise LaminaError("the model is empty", where=where)
    # No protobuf message of ours begins with these: `<` opens the text syntax, `#` a comment in it.
    if data[:64].lstrip().startswith((b"<", b"#")):
        return _parse_text(data, onnx.parser.parse_model, where)
    return _parse_binary(memoryview(data), where)


def _parse_binary(data: memoryview, where: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)  # pyright: ignore[reportArgumentType]
    except DecodeError as error:
        raise LaminaError("not an ONNX model, or one cut short", where=where) from error
    return model


def _parse_large(path: Path, size: int, where: str) -> tuple[onnx.ModelProto, Weights]:
    """The model, its large weights apart. They are views of one copy of the file, which may change or vanish later."""
    content = fresh_memory(size)
    _read_into(content, path, where)
    view = content.data
    try:
        small, places = split_weights(view)
    except ValueError:
        return _parse_binary(view, where), {}
    return _parse_binary(memoryview(small), where), {index: content[slice(*place)] for index, place in places.items()}


def _read_into(content: npt.NDArray[np.uint8], path: Path, where: str) -> None:
    """A part for each of the compiler's processes at once: what takes long is the memory that is new."""
    workers = knobs.COMPILE_WORKERS.value()
    bounds = [len(content) * part // workers for part in range(workers + 1)]

    def read(begin: int, end: int) -> int:
        with path.open("rb") as file:
            file.seek(begin)
            return file.readinto(content[begin:end].data)

    with ThreadPoolExecutor(workers) as threads:
        found = sum(threads.map(read, bounds, bounds[1:]))
    if found != len(content):
        raise LaminaError("cannot be read: it changes while it is read", where=where)


def _parse_text(data: bytes, parse: Callable[[str], onnx.ModelProto], where: str) -> onnx.ModelProto:
    try:
        text = data.decode()
        if _nesting(text) > MAX_NESTING:
            raise LaminaError(f"brackets are nested more than {MAX_NESTING} deep", where=where)
        return parse(text)
    except (
        DecodeError,
        UnicodeDecodeError,
        ValueError,
        RecursionError,
        onnx.parser.ParseError,
        text_format.ParseError,
        json_format.ParseError,
    ) as error:
        reason = error.args[0] if error.args else ""  # onnx's parser gives its message as bytes
        detail = reason.decode(errors="replace") if isinstance(reason, bytes) else str(error)
        raise LaminaError(f"not an ONNX model as text: {detail.strip()}", where=where) from error


def _nesting(text: str) -> int:
    """How deep brackets are nested: ONNX's parser is recursive and overflows the stack."""
    depth = deepest = 0
    for bracket in re.findall(r"[(\[{<>}\])]", text):
        depth = max(depth + (1 if bracket in "([{<" else -1), 0)
        deepest = max(deepest, depth)
    return deepest


def _text_proto(text: str) -> onnx.ModelProto:
    return text_format.Parse(text, onnx.ModelProto())


def _json(text: str) -> onnx.ModelProto:
    return json_format.Parse(text, onnx.ModelProto())


TEXT_PARSERS: Mapping[str, Callable[[str], onnx.ModelProto]] = {
    **dict.fromkeys((".onnxtxt", ".onnxtext"), onnx.parser.parse_model),
    **dict.fromkeys((".textproto", ".prototxt", ".pbtxt", ".txtpb"), _text_proto),
    **dict.fromkeys((".json", ".onnxjson"), _json),
}
