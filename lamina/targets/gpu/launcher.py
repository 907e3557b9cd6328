"""Carrying out a compiled folder's manifest on a device, through a driver."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np
import numpy.typing as npt

from lamina import safetensors
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_sizes import CONSTANTS, FORMAT_VERSION, MANIFEST, Size, evaluate

Array = npt.NDArray[Any]


class Driver(Protocol):
    """What a device does for a program. Memory is named by addresses."""

    def load(self, name: str, code: bytes) -> Any:
        """A kernel from its file."""
        ...

    def allocate(self, size: int) -> int:
        """Device memory; at least one byte."""
        ...

    def release(self, address: int) -> None:
        """Give memory back."""
        ...

    def upload(self, address: int, array: Array) -> None:
        """Copy to the device."""
        ...

    def download(self, array: Array, address: int) -> None:
        """Copy from the device."""
        ...

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy on the device."""
        ...

    def launch(self, kernel: Any, blocks: int, threads: int, arguments: Sequence[tuple[str, int]]) -> None:
        """Run a kernel on arguments ("address" or "size", value) after all that went before."""
        ...


class Program:
    """A compiled folder on a device: constants uploaded, kernels loaded."""

    def __init__(self, folder: Path, driver: Driver):
        self.driver = driver
        try:
            self.manifest: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text())
            kernels = {one["name"]: (folder / one["file"]).read_bytes() for one in self.manifest["kernels"]}
            constants = safetensors.read(folder / CONSTANTS).tensors
        except (OSError, ValueError, KeyError) as error:
            raise LaminaError(f"is no compiled GPU program: {error}", where=str(folder)) from None
        if self.manifest.get("format") != FORMAT_VERSION:
            raise LaminaError("was written by another version", where=str(folder), hints=("compile the model again",))
        self.kernels = {name: driver.load(name, code) for name, code in kernels.items()}
        self.constants = {f"constant.{key}": self._upload(array) for key, array in constants.items()}

    def __call__(self, **inputs: Array) -> dict[str, Array]:
        """Run on arrays by the inputs' names; raises LaminaError for missing, unknown or mismatched ones."""
        call = _Call(self, inputs)
        try:
            return call.run()
        finally:
            call.release()

    def _upload(self, array: Array) -> int:
        address = self.driver.allocate(max(1, array.nbytes))
        self.driver.upload(address, np.ascontiguousarray(array))
        return address


class _Call:
    """The buffers and sizes of one call."""

    def __init__(self, program: Program, inputs: Mapping[str, Array]):
        self.program = program
        self.driver = program.driver
        self.sizes: dict[str, int] = {}
        self.buffers: dict[str, int] = {}
        expected = {one["name"]: one for one in program.manifest["inputs"]}
        if set(expected) != set(inputs):
            raise LaminaError(f"expected the inputs {', '.join(expected)}, found {', '.join(inputs) or 'none'}")
        self.inputs = {name: self._checked(info, inputs[name]) for name, info in expected.items()}

    def _checked(self, info: Mapping[str, Any], value: Array) -> Array:
        name, dtype, shape = info["name"], dtype_named(info["dtype"]), info["shape"]
        if value.dtype != dtype or value.ndim != len(shape):
            raise LaminaError(f"input '{name}': expected {dtype} of {shape}, found {value.dtype} of {value.shape}")
        for size, found in zip(shape, value.shape, strict=True):
            known = size if isinstance(size, int) else self.sizes.setdefault(size, found)
            if known != found:
                raise LaminaError(f"input '{name}': expected '{size}' = {known}, found {found}")
        return np.ascontiguousarray(value)

    def run(self) -> dict[str, Array]:
        """Upload, carry out the steps, download."""
        manifest = self.program.manifest
        for name, array in self.inputs.items():
            self._allocate(f"input.{name}", array.nbytes)
            self.driver.upload(self.buffers[f"input.{name}"], array)
        self._steps(manifest["planning"])
        results: dict[str, tuple[str, Array]] = {}
        for info in manifest["outputs"]:
            name = info["name"]
            if "input" in info:
                results[name] = f"input.{info['input']}", np.empty_like(self.inputs[info["input"]])
                continue
            array = np.empty([self._value(size) for size in info["shape"]], dtype_named(info["dtype"]))
            self._allocate(f"output.{name}", array.nbytes)
            results[name] = f"output.{name}", array
        self._allocate("arena", self._value(manifest["workspace"]))
        self._steps(manifest["steps"])
        for buffer, array in results.values():
            self.driver.download(array, self.buffers[buffer])
        return {name: array for name, (_, array) in results.items()}

    def release(self) -> None:
        """Give all memory of the call back."""
        while self.buffers:
            self.driver.release(self.buffers.popitem()[1])

    def _allocate(self, name: str, size: int) -> None:
        self.buffers[name] = self.driver.allocate(max(1, size))

    def _value(self, size: Size) -> int:
        return evaluate(size, self.sizes)

    def _address(self, place: Sequence[Size]) -> int:
        buffer, offset = place
        name = str(buffer)
        base = self.buffers.get(name) or self.program.constants[name]
        return base + self._value(offset)

    def _steps(self, steps: Sequence[Mapping[str, Any]]) -> None:
        for step in steps:
            getattr(self, f"_do_{step['kind']}")(step)

    def _do_size(self, step: Mapping[str, Any]) -> None:
        self.sizes[step["variable"]] = self._value(step["value"])

    def _do_launch(self, step: Mapping[str, Any]) -> None:
        blocks = self._value(step["grid"])
        if not blocks:
            return
        arguments = [
            ("size", self._value(one)) if isinstance(one, int | str) else ("address", self._address(one))
            for one in step["arguments"]
        ]
        self.driver.launch(self.program.kernels[step["kernel"]], blocks, self._value(step["threads"]), arguments)

    def _do_copy(self, step: Mapping[str, Any]) -> None:
        self.driver.copy(self._address(step["target"]), self._address(step["source"]), self._value(step["bytes"]))

    def _do_allocate(self, step: Mapping[str, Any]) -> None:
        self._allocate(step["buffer"], self._value(step["bytes"]))

    def _do_release(self, step: Mapping[str, Any]) -> None:
        self.driver.release(self.buffers.pop(step["buffer"]))

    def _do_load(self, step: Mapping[str, Any]) -> None:
        array = np.empty(1, dtype_named(step["dtype"]))
        self.driver.download(array, self._address(step["source"]))
        self.sizes[step["variable"]] = int(array[0])

    def _do_store(self, step: Mapping[str, Any]) -> None:
        array = np.full(1, self._value(step["value"]), dtype_named(step["dtype"]))
        self.driver.upload(self._address(step["target"]), array)

    def _do_for(self, step: Mapping[str, Any]) -> None:
        for value in range(*(self._value(step[name]) for name in ("lower", "upper", "step"))):
            self.sizes[step["variable"]] = value
            self._steps(step["body"])

    def _do_if(self, step: Mapping[str, Any]) -> None:
        self._steps(step["then"] if self._value(step["condition"]) else step["otherwise"])

    def _do_assert(self, step: Mapping[str, Any]) -> None:
        if not self._value(step["condition"]):
            raise LaminaError(step["message"])


def dtype_named(name: str) -> np.dtype[Any]:
    """A dtype by its name, those of ml_dtypes included."""
    return np.dtype(getattr(ml_dtypes, name, None) or name)
