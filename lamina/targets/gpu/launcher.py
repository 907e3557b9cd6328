"""Carrying out a compiled folder's manifest on a device, through a driver."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np

from lamina import safetensors
from lamina.artefact import TensorInfo
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_sizes import CONSTANTS, FORMAT_VERSION, MANIFEST
from lamina.targets.gpu import device_arrays
from lamina.targets.gpu.device_arrays import Borrowed, DeviceArray
from lamina.targets.gpu.driver import Argument, Array, Driver, KernelImage, TensorMap
from lamina.targets.gpu.memory import Block, Pool
from lamina.targets.gpu.steps import (
    Action,
    Allocate,
    Copy,
    Fill,
    Launch,
    Map,
    Place,
    Release,
    Walk,
    actions_of,
    dtype_named,
    reads_device,
)
from lamina.targets.signature import Signature

ALIGNMENT = 16
REMEMBERED_SHAPES, RECORDINGS = 64, 4
"""Combinations of input sizes whose actions are kept; recordings of each (one for every set of addresses)."""


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """The manifest of a compiled folder; raises LaminaError for what is none, or another version's."""
    try:
        manifest: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text())
        version = manifest.get("format")
    except (OSError, ValueError, AttributeError) as error:
        raise LaminaError(f"is no compiled GPU program: {error}", where=str(folder)) from None
    if version != FORMAT_VERSION:
        raise LaminaError("was written by another version", where=str(folder), hints=("compile the model again",))
    return manifest


def signature_of(manifest: Mapping[str, Any]) -> Signature:
    """Inputs and outputs as a manifest has them."""
    inputs = [TensorInfo(one["name"], tuple(one["shape"]), dtype_named(one["dtype"])) for one in manifest["inputs"]]
    numbers = {info.name: number for number, info in enumerate(inputs)}
    outputs = [
        TensorInfo(one["name"], inputs[numbers[one["input"]]].shape, dtype_named(one["dtype"]), numbers[one["input"]])
        if "input" in one
        else TensorInfo(one["name"], tuple(one["shape"]), dtype_named(one["dtype"]))
        for one in manifest["outputs"]
    ]
    return Signature(inputs, outputs)


@dataclass
class _Plan:
    """What does not change between calls of the same sizes.

    `actions`: None where they depend on what the device computes; `recordings` by the addresses that they hold.
    """

    sizes: Mapping[str, int]
    workspace: int
    output_shapes: Sequence[tuple[int, ...]]
    actions: Sequence[Action] | None
    recordings: OrderedDict[tuple[int, ...], Any] = field(default_factory=OrderedDict[tuple[int, ...], Any])


@dataclass
class _Given:
    """An input of a call: where it lies on the device; `host`: the array that it was uploaded from."""

    address: int
    shape: tuple[int, ...]
    host: Array | None
    keep: object
    value: object


