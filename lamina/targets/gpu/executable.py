"""A model compiled for a GPU that can be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from lamina.artefact import TensorInfo
from lamina.diagnostics import LaminaError
from lamina.targets.gpu.cuda import CudaDriver, stream_number
from lamina.targets.gpu.driver import Driver
from lamina.targets.gpu.launcher import Program
from lamina.targets.gpu.opencl import OpenClDriver
from lamina.trees import Structure, difference, flatten

Trees: TypeAlias = "tuple[Sequence[tuple[str, Structure]], Structure]"


class GpuExecutable:
    """A compiled folder on a device: `exe(*arrays)` or `exe(**named)` gives a tuple of arrays, one per output.

    NumPy arrays and numbers are uploaded, and results come back as NumPy arrays. Arrays that lie on the device
    (torch's, CuPy's, JAX's: whatever speaks DLPack) are used where they are, and results are `DeviceArray`s, which
    those libraries take without a copy. A donated input is updated in place and is the result. `stream=` runs a call on
    the caller's stream; without one, launches of repeated shapes are recorded once and replayed.

    `inputs`, `outputs`: name, shape (numbers and names of symbolic sizes), dtype. `trees`: of a function that was
    traced, the structures of its parameters by name and of its results: a call takes and gives such trees then.
    Raises LaminaError.
    """

    def __init__(self, folder: Path, driver: Driver, *, trees: Trees | None = None):
        self.program = Program(folder, driver)
        self._trees = trees

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What a call takes."""
        return self.program.signature.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What a call gives."""
        return self.program.signature.outputs

    def __call__(self, *values: object, stream: object = None, on_device: bool | None = None, **named: object) -> Any:
        """Run; `on_device` asks for results on the device, or on the host, whatever the inputs are."""
        given = values if self._trees is None else self._leaves(values, named)
        ordered = self.program.signature.order(given, {} if self._trees is not None else named)
        results = tuple(self.call(ordered, stream=stream, on_device=on_device))
        if self._trees is None or self._trees[1].is_leaf:
            return results
        return self._trees[1].unflatten(results)

    def call(self, values: Sequence[object], *, stream: object = None, on_device: bool | None = None) -> Sequence[Any]:
        """Run on one value per input, the leaves of trees: one array per output."""
        return self.program.call(values, stream=stream_number(stream), on_device=on_device)

    def _leaves(self, values: Sequence[object], named: Mapping[str, object]) -> list[object]:
        """The arrays of one tree per parameter; raises LaminaError for a tree of another structure."""
        parameters, _ = self._trees or ((), None)
        given = {**dict(zip((name for name, _ in parameters), values, strict=False)), **named}
        if len(given) != len(parameters) or len(values) + len(named) != len(parameters):
            names = ", ".join(name for name, _ in parameters)
            raise LaminaError(f"expected {len(parameters)} arguments", hints=(f"the parameters are {names}",))
        leaves: list[object] = []
        for name, expected in parameters:
            if name not in given:
                raise LaminaError(f"missing: {name}")
            found, shape = flatten(given[name])
            if shape != expected:
                raise LaminaError(f"argument '{name}': {difference(expected, shape)}")
            leaves += found
        return leaves


def driver_for(target: Mapping[str, Any], device: int = 0) -> Driver:
    """A driver of this machine for a target (a manifest's); raises LaminaError where there is none."""
    kind = target["kind"]
    if kind == "ptx":
        return CudaDriver(device)
    if kind == "spirv":
        return _opencl_driver()
    raise LaminaError(
        f"there is no driver for {kind}: kernels are compiled, not run",
        hints=(f"lamina compile MODEL --target {kind} -o DIR writes the kernels and how to launch them",),
    )


@cache
def _opencl_driver() -> OpenClDriver:
    """One for all programs, so that the arrays of one are memory of the others."""
    return OpenClDriver()
