"""The part of llvmlite that the CPU target uses, typed. The only place that imports llvmlite.

llvmlite serializes every call with one lock of its own, and frees a native object when its Python object dies; the
classes here keep what must stay alive together in one object.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite  # pyright: ignore[reportMissingTypeStubs]
import llvmlite.binding as _binding  # pyright: ignore[reportMissingTypeStubs]
from llvmlite.binding import ffi as _ffi  # pyright: ignore[reportMissingTypeStubs]

from lamina.diagnostics import LaminaError

binding: Any = _binding
ffi: Any = _ffi

CODE_GENERATION_LEVEL = 2
OPTIMIZATION_LEVEL = 2

LLVM_OPTIONS = ("-vectorizer-min-trip-count=0",)
"""What LLVM's command line would be given: short loops get a scalar rest, not masked stores. For a masked store of
truncated values of which one lane is left, LLVM 22 stores that lane before the truncation, beyond the end of memory."""


class InternalCompilerError(LaminaError):
    """A defect of the compiler: LLVM refused the text that was printed for it. The hints name a file with that text."""


@dataclass(frozen=True)
class TargetOptions:
    """What LLVM needs to know about a target: its triple, the CPU's name and its features (`+avx512f,-amx`)."""

    triple: str
    cpu: str
    features: str


@cache
def _initialize() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    binding.initialize_native_asmparser()
    for option in LLVM_OPTIONS:
        binding.set_option("lamina", option)


def version() -> str:
    """The versions that decide what code comes out: llvmlite's and LLVM's."""
    return f"llvmlite {llvmlite.__version__}, LLVM {'.'.join(map(str, binding.llvm_version_info))}"


def host_triple() -> str:
    """The triple of this process."""
    return str(binding.get_process_triple())


def host_cpu() -> str:
    """LLVM's name of this machine's CPU."""
    return str(binding.get_host_cpu_name())


def host_features() -> Mapping[str, bool]:
    """The CPU features that LLVM knows for this architecture, and whether this machine has them."""
    return dict(binding.get_host_cpu_features())


class TargetMachine:
    """LLVM's code generator for one target: position-independent code, code generation level O2."""

    def __init__(self, options: TargetOptions):
        _initialize()
        try:
            self._machine = binding.Target.from_triple(options.triple).create_target_machine(
                cpu=options.cpu,
                features=options.features,
                opt=CODE_GENERATION_LEVEL,
                reloc="pic",
                codemodel="small",
            )
        except RuntimeError as error:
            raise LaminaError(str(error), where=options.triple) from None

    def compile(self, text: str, *, optimize: bool) -> bytes:
        """LLVM IR text to an object file's bytes; `optimize` runs LLVM's O2 pipeline before code generation.

        Raises InternalCompilerError when LLVM refuses the text.
        """
        return bytes(self._machine.emit_object(self._prepare(text, optimize)))

    def assembly(self, text: str, *, optimize: bool) -> str:
        """The same as text for people."""
        return str(self._machine.emit_assembly(self._prepare(text, optimize)))

    def optimized(self, text: str) -> str:
        """LLVM IR text after the optimization pipeline."""
        return str(self._prepare(text, True))

    def _prepare(self, text: str, optimize: bool) -> Any:
        try:
            module = binding.parse_assembly(text)
            module.verify()
        except RuntimeError as error:
            raise internal_error(f"LLVM refused the generated code: {str(error).strip()}", text) from None
        if optimize:
            tuning = binding.create_pipeline_tuning_options(speed_level=OPTIMIZATION_LEVEL)
            tuning.loop_vectorization = True
            tuning.slp_vectorization = True
            builder = binding.create_pass_builder(self._machine, tuning)
            builder.getModulePassManager().run(module, builder)
        return module


def internal_error(message: str, text: str) -> InternalCompilerError:
    """An error about generated code, which is kept in a file that the error names."""
    descriptor, path = tempfile.mkstemp(prefix="lamina-", suffix=".ll")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return InternalCompilerError(message, hints=(f"this is a defect of lamina: please report it with {path}",))


class Library:
    """Objects linked into this process. The addresses are valid as long as this object lives."""

    def __init__(self, objects: Sequence[bytes], exports: Sequence[str], imports: Mapping[str, int] | None = None):
        """Link `objects` with each other, with this process's symbols and with `imports` (name → address).

        Raises InternalCompilerError for a symbol that is missing or defined twice.
        """
        _initialize()
        # One engine per library: a shared one would keep an empty shell of every library ever unloaded.
        self._engine = binding.create_lljit_compiler(use_jit_link=True)
        builder = binding.JITLibraryBuilder()
        for image in objects:
            builder.add_object_img(image)
        builder.add_current_process()
        for name, address in (imports or {}).items():
            builder.import_symbol(name, address)
        for name in exports:
            builder.export_symbol(name)
        try:
            self._tracker = builder.link(self._engine, "lamina")
        except RuntimeError as error:
            raise InternalCompilerError(f"the generated code does not link: {str(error).strip()}") from None
        self._addresses = {name: int(self._tracker[name]) for name in exports}

    def address(self, name: str) -> int:
        """The address of an exported symbol."""
        return self._addresses[name]

    def __del__(self) -> None:
        # llvmlite's objects do nothing while the interpreter shuts down, so code never goes before its last user then.
        for part in (getattr(self, "_tracker", None), getattr(self, "_engine", None)):
            if part is not None:
                part.close()


@contextlib.contextmanager
def no_calls_in_progress() -> Generator[None]:
    """Hold llvmlite's lock, so that no other thread is inside LLVM: needed around a fork whose child uses LLVM."""
    with ffi.lib._lock:
        yield
