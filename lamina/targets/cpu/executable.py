"""A compiled model that can be called."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lamina import knobs
from lamina.artefact import Artefact, Manifest, TensorInfo
from lamina.diagnostics import LaminaError
from lamina.plugins import Plugin
from lamina.targets.cpu import abi, direct_call, host, llvm
from lamina.targets.cpu.direct_call import address_of
from lamina.targets.cpu.externs import ExternLinks
from lamina.targets.cpu.large_pages import in_large_pages
from lamina.targets.cpu.thread_pool import thread_pool
from lamina.targets.signature import Signature, Sizes, check_output, check_overlaps

Array = npt.NDArray[Any]

ALIGNMENT = 64
REMEMBERED_PLANS = 4096
"""Distinct combinations of input shapes whose plans are kept."""
DIRECT_BYTES = 1 << 20
"""Outputs of more are not allocated before the inputs are known to be right."""


@dataclass(frozen=True)
class _Plan:
    """What does not change between calls with the same input shapes."""

    sizes: ctypes.Array[ctypes.c_int64]
    """All sizes of `main`: the arena's bytes, then the dynamic sizes of inputs and separate outputs."""
    arena_bytes: int
    outputs: tuple[tuple[Sizes, np.dtype[Any], int, int | None], ...]
    """Shape, dtype, bytes and aliased input of every output."""
    table: direct_call.Table
    """What the short way compares arguments with."""
    fresh_bytes: int
    """Bytes of the outputs with memory of their own."""


class _CallContext:
    """What one call at a time owns: the native context, its argument array, its arena.

    `plan` and `threads`: what `frame` is ready for.
    """

    def __init__(self, template: abi.Context, arguments: int):
        self.native = abi.Context.from_buffer_copy(template)
        self.address = ctypes.addressof(self.native)
        self.arguments = (ctypes.c_uint64 * arguments)()
        self.arguments_address = ctypes.addressof(self.arguments)
        self.arena_bytes = -1
        self.arena_address = 0
        self._arena: Array | None = None
        self.plan: _Plan | None = None
        self.threads = 0
        self.frame = direct_call.Frame(
            context=self.address, arguments=self.arguments_address, array_type=id(np.ndarray), count=arguments - 1
        )
        self.frame_address = ctypes.addressof(self.frame)

    def prepare(self, plan: _Plan, threads: int, main: int, inputs: int) -> None:
        """Make `frame` ready for calls of this plan; raises LaminaError when there is no memory for the arena."""
        self.plan = None
        self.reserve(plan.arena_bytes)
        self.arguments[0] = self.arena_address
        self.native.thread_count = threads
        self.frame.main = main
        self.frame.sizes = ctypes.addressof(plan.sizes)
        self.frame.table = plan.table.address
        self.frame.inputs = inputs
        self.plan, self.threads = plan, threads

    def reserve(self, size: int) -> None:
        """Have an arena of at least `size` bytes; raises LaminaError when there is not that much memory."""
        if size <= self.arena_bytes:
            return
        self._arena = None
        self.arena_bytes = -1
        self._arena, self.arena_address = _allocate((size,), np.dtype(np.uint8), size)
        self.arena_bytes = size


