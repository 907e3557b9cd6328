"""NVIDIA's assembler of PTX: whether kernels assemble for an architecture, and what they take of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lamina.diagnostics import LaminaError

REGISTER_FILE = 65536
"""Registers of 32 bits that the threads of a block share, on every architecture from sm_70 on."""
REGISTER_UNIT = 256
"""They are given to warps in units of that many."""
WARP = 32

USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")


@dataclass(frozen=True)
class Usage:
    """What ptxas says of a kernel: registers per thread, bytes of static shared memory, bytes of spills per thread."""

    kernel: str
    registers: int
    shared_memory: int
    spill_stores: int
    spill_loads: int


def find_ptxas(architecture: str | None = None) -> Path | None:
    """ptxas of PyPI's nvidia-cuda-nvcc in this environment, else the one on PATH, that knows an architecture.

    CUDA 13 knows none older than sm_75; nvidia-cuda-nvcc-cu12, which may lie beside it, does. None where there is
    none.
    """
    candidates = sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin/ptxas"))
    on_path = shutil.which("ptxas")
    if on_path is not None:
        candidates.append(Path(on_path))
    return next((one for one in candidates if architecture is None or architecture in _architectures(one)), None)


@cache
def _architectures(ptxas: Path) -> frozenset[str]:
    """The architectures that an assembler lists in its help, in quotes."""
    done = subprocess.run([str(ptxas), "--help"], capture_output=True, text=True, check=False)
    return frozenset(re.findall(r"'(sm_\d+[af]?)'", done.stdout))


def assemble(
    path: Path,
    kernel: str,
    architecture: str,
    *,
    threads: int = 1,
    source: str | None = None,
    ptxas: Path | None = None,
) -> Usage:
    """Assemble a kernel's file, keeping nothing. Raises LaminaError, with the kernel, for what does not assemble, and
    for more registers than a block of `threads` can have."""
    # One that does not know the architecture says so.
    program = ptxas or find_ptxas(architecture) or find_ptxas()
    if program is None:
        raise LaminaError("there is no ptxas", hints=("pip install nvidia-cuda-nvcc, or put CUDA's on PATH",))
    command = [str(program), f"-arch={architecture}", "-v", str(path), "-o", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line or "fatal" in line]
        reason = (said or done.stderr.splitlines() or ["it says nothing"])[0].strip()
        raise LaminaError(f"kernel '{kernel}' does not assemble for {architecture}: {reason}", where=source)
    registers, shared, spills = (pattern.search(done.stderr) for pattern in (USED, SHARED, SPILLS))
    used = int(registers[1]) if registers is not None else 0
    per_warp = -(-used * WARP // REGISTER_UNIT) * REGISTER_UNIT
    needed = per_warp * -(-threads // WARP)
    if needed > REGISTER_FILE:
        raise LaminaError(
            f"kernel '{kernel}' takes {used} registers in each of {threads} threads, {needed} in all;"
            f" {architecture} has {REGISTER_FILE} for a block",
            where=source,
        )
    return Usage(
        kernel,
        used,
        int(shared[1]) if shared is not None else 0,
        int(spills[1]) if spills is not None else 0,
        int(spills[2]) if spills is not None else 0,
    )


def assemble_package(folder: Path, manifest: Mapping[str, Any], workers: int = 2) -> list[Usage]:
    """Assemble every kernel of a compiled folder; raises LaminaError as `assemble` does, and for other targets."""
    target = manifest["target"]
    if target["kind"] != "ptx":
        raise LaminaError("only PTX is assembled by ptxas", where=str(folder), hints=("compile with --target ptx",))

    def one(kernel: Mapping[str, Any]) -> Usage:
        path, architecture = folder / kernel["file"], target["architecture"]
        return assemble(path, kernel["name"], architecture, threads=kernel["threads"], source=kernel["source"])

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, manifest["kernels"]))


def table(usages: Sequence[Usage]) -> str:
    """A line per kernel, the ones with most registers first."""
    ordered = sorted(usages, key=lambda one: -one.registers)
    width = max([len("kernel"), *(len(one.kernel) for one in usages)])
    head = f"{'kernel':{width}}  registers  shared memory  spill stores  spill loads"
    rows = [
        f"{one.kernel:{width}}  {one.registers:9}  {one.shared_memory:13}  {one.spill_stores:12}  {one.spill_loads:11}"
        for one in ordered
    ]
    return "\n".join([head, *rows])
