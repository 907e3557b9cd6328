"""A compiled model as one value and as one file: object code, constants, and a manifest that says how to call it.

The file is a safetensors file: tensor `code` (u8) holds the object files one after the other, every other tensor is a
constant under its key, and `__metadata__["lamina"]` is the manifest as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lamina import safetensors
from lamina.diagnostics import LaminaError
from lamina.resources import content_key

Array = npt.NDArray[np.generic]

FORMAT_VERSION = 1
ABI_VERSION = 1
CODE = "code"
MANIFEST = "lamina"

DTYPES: Mapping[str, np.dtype[Any]] = {dtype.name: dtype for dtype in safetensors.DTYPES.values()}


class TensorInfo(NamedTuple):
    """One input or output of an executable."""

    name: str
    shape: tuple[int | str, ...]
    """Sizes: a number, the name of a symbol, or an expression over symbols."""
    dtype: np.dtype[Any]
    alias: int | None = None
    """Of an output: the index of the input whose storage it is written into."""

    @property
    def type_text(self) -> str:
        """Dtype and shape: `float32[batch, 128]`."""
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    def __str__(self) -> str:
        return f"{self.name}: {self.type_text}"


class ExternInfo(NamedTuple):
    """A function from outside that the code calls."""

    symbol: str
    op: str
    """The op of a plugin whose function it is."""
    buffers: tuple[str, ...]
    """Dtype and rank of every buffer, such as `float32x2`: inputs, then results."""
    results: int


@dataclass(frozen=True)
class Manifest:
    """How an artefact is called, and what it was compiled for and by."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    constants: tuple[str, ...] = ()
    """Keys of the constants, in the order of the call context's array."""
    objects: tuple[tuple[str, int], ...] = ()
    """Name and size in bytes of the object files in `code`."""
    target: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    externs: tuple[ExternInfo, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The manifest in JSON's types."""
        return {
            "format": FORMAT_VERSION,
            "abi": ABI_VERSION,
            "inputs": [_info_to_json(info) for info in self.inputs],
            "outputs": [_info_to_json(info) for info in self.outputs],
            "constants": list(self.constants),
            "objects": [list(entry) for entry in self.objects],
            "target": dict(self.target),
            "versions": dict(self.versions),
            "externs": [[*extern] for extern in self.externs],
        }

    @staticmethod
    def from_json(data: Any) -> Manifest:
        """The inverse of `to_json`. Raises LaminaError for another format version, KeyError and the like for damage."""
        for field_name, supported in (("format", FORMAT_VERSION), ("abi", ABI_VERSION)):
            if data[field_name] != supported:
                raise LaminaError(
                    f"has {field_name} version {data[field_name]}, this lamina reads {supported}",
                    hints=("compile the model again with this version",),
                )
        return Manifest(
            inputs=tuple(_info_from_json(info) for info in data["inputs"]),
            outputs=tuple(_info_from_json(info) for info in data["outputs"]),
            constants=tuple(data["constants"]),
            objects=tuple((name, size) for name, size in data["objects"]),
            target=data["target"],
            versions=data["versions"],
            externs=tuple(
                ExternInfo(symbol, op, tuple(buffers), results)
                for symbol, op, buffers, results in data.get("externs", ())
            ),
        )


def _info_to_json(info: TensorInfo) -> dict[str, Any]:
    return {**info._asdict(), "dtype": info.dtype.name}


def _info_from_json(data: Any) -> TensorInfo:
    return TensorInfo(data["name"], tuple(data["shape"]), DTYPES[data["dtype"]], data["alias"])


@dataclass(frozen=True)
class Artefact:
    """A compiled model. `constants` holds every key of the manifest."""

    manifest: Manifest
    objects: tuple[bytes, ...]
    constants: Mapping[str, Array]

    def save(self, path: str | os.PathLike[str], *, leave_out: Collection[str] = ()) -> None:
        """Write the artefact to `path`, without the constants in `leave_out` (whoever loads it must have those).

        Raises OSError as the file system does.
        """
        code = b"".join(self.objects)
        manifest = self.manifest.to_json()
        manifest["checksum"] = _checksum(manifest, code)
        tensors: dict[str, Array] = {CODE: np.frombuffer(code, np.uint8)}
        tensors |= {key: array for key, array in self.constants.items() if key not in leave_out}
        safetensors.write(path, tensors, {MANIFEST: json.dumps(manifest)})

    @staticmethod
    def load(
        path: str | os.PathLike[str],
        *,
        missing: Callable[[str], Array] | None = None,
        check_constants: bool = False,
    ) -> Artefact:
        """Read what `save` wrote; constants are memory maps of the file, those left out come from `missing`.

        `check_constants` compares their content with their keys. Raises LaminaError for anything but a whole artefact.
        """
        where = os.fspath(path)
        file = safetensors.read(where)
        if MANIFEST not in file.metadata or CODE not in file.tensors:
            raise LaminaError("a safetensors file, but not one that lamina compiled", where=where)
        try:
            data = json.loads(file.metadata[MANIFEST])
            checksum = data.pop("checksum")
            manifest = Manifest.from_json(data)
        except LaminaError as error:
            raise LaminaError(error.message, where=where, hints=error.hints) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LaminaError(f"malformed manifest: {error!r}", where=where) from None
        code = file.tensors[CODE].tobytes()
        if checksum != _checksum(data, code) or sum(size for _, size in manifest.objects) != len(code):
            raise LaminaError("damaged: the checksum does not agree with the content", where=where)
        constants: dict[str, Array] = {}
        for key in manifest.constants:
            stored = file.tensors.get(key)
            if stored is None:
                if missing is None:
                    raise LaminaError(f"damaged: the constant '{key}' is missing", where=where)
                stored = missing(key)
            elif check_constants and content_key(stored) != key:
                raise LaminaError(f"damaged: the constant '{key}' has another content", where=where)
            constants[key] = stored
        return Artefact(manifest, _split(code, manifest), constants)


def _checksum(manifest: Mapping[str, Any], code: bytes) -> str:
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode())
    digest.update(code)
    return digest.hexdigest()


def _split(code: bytes, manifest: Manifest) -> tuple[bytes, ...]:
    objects: list[bytes] = []
    position = 0
    for _, size in manifest.objects:
        objects.append(code[position : position + size])
        position += size
    return tuple(objects)