class Executable:
    """A compiled model: `exe(*arrays)` or `exe(**named)` gives a tuple of arrays, one per output.

    Everything is checked before anything runs, and refused with LaminaError. C-contiguous NumPy arrays and DLPack
    objects are used without copies. Any number of threads may call one executable at once; calls release the GIL.

    `inputs`, `outputs`: name, shape (numbers and names of symbolic sizes), dtype. `threads`: how many threads a call
    runs on, the caller's included; results do not depend on it. `compile_count`: how often code was generated for this
    executable: 0 when it was loaded, 1 when it was compiled, whatever sizes it is called with.
    """

    def __init__(
        self,
        artefact: Artefact,
        *,
        threads: int | None = None,
        compile_count: int = 0,
        plugins: Sequence[Plugin] = (),
    ):
        self.artefact = artefact
        self.compile_count = compile_count
        self._signature = Signature(artefact.manifest.inputs, artefact.manifest.outputs)
        # Outputs with memory of their own; the others have no argument, `main` writes them into their input.
        self._separate_outputs = [index for index, info in enumerate(artefact.manifest.outputs) if info.alias is None]
        self._externs = ExternLinks(artefact.manifest.externs, plugins)
        self._pool = thread_pool()
        imports = {**self._pool.conversions, **self._externs.addresses}
        self._library = llvm.Library(artefact.objects, (abi.MAIN, abi.PLAN), imports)
        self._main_address = self._library.address(abi.MAIN)
        self._main = abi.ENTRY_TYPE(self._main_address)
        self._input_count = len(self._signature.inputs)
        self._call_arrays = self._pool.call_arrays
        self._native_plan = abi.ENTRY_TYPE(self._library.address(abi.PLAN))
        self.threads = _checked_threads(threads) if threads is not None else host.default_threads()
        self._plans: dict[tuple[Sizes, ...], _Plan] = {}
        self._contexts: list[_CallContext] = []
        self._recent: _Plan | None = None
        self._named_out = self._signature.has_input("out")
        constants = in_large_pages([artefact.constants[key] for key in self.manifest.constants])
        self._constants = constants
        self._constant_addresses = (ctypes.c_void_p * max(1, len(constants)))(*map(address_of, constants))
        self._template = abi.new_context(
            constants=ctypes.addressof(self._constant_addresses),
            pool=self._pool.state,
            parallel_for=self._pool.parallel_for,
            allocate=self._pool.allocate,
            release=self._pool.release,
        )

    @staticmethod
    def load(path: str | os.PathLike[str], *, threads: int | None = None, plugins: Sequence[Plugin] = ()) -> Executable:
        """An executable from a file that `save` wrote; `plugins` define the library calls in it.

        Raises LaminaError for any other file, or another machine's.
        """
        artefact = Artefact.load(path)
        missing = host.missing_features(artefact.manifest.target)
        if missing:
            raise LaminaError(
                f"was compiled for {artefact.manifest.target.get('cpu')}; this machine lacks {', '.join(missing)}",
                where=os.fspath(path),
                hints=("compile the model again on this machine, or for an older CPU",),
            )
        return Executable(artefact, threads=threads, plugins=plugins)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the executable with its constants to one file; raises LaminaError when that fails."""
        try:
            self.artefact.save(path)
        except OSError as error:
            raise LaminaError(f"cannot be written: {error.strerror}", where=os.fspath(path)) from None

    @property
    def manifest(self) -> Manifest:
        """What the executable was compiled from, for and by."""
        return self.artefact.manifest

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and dtype of every input."""
        return self._signature.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and dtype of every output."""
        return self._signature.outputs

    def __call__(self, *arrays: object, **named: object) -> tuple[Array, ...]:
        """Run on one value per input, by position or by name; the outputs are freshly allocated arrays.

        `out=[…]` gives arrays to write into, one or None per output. (Where an input is called `out`, use `call`.) An
        output that aliases an input is the caller's array, updated in place. Raises LaminaError before anything runs
        for a wrong name, count, dtype, shape or storage, and afterwards for what the model itself found wrong.
        """
        if not named:
            return self._run(arrays, None, self.threads)
        out = None if self._named_out else named.pop("out", None)
        return self._run(self._signature.order(arrays, named) if named else arrays, out, self.threads)

    def call(
        self,
        inputs: Sequence[object] | Mapping[str, object],
        *,
        out: Sequence[Array | None] | None = None,
        threads: int | None = None,
    ) -> tuple[Array, ...]:
        """As calling the executable, with the inputs in one argument and, for this call only, a number of threads."""
        count = self.threads if threads is None else _checked_threads(threads)
        if isinstance(inputs, Mapping):
            return self._run(self._signature.order((), inputs), out, count)
        return self._run(inputs, out, count)

    def _run(self, values: Sequence[object], out: object, threads: int) -> tuple[Array, ...]:
        recent = self._recent
        if recent is not None:
            results = self._run_directly(recent, tuple(values), out, threads)
            if results is not None:
                return results
        signature = self._signature
        if len(values) != len(signature.inputs):
            values = signature.order(values, {})
        arrays = [signature.array(index, value) for index, value in enumerate(values)]
        plan = self._plans.get(key := tuple([array.shape for array in arrays])) or self._make_plan(key)
        addresses = [address_of(array) for array in arrays]
        if out is None:
            outputs: list[Array] = []
            for shape, dtype, size, alias in plan.outputs:
                if alias is not None:
                    outputs.append(arrays[alias])
                    continue
                array, address = _allocate(shape, dtype, size)
                outputs.append(array)
                addresses.append(address)
        else:
            outputs = self._given_outputs(out, plan, arrays)
            addresses += [
                address_of(array) for array, entry in zip(outputs, plan.outputs, strict=True) if entry[3] is None
            ]
        if out is not None or signature.donated:
            self._check_overlaps([*arrays, *(outputs[index] for index in self._separate_outputs)], addresses)
        self._execute(plan, addresses, threads)
        if direct_call.LAYOUT is not None and not self._externs.addresses:
            self._recent = plan
        return tuple(outputs)

    def _run_directly(
        self, plan: _Plan, arrays: tuple[Any, ...], out: object, threads: int
    ) -> tuple[Array, ...] | None:
        """The outputs if the arguments are as in the plan; None, and nothing has run, where only `_run` can tell."""
        if len(arrays) != self._input_count:
            return None
        if out is not None:
            if not isinstance(out, list | tuple) or self._signature.donated:
                return None
            outputs = results = tuple(cast("Sequence[Array]", out))
            if len(outputs) != len(plan.outputs):
                return None
        elif plan.fresh_bytes > DIRECT_BYTES:
            return None
        elif self._signature.donated:
            results = tuple(
                [
                    arrays[alias] if alias is not None else _allocate(shape, dtype, size)[0]
                    for shape, dtype, size, alias in plan.outputs
                ]
            )
            outputs = tuple([results[index] for index in self._separate_outputs])
        else:
            outputs = results = tuple([_allocate(shape, dtype, size)[0] for shape, dtype, size, _ in plan.outputs])
        try:
            context = self._contexts.pop()
        except IndexError:
            return None
        if context.plan is not plan or context.threads != threads:
            try:
                context.prepare(plan, threads, self._main_address, self._input_count)
            except LaminaError:  # these inputs may need less memory than the last ones
                return None
        if threads > 1:
            self._pool.ensure(threads)
        code = self._call_arrays(context.frame_address, id(arrays), id(outputs))
        message = abi.error_text(context.native) if code > 0 else ""
        self._contexts.append(context)
        if code > 0:
            raise _failure(message)
        return results if code == 0 else None

    def _execute(self, plan: _Plan, addresses: list[int], threads: int) -> None:
        try:
            context = self._contexts.pop()
        except IndexError:
            context = _CallContext(self._template, 1 + len(addresses))
        # A context that an exception (Ctrl-C, no memory) takes from here is not put back: it is freed, nothing else.
        context.reserve(plan.arena_bytes)
        context.arguments[:] = [context.arena_address, *addresses]
        native = context.native
        native.thread_count = context.threads = threads
        native.error_code = 0
        if threads > 1:
            self._pool.ensure(threads)
        code = self._main(context.address, context.arguments_address, ctypes.addressof(plan.sizes), None)
        message = abi.error_text(native) if code else ""
        self._contexts.append(context)
        failure = self._externs.take_failure() if self._externs.addresses else None
        if failure is not None:
            if not isinstance(failure.error, Exception):
                raise failure.error
            raise LaminaError(f"{failure.op}: {type(failure.error).__name__}: {failure.error}") from failure.error
        if code:
            raise _failure(message)

    def _make_plan(self, shapes: tuple[Sizes, ...]) -> _Plan:
        """Check the shapes, and ask the model for its arena and the sizes of its outputs."""
        signature = self._signature
        signature.check_shapes(shapes)
        sizes = [
            found
            for info, shape in zip(signature.inputs, shapes, strict=True)
            for expected, found in zip(info.shape, shape, strict=True)
            if isinstance(expected, str)
        ]
        separate = [signature.outputs[index] for index in self._separate_outputs]
        unknown = sum(isinstance(size, str) for info in separate for size in info.shape)
        results = (ctypes.c_int64 * (1 + unknown))()
        context = _CallContext(self._template, 1)
        arguments = (ctypes.c_int64 * max(1, len(sizes)))(*sizes)
        code = self._native_plan(
            context.address, context.arguments_address, ctypes.addressof(arguments), ctypes.addressof(results)
        )
        if code:
            raise _failure(abi.error_text(context.native))
        arena_bytes, *output_sizes = results
        if arena_bytes < 0 or any(size < 0 for size in output_sizes):
            raise LaminaError(f"these input shapes give outputs of negative size: {[list(shape) for shape in shapes]}")
        remaining = iter(output_sizes)
        outputs: list[tuple[Sizes, np.dtype[Any], int, int | None]] = []
        for info in signature.outputs:
            if info.alias is not None:
                shape = shapes[info.alias]
            else:
                shape = tuple(next(remaining) if isinstance(size, str) else size for size in info.shape)
            outputs.append((shape, info.dtype, _bytes(shape, info.dtype), info.alias))
        every_size = [arena_bytes, *sizes, *output_sizes]
        inputs = [
            (shape, info.dtype, _bytes(shape, info.dtype), index in signature.donated)
            for index, (info, shape) in enumerate(zip(signature.inputs, shapes, strict=True))
        ]
        fresh = [(shape, dtype, size, True) for shape, dtype, size, alias in outputs if alias is None]
        plan = _Plan(
            (ctypes.c_int64 * len(every_size))(*every_size),
            arena_bytes,
            tuple(outputs),
            direct_call.Table([*inputs, *fresh]),
            sum(size for _, _, size, _ in fresh),
        )
        if len(self._plans) >= REMEMBERED_PLANS:
            self._plans.clear()
        self._plans[shapes] = plan
        return plan

    def _given_outputs(self, out: object, plan: _Plan, arrays: Sequence[Array]) -> list[Array]:
        """The caller's arrays where there are any, aliased inputs and fresh arrays elsewhere."""
        infos = self._signature.outputs
        if not isinstance(out, Sequence) or len(out) != len(infos):  # pyright: ignore[reportUnknownArgumentType]
            raise LaminaError(f"out: expected a list with an array or None for each of the {len(infos)} outputs")
        outputs: list[Array] = []
        given: Sequence[object] = out  # pyright: ignore[reportUnknownVariableType]
        for info, (shape, dtype, size, alias), array in zip(infos, plan.outputs, given, strict=True):
            if alias is not None and array is not None and array is not arrays[alias]:
                raise LaminaError(
                    f"output '{info.name}' is written into input '{self.inputs[alias].name}': expected None in out"
                )
            if alias is not None:
                outputs.append(arrays[alias])
            elif array is None:
                outputs.append(_allocate(shape, dtype, size)[0])
            else:
                outputs.append(check_output(info, array, shape))
        return outputs

    def _check_overlaps(self, arrays: Sequence[Array], addresses: Sequence[int]) -> None:
        """Refuse memory that is written and is also another argument of this call."""
        donated = self._signature.donated
        names = [f"input '{info.name}'" for info in self.inputs]
        names += [f"output '{self.outputs[index].name}'" for index in self._separate_outputs]
        check_overlaps(
            (address, array.nbytes, name, index in donated or index >= len(self.inputs))
            for index, (array, address, name) in enumerate(zip(arrays, addresses, names, strict=True))
        )

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(str, infos)) for infos in (self.inputs, self.outputs))
        return f"<Executable ({inputs}) -> ({outputs})>"


def _failure(message: str) -> LaminaError:
    """What compiled code reports, and for sizes that differ what can be done."""
    broadcasting = (
        "a size that is 1 to broadcast has to be known: lamina.compile(model, dims={name: 1}), or --fix NAME=1",
    )
    return LaminaError(message, hints=broadcasting if message.endswith(" that differ") else ())


def _checked_threads(threads: int) -> int:
    if threads < 1:
        raise LaminaError(f"expected at least 1 thread, found {threads}", hints=(knobs.THREADS.help,))
    return threads


def _bytes(shape: Sizes, dtype: np.dtype[Any]) -> int:
    size = dtype.itemsize
    for length in shape:
        size *= length
    return size


def _allocate(shape: Sizes, dtype: np.dtype[Any], size: int) -> tuple[Array, int]:
    """An uninitialized array at an address that is a multiple of 64, and the address."""
    try:
        memory = np.empty(size + ALIGNMENT, np.uint8)
    except (MemoryError, ValueError):
        raise LaminaError(f"not enough memory: a call with these shapes needs {size / 2**30:.1f} GiB at once") from None
    address = address_of(memory)
    offset = -address % ALIGNMENT
    return np.ndarray(shape, dtype, memory, offset), address + offset