class Program:
    """A compiled folder on a device: kernels loaded, constants uploaded once, one workspace for all calls.

    Calls from several threads take turns. Raises LaminaError where the folder is none, is for another kind of device,
    or a kernel is refused.
    """

    def __init__(self, folder: Path, driver: Driver):
        self.driver = driver
        self.manifest = read_manifest(folder)
        refusal = driver.refusal(self.manifest["target"])
        if refusal is not None:
            raise LaminaError(refusal, where=str(folder), hints=("compile the model for this device",))
        self.signature = signature_of(self.manifest)
        self.pool = Pool(driver)
        self.images: dict[str, KernelImage] = {}
        try:
            for one in self.manifest["kernels"]:
                self.images[one["name"]] = _image(folder, one)
            constants = safetensors.read(folder / CONSTANTS).tensors
        except (OSError, KeyError) as error:
            raise LaminaError(f"is no compiled GPU program: {error}", where=str(folder)) from None
        self.kernels = {name: driver.load(image) for name, image in self.images.items()}
        self._constants = {f"constant.{key}": self._upload(array) for key, array in constants.items()}
        self._is_static = not reads_device(self.manifest["steps"])
        self._plans: OrderedDict[tuple[tuple[int, ...], ...], _Plan] = OrderedDict()
        self._workspace: Block | None = None
        self._stream = driver.stream
        self._lock = threading.Lock()
        self._pending: list[tuple[Any, list[object]]] = []

    def __call__(self, **inputs: object) -> dict[str, Any]:
        """Run on arrays by the inputs' names: results by the outputs' names."""
        values = self.signature.order((), inputs)
        results = self.call(values)
        return {info.name: result for info, result in zip(self.signature.outputs, results, strict=True)}

    def call(self, values: Sequence[object], *, stream: int | None = None, on_device: bool | None = None) -> list[Any]:
        """Run on one value per input; one result per output.

        Values that NumPy can read are uploaded; arrays on the program's own device are used where they are. Results
        are NumPy arrays, or `DeviceArray`s where `on_device` says so or, left out, an input was on the device. A
        donated input is written to and is the result itself. `stream`: where the work goes (the driver's number), else
        to the driver's own stream; results on the device are ready in its order.

        Raises LaminaError for inputs that do not fit, and for what fails on the device.
        """
        with self._lock:
            return self._call(values, self.driver.stream if stream is None else stream, on_device)

    def _call(self, values: Sequence[object], stream: int, on_device: bool | None) -> list[Any]:
        if stream != self._stream:
            self.driver.follow(stream, self._stream)
            self._stream = stream
        given = [self._given(number, value, stream) for number, value in enumerate(values)]
        shapes = tuple(one.shape for one in given)
        plan = self._plan(shapes)
        for one in given:
            if one.host is not None and one.host.nbytes:
                self.driver.upload(one.address, one.host, stream)
        keep_there = any(one.host is None for one in given) if on_device is None else on_device
        self._reserve(plan.workspace, stream)
        infos = [info for info in self.signature.outputs if info.alias is None]
        blocks = [
            self.pool.block(prod(shape) * info.dtype.itemsize, stream)
            for shape, info in zip(plan.output_shapes, infos, strict=True)
        ]
        outputs = {f"output.{info.name}": block.address for info, block in zip(infos, blocks, strict=True)}
        inputs = {f"input.{info.name}": one.address for info, one in zip(self.signature.inputs, given, strict=True)}
        self._run(plan, {**inputs, **outputs}, stream)
        fresh = iter(
            DeviceArray(self.driver, block, shape, info.dtype, stream)
            for block, shape, info in zip(blocks, plan.output_shapes, infos, strict=True)
        )
        results: list[Any] = []
        for info in self.signature.outputs:
            if info.alias is None:
                result = next(fresh)
                results.append(result if keep_there else result.numpy())
                continue
            donated = given[info.alias]
            if donated.host is not None and donated.host.nbytes:
                self.driver.download(donated.host, donated.address, stream)
            results.append(donated.value)
        self._keep_alive([one.keep for one in given if one.host is None], stream)
        return results

    def _keep_alive(self, borrowed: list[object], stream: int) -> None:
        """Hold memory of others until the device is done with it."""
        self._pending = [(mark, held) for mark, held in self._pending if not self.driver.is_past(mark)]
        if borrowed:
            self._pending.append((self.driver.mark(stream), borrowed))

    # Inputs

    def _given(self, number: int, value: object, stream: int) -> _Given:
        info = self.signature.inputs[number]
        device = device_arrays.device_of(value)
        if device is not None and device[0] not in device_arrays.HOST_DEVICES:
            taken = device_arrays.borrow(info, value, self.driver, stream)
            if not taken.address % ALIGNMENT:
                return _Given(taken.address, taken.shape, None, taken, value)
            return self._moved(number, taken, value, stream)
        array = self.signature.array(number, value)
        block = self.pool.block(array.nbytes, stream)
        return _Given(block.address, array.shape, array, block, value)

    def _moved(self, number: int, taken: Borrowed, value: object, stream: int) -> _Given:
        """A copy of memory that does not start where kernels need it to, which load 16 bytes at once."""
        info = self.signature.inputs[number]
        if number in self.signature.donated:
            raise LaminaError(
                f"input '{info.name}' is updated in place: expected memory at a multiple of {ALIGNMENT} bytes",
                hints=("give an array that is no part of another one",),
            )
        size = prod(taken.shape) * taken.dtype.itemsize
        block = self.pool.block(size, stream)
        if size:
            self.driver.copy(block.address, taken.address, size, stream)
        return _Given(block.address, taken.shape, None, (taken, block), value)

    def _plan(self, shapes: tuple[tuple[int, ...], ...]) -> _Plan:
        found = self._plans.get(shapes)
        if found is not None:
            self._plans.move_to_end(shapes)
            return found
        self.signature.check_shapes(shapes)
        sizes: dict[str, int] = {}
        for info, shape in zip(self.signature.inputs, shapes, strict=True):
            sizes.update((dim, size) for dim, size in zip(info.shape, shape, strict=True) if isinstance(dim, str))
        actions_of(self.manifest["planning"], sizes)
        walk = Walk(sizes, lambda action: None, lambda place, dtype: 0)
        workspace = walk.value(self.manifest["workspace"])
        sizes["arena"] = workspace
        outputs = [
            tuple(walk.value(size) for size in one["shape"]) for one in self.manifest["outputs"] if "input" not in one
        ]
        known = dict(sizes)
        actions = actions_of(self.manifest["steps"], sizes) if self._is_static else None
        plan = self._plans[shapes] = _Plan(known, workspace, outputs, actions)
        if len(self._plans) > REMEMBERED_SHAPES:
            _, oldest = self._plans.popitem(last=False)
            self._drop_recordings(oldest)
        return plan

    # Work

    def _run(self, plan: _Plan, buffers: Mapping[str, int], stream: int) -> None:
        run = _Run(self, buffers, stream)
        if plan.actions is None:
            Walk(dict(plan.sizes), run.act, run.load).run(self.manifest["steps"])
            return
        # Only what runs on a stream of the driver's own is recorded: a caller may be recording his.
        held = any(isinstance(action, Allocate) for action in plan.actions)
        if not self.driver.can_capture or stream != self.driver.stream or held:
            run.all(plan.actions)
            return
        key = (0 if self._workspace is None else self._workspace.address, *buffers.values())
        recorded = plan.recordings.get(key)
        if recorded is None and len(plan.recordings) >= RECORDINGS:
            run.all(plan.actions)  # addresses that change all the time: recording costs more than it saves
            return
        if recorded is None:
            recorded = self.driver.capture(stream, partial(run.all, plan.actions))
            plan.recordings[key] = recorded
        self.driver.replay(recorded, stream)

    def _reserve(self, size: int, stream: int) -> None:
        """Have a workspace of at least `size` bytes; recordings with the last one's address go."""
        if self._workspace is not None and self._workspace.size >= size:
            return
        for plan in self._plans.values():
            self._drop_recordings(plan)
        self._workspace = None
        self._workspace = self.pool.block(size, stream)

    def _drop_recordings(self, plan: _Plan) -> None:
        while plan.recordings:
            self.driver.forget(plan.recordings.popitem()[1])

    def _upload(self, array: Array) -> Block:
        block = self.pool.block(array.nbytes, self.driver.stream)
        if array.nbytes:
            self.driver.upload(block.address, np.ascontiguousarray(array), self.driver.stream)
        return block

    def address(self, buffer: str) -> int | None:
        """Where a buffer that belongs to the program lies."""
        if buffer == "arena":
            return None if self._workspace is None else self._workspace.address
        found = self._constants.get(buffer)
        return None if found is None else found.address


