"""LLVM IR text to object code, several modules at a time in forked worker processes.

llvmlite allows one thread at a time into LLVM, so only processes compile in parallel. A child is forked after the
imports and while no thread is inside LLVM; it touches nothing but LLVM and the temporary file that its objects go to.
Whatever happens to it (it hangs, runs out of memory, is killed), the parent compiles what is missing itself; only a
crash inside LLVM is an error, as the parent would crash in the same place.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import struct
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple

from lamina import knobs
from lamina.targets.cpu import llvm

WORTH_FORKING = 60_000
"""Characters of LLVM text (about 15 ms of code generation) below which a fork does not pay."""
MINIMUM_PATIENCE = 20.0
"""Seconds that a worker may take longer than this process took for an equal share, at least …"""
PATIENCE = 20.0
"""… or this many times as long."""
CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGFPE)

_RECORD = struct.Struct("<qq")


class LlvmModule(NamedTuple):
    """One LLVM module: a name for people, its text, and whether LLVM's optimization pipeline shall run on it.

    Explicit-vector kernels go without the pipeline, which makes them slower; scalar loops need it.
    """

    name: str
    text: str
    optimize: bool


@dataclass
class Counters:
    """How much was compiled in this process: what tests and statistics ask."""

    modules: int = 0
    forked_modules: int = 0


counters = Counters()
_counters_lock = threading.Lock()


def compile_modules(
    modules: Sequence[LlvmModule], options: llvm.TargetOptions, *, workers: int | None = None
) -> list[bytes]:
    """One object file per module, in their order. `workers`: processes, this one included (LAMINA_COMPILE_WORKERS).

    Raises InternalCompilerError, naming a file with the text, when LLVM refuses a module or crashes.
    """
    count = min(workers or knobs.COMPILE_WORKERS.value(), len(modules))
    if count > 1 and _can_fork() and sum(len(module.text) for module in modules) >= WORTH_FORKING:
        objects = _compile_forked(modules, options, count)
    else:
        machine = llvm.TargetMachine(options)
        objects = {index: _compile(machine, module) for index, module in enumerate(modules)}
    with _counters_lock:
        counters.modules += len(modules)
    return [objects[index] for index in range(len(modules))]


def _compile(machine: llvm.TargetMachine, module: LlvmModule) -> bytes:
    return machine.compile(module.text, optimize=module.optimize)


def _can_fork() -> bool:
    return sys.platform == "linux" and hasattr(os, "fork")


def shares(modules: Sequence[LlvmModule], count: int) -> list[list[int]]:
    """Indices of the modules in `count` shares of about the same length of text: longest first, each to the least."""
    parts: list[list[int]] = [[] for _ in range(count)]
    loads = [0] * count
    for index in sorted(range(len(modules)), key=lambda index: (-len(modules[index].text), index)):
        least = loads.index(min(loads))
        parts[least].append(index)
        loads[least] += len(modules[index].text)
    return parts


def _compile_forked(modules: Sequence[LlvmModule], options: llvm.TargetOptions, count: int) -> dict[int, bytes]:
    own, *others = shares(modules, count)
    machine = llvm.TargetMachine(options)
    children: list[_Child] = []
    try:
        for share in others:
            # Without a further process (a limit, no memory) the loop below compiles the share.
            with contextlib.suppress(OSError):
                children.append(_Child(modules, share, machine))
        start = time.monotonic()
        objects = {index: _compile(machine, modules[index]) for index in own}
        patience = max(MINIMUM_PATIENCE, PATIENCE * (time.monotonic() - start))
        for child in children:
            objects |= child.collect(patience)
    finally:
        for child in children:
            child.end()
    with _counters_lock:
        counters.forked_modules += len(objects) - len(own)
    for index in range(len(modules)):
        if index not in objects:
            objects[index] = _compile(machine, modules[index])
    return objects


class _Child:
    """A forked process that compiles some of the modules, in order, into a temporary file."""

    def __init__(self, modules: Sequence[LlvmModule], share: Sequence[int], machine: llvm.TargetMachine):
        self.modules = modules
        self.share = share
        self.output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.alive, self._writing_end = os.pipe()
        self.signal = 0
        self._ended = False
        with llvm.no_calls_in_progress(), warnings.catch_warnings():
            # Python and JAX warn of forks beside other threads; LLVM's lock is held, and the child uses nothing else.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            self.process = os.fork()
            if self.process == 0:
                self._work(machine)
        os.close(self._writing_end)

    def _work(self, machine: llvm.TargetMachine) -> None:
        """The child's life; it never returns."""
        code = 1
        try:
            gc.disable()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            for index in self.share:
                image = _compile(machine, self.modules[index])
                self.output.write(_RECORD.pack(index, len(image)))
                self.output.write(image)
                self.output.flush()
            code = 0
        finally:
            os._exit(code)

    def collect(self, patience: float) -> dict[int, bytes]:
        """The finished objects by index. Waits at most `patience` seconds; raises when LLVM crashed in the child."""
        # The child's end of the pipe closes when the process ends, however it ends.
        finished, _, _ = select.select([self.alive], [], [], patience)
        self.end()
        objects = self._read()
        if finished and self.signal in CRASHES:
            culprit = next(index for index in self.share if index not in objects)
            module = self.modules[culprit]
            name = signal.Signals(self.signal).name
            raise llvm.internal_error(f"LLVM crashed ({name}) on '{module.name}'", module.text)
        return objects

    def _read(self) -> dict[int, bytes]:
        self.output.seek(0)
        data = self.output.read()
        objects: dict[int, bytes] = {}
        position = 0
        while position + _RECORD.size <= len(data):
            index, length = _RECORD.unpack_from(data, position)
            position += _RECORD.size
            image = data[position : position + length]
            if len(image) < length:
                break
            objects[index] = image
            position += length
        return objects

    def end(self) -> None:
        """Kill the process if it still runs, and take its status, so that nothing is left of it."""
        if self._ended:
            return
        self._ended = True
        readable, _, _ = select.select([self.alive], [], [], 0)
        os.close(self.alive)
        # Where SIGCHLD is ignored the system has taken the status already.
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            if not readable:
                os.kill(self.process, signal.SIGKILL)
            _, status = os.waitpid(self.process, 0)
            if os.WIFSIGNALED(status):
                self.signal = os.WTERMSIG(status)
