"""Compiled models run for another architecture: linked with a driver in C by a cross compiler, run by QEMU."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamina.artefact import Artefact
from lamina.targets.cpu import llvm, narrow_floats, runtime_ir

DRIVER = Path(__file__).with_name("cross_driver.c")
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
PACKAGES = "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
LIMIT_SECONDS = 240


def missing_tools() -> str:
    """What is not installed and where it comes from; empty when all is there."""
    missing = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
    return f"no {' and no '.join(missing)} (Debian: {PACKAGES})" if missing else ""


def run(artefact: Artefact, feeds: Mapping[str, np.ndarray], folder: Path, threads: int = 1) -> list[np.ndarray]:
    """The outputs of one call. Raises RuntimeError with the model's own message, or when linking or running fails."""
    program = link(artefact, folder)
    job, result = folder / "job", folder / "result"
    job.write_bytes(_job(artefact, feeds, threads))
    # The newest CPU that the emulator knows; every extension that a target names is among its features.
    _command(EMULATOR, "-cpu", "max", program, job, result)
    return _results(artefact, result.read_bytes())


def link(artefact: Artefact, folder: Path) -> Path:
    """An executable file of the model's objects, the runtime's native part and the driver."""
    target = artefact.manifest.target
    options = llvm.TargetOptions(str(target["triple"]), str(target["cpu"]), str(target["features"]))
    runtime = runtime_ir.runtime_text(options.triple) + narrow_floats.TEXT
    images = [*artefact.objects, llvm.TargetMachine(options).compile(runtime, optimize=True)]
    paths = [folder / f"part{index}.o" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(image)
    program = folder / "program"
    _command(COMPILER, "-O1", "-Wall", "-Werror", "-static", "-o", program, DRIVER, *paths, "-lm", "-lpthread")
    return program


def _command(*words: str | Path) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=LIMIT_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{words[0]} gave {done.returncode}: {done.stdout}{done.stderr}")


def _job(artefact: Artefact, feeds: Mapping[str, np.ndarray], threads: int) -> bytes:
    manifest = artefact.manifest
    inputs = [np.ascontiguousarray(feeds[info.name]).reshape(feeds[info.name].shape) for info in manifest.inputs]
    for info, array in zip(manifest.inputs, inputs, strict=True):
        assert info.dtype == array.dtype and len(info.shape) == array.ndim
    dynamic = [
        size
        for info, array in zip(manifest.inputs, inputs, strict=True)
        for wanted, size in zip(info.shape, array.shape, strict=True)
        if isinstance(wanted, str)
    ]
    parts = [_numbers(threads), _arrays([artefact.constants[key] for key in manifest.constants]), _arrays(inputs)]
    parts += [_numbers(len(dynamic), *dynamic), _numbers(len(manifest.outputs))]
    for info in manifest.outputs:
        shape = feeds[manifest.inputs[info.alias].name].shape if info.alias is not None else info.shape
        sizes = [-1 if isinstance(size, str) else size for size in shape]
        alias = -1 if info.alias is None else info.alias
        parts.append(_numbers(info.dtype.itemsize, alias, len(sizes), *sizes))
    return b"".join(parts)


def _numbers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


def _arrays(arrays: list[np.ndarray]) -> bytes:
    return _numbers(len(arrays)) + b"".join(_numbers(array.nbytes) + array.tobytes() for array in arrays)


def _results(artefact: Artefact, data: bytes) -> list[np.ndarray]:
    (code,) = struct.unpack_from("<q", data)
    if code:
        raise RuntimeError(f"error {code}: {data[8:].decode()}")
    position, outputs = 8, []
    for info in artefact.manifest.outputs:
        (rank,) = struct.unpack_from("<q", data, position)
        *shape, size = struct.unpack_from(f"<{rank + 1}q", data, position + 8)
        position += 8 * (rank + 2)
        outputs.append(np.frombuffer(data, info.dtype, size // info.dtype.itemsize, position).reshape(shape))
        position += size
    assert position == len(data)
    return outputs