class _Run:
    """The actions of one call, at the addresses of its buffers."""

    def __init__(self, program: Program, buffers: Mapping[str, int], stream: int):
        self.program = program
        self.driver = program.driver
        self.buffers = buffers
        self.temporary: dict[str, Block] = {}
        self.stream = stream

    def all(self, actions: Sequence[Action]) -> None:
        """Carry out actions."""
        for action in actions:
            self.act(action)

    def act(self, action: Action) -> None:
        """Carry out one action."""
        ACTIONS[type(action)](self, action)

    def load(self, place: Place, dtype: np.dtype[Any]) -> int:
        """Wait for the device, and read one number."""
        array = np.empty(1, dtype)
        self.driver.download(array, self.address(place), self.stream)
        return int(array[0])

    def address(self, place: Place) -> int:
        """Where a place lies."""
        buffer, offset = place
        found = self.buffers.get(buffer)
        if found is None:
            temporary = self.temporary.get(buffer)
            found = self.program.address(buffer) if temporary is None else temporary.address
        if found is None:
            raise LaminaError(f"the program has no buffer '{buffer}'")
        return found + offset

    def _launch(self, action: Launch) -> None:
        arguments = [self._argument(one) for one in action.arguments]
        kernel = self.program.kernels[action.kernel]
        self.driver.launch(kernel, action.blocks, action.threads, arguments, self.stream)

    def _argument(self, one: Place | Map | int) -> Argument:
        if isinstance(one, int):
            return "size", one
        if isinstance(one, Map):
            address = self.address(one.tensor)
            return "map", TensorMap(address, one.dtype, one.sizes, one.box, one.swizzle, one.promotion)
        return "address", self.address(one)

    def _copy(self, action: Copy) -> None:
        self.driver.copy(self.address(action.target), self.address(action.source), action.size, self.stream)

    def _fill(self, action: Fill) -> None:
        self.driver.fill(self.address(action.target), action.value, self.stream)

    def _allocate(self, action: Allocate) -> None:
        self.temporary[action.buffer] = self.program.pool.block(action.size, self.stream)

    def _release(self, action: Release) -> None:
        self.temporary.pop(action.buffer, None)


ACTIONS = cast(
    "Mapping[type[Action], Callable[[_Run, Action], None]]",
    {
        Launch: _Run._launch,  # pyright: ignore[reportPrivateUsage]
        Copy: _Run._copy,  # pyright: ignore[reportPrivateUsage]
        Fill: _Run._fill,  # pyright: ignore[reportPrivateUsage]
        Allocate: _Run._allocate,  # pyright: ignore[reportPrivateUsage]
        Release: _Run._release,  # pyright: ignore[reportPrivateUsage]
    },
)


def _image(folder: Path, one: Mapping[str, Any]) -> KernelImage:
    return KernelImage(
        one["name"],
        (folder / one["file"]).read_bytes(),
        one["threads"],
        one["shared_memory"],
        one.get("dynamic_shared_memory", 0),
        one.get("source"),
    )
