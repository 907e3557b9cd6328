"""MLIR's own tools as an independent route from the tensor level to machine code."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

import ml_dtypes
import numpy as np

MLIR_OPT, MLIR_TRANSLATE = "mlir-opt-22", "mlir-translate-22"

TO_LLVM = (
    "--one-shot-bufferize=bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map "
    "allow-return-allocs-from-loops",
    "--convert-linalg-to-loops",
    "--expand-strided-metadata",
    "--lower-affine",
    "--convert-scf-to-cf",
    "--arith-expand",
    "--memref-expand",
    "--math-expand-ops=ops=rsqrt",
    "--convert-math-to-libm",
    "--convert-math-to-llvm",
    "--convert-cf-to-llvm",
    "--convert-arith-to-llvm",
    "--finalize-memref-to-llvm",
    "--convert-func-to-llvm",
    "--reconcile-unrealized-casts",
)


def is_available() -> bool:
    """Whether MLIR's tools are installed."""
    return shutil.which(MLIR_OPT) is not None and shutil.which(MLIR_TRANSLATE) is not None


def pipe(tool: str, arguments: Sequence[str], text: str) -> str:
    """What a tool prints for `text`; raises AssertionError with its messages when it fails."""
    done = subprocess.run([tool, *arguments], input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{tool}: {done.stderr[:4000]}"
    return done.stdout


def assert_accepted(text: str) -> None:
    """MLIR reads and verifies a module."""
    pipe(MLIR_OPT, (), text)


class Library:
    """The functions `names` of a module (with `llvm.emit_c_interface`), compiled by MLIR and LLVM alone."""

    def __init__(self, text: str, names: Sequence[str]):
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        ir = pipe(MLIR_TRANSLATE, ("--mlir-to-llvmir",), pipe(MLIR_OPT, TO_LLVM, text))
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1, reloc="pic", jit=True
        )
        module = llvm.parse_assembly(ir)
        self._engine = llvm.create_lljit_compiler(use_jit_link=True)
        builder = llvm.JITLibraryBuilder()
        builder.add_object_img(machine.emit_object(module))
        for name, address in _system_symbols().items():
            builder.import_symbol(name, address)
        for name in names:
            builder.export_symbol(f"_mlir_ciface_{name}")
        self._linked = builder.link(self._engine, "library")

    def call(self, name: str, arguments: Sequence[np.ndarray | int], results: Sequence[tuple[np.dtype, int]]):
        """Call a function; `results` are the dtypes and ranks of the tensors that it returns."""
        address = self._linked[f"_mlir_ciface_{name}"]
        descriptors = [_descriptor(rank) for _, rank in results]
        returned = type(
            "Results", (ctypes.Structure,), {"_fields_": [(f"r{i}", d) for i, d in enumerate(descriptors)]}
        )()
        passed = [a if isinstance(a, int) else _describe(a) for a in arguments]
        types = [ctypes.c_void_p, *(ctypes.c_int64 if isinstance(a, int) else ctypes.c_void_p for a in passed)]
        function = ctypes.CFUNCTYPE(None, *types)(address)
        function(ctypes.addressof(returned), *(a if isinstance(a, int) else ctypes.addressof(a) for a in passed))
        return tuple(_array(getattr(returned, f"r{index}"), dtype, rank) for index, (dtype, rank) in enumerate(results))


@cache
def _system_symbols() -> dict[str, int]:
    """What compiled code may call: the C library's memory and math functions, the compiler's conversions."""
    names = ["malloc", "free", "memcpy", "memset", "abort", "puts", "fabs", "fmod", "pow", "atan2"]
    names += ["exp", "expm1", "log", "log1p", "sqrt", "erf", "floor", "ceil", "roundeven", "trunc"]
    names += [f"{arc}{name}{suffix}" for arc in ("", "a") for name in ("sin", "cos", "tan") for suffix in ("", "h")]
    names += ["__truncsfhf2", "__extendhfsf2", "__truncdfhf2", "__truncsfbf2", "__truncdfbf2"]
    libraries = [ctypes.CDLL(name) for name in ("libc.so.6", "libm.so.6", "libgcc_s.so.1")]
    found: dict[str, int] = {}
    for name in [*names, *(f"{name}f" for name in names)]:
        for library in libraries:
            if hasattr(library, name):
                found[name] = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
                break
    return found


@cache
def _descriptor(rank: int):
    fields = [("base", ctypes.c_void_p), ("data", ctypes.c_void_p), ("offset", ctypes.c_int64)]
    if rank:
        fields += [("sizes", ctypes.c_int64 * rank), ("strides", ctypes.c_int64 * rank)]
    return type(f"MemRef{rank}", (ctypes.Structure,), {"_fields_": fields})


def _describe(array: np.ndarray):
    described = _descriptor(array.ndim)()
    described.base = described.data = array.ctypes.data
    for axis in range(array.ndim):
        described.sizes[axis] = array.shape[axis]
        described.strides[axis] = int(np.prod(array.shape[axis + 1 :], dtype=np.int64))
    return described


def _array(described, dtype: np.dtype, rank: int) -> np.ndarray:
    shape = tuple(described.sizes) if rank else ()
    count = int(np.prod(shape, dtype=np.int64))
    if not count:
        return np.zeros(shape, dtype)
    start = described.data + described.offset * dtype.itemsize
    raw = np.frombuffer((ctypes.c_uint8 * (count * dtype.itemsize)).from_address(start), np.uint8).copy()
    strides = tuple(described.strides) if rank else ()
    assert strides == tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(rank)), strides
    return raw.view(dtype).reshape(shape)


assert ml_dtypes.bfloat16  # registers the dtype with NumPy
