"""Loop- and hardware-level text compiled by llvmlite alone and called through the ABI: no runtime, one thread."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
from dataclasses import dataclass, field

import llvmlite.binding as llvm
import ml_dtypes
import numpy as np
from xdsl.dialects import get_all_dialects

from lamina import pipelines
from lamina.context import LaminaContext
from lamina.lowering.to_llvm_text import LlvmTarget, print_llvm
from lamina.parser import parse_text

BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
PARALLEL_FOR = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)
ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
ENTRY_TYPE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)

ENTRY = "attributes {llvm.emit_c_interface}"
DTYPES = {
    "f64": np.float64,
    "f32": np.float32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "i64": np.int64,
    "i32": np.int32,
    "i16": np.int16,
    "i8": np.int8,
    "i1": np.bool_,
    "index": np.int64,
}
"""NumPy's type of an element in memory."""
FLOATS = ("f64", "f32", "f16", "bf16")
INTEGERS = ("i64", "i32", "i16", "i8")

HOST_BITS = 512 if llvm.get_host_cpu_features().get("avx512f") else 256


def random_array(shape, type_, seed=0):
    """Small whole numbers of a type."""
    generator = np.random.default_rng(seed)
    return (generator.integers(0, 2, shape) if type_ == "i1" else generator.integers(-100, 100, shape)).astype(
        DTYPES[type_]
    )


def constant_text(value, type_):
    """The text of a scalar constant."""
    return f"arith.constant {value}" + ("" if type_ == "i1" else f" : {type_}")


class CallContext(ctypes.Structure):
    """`%lamina.context` of docs/architecture.md, written down a second time on purpose."""

    _fields_ = [
        ("abi_version", ctypes.c_int32),
        ("thread_count", ctypes.c_int32),
        ("constants", ctypes.c_void_p),
        ("pool", ctypes.c_void_p),
        ("parallel_for", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("error_code", ctypes.c_int32),
        ("padding", ctypes.c_int32),
        ("error_message", ctypes.c_char_p),
        ("user_data", ctypes.c_void_p),
    ]


def parse(text, name="test.mlir"):
    """A verified module from text, and its context."""
    context = LaminaContext()
    for dialect, factory in pipelines.dialects().items():
        context.register_dialect(dialect, factory)
    for dialect, factory in get_all_dialects().items():
        if dialect not in pipelines.dialects():
            context.register_dialect(dialect, factory)
    module = parse_text(context, text, name)
    module.verify()
    return module, context


@dataclass
class Native:
    """Compiled functions. `call` takes arrays (buffers) and integers (`index`) in the order of the MLIR arguments."""

    text: str
    vector_bits: int = HOST_BITS
    passes: tuple[str, ...] = ()
    optimize: bool | None = None
    constants: dict = field(default_factory=dict)
    partitions: int = 4

    def __post_init__(self):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module, context = parse(self.text)
        if self.passes:
            pipelines.run_passes(module, context, self.passes)
            module.verify()
        self.module = module
        self.program = print_llvm(module, target=LlvmTarget(self.vector_bits), partitions=self.partitions)
        # FileCheck-like assertions look at the text, the calls at what it does.
        self.llvm_text = "\n".join(one.text for one in self.program.modules)
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, reloc="pic"
        )
        builder = llvm.JITLibraryBuilder()
        for one in self.program.modules:
            parsed = llvm.parse_assembly(one.text)
            parsed.verify()
            if one.optimize if self.optimize is None else self.optimize:
                pass_builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
                pass_builder.getModulePassManager().run(parsed, pass_builder)
            builder.add_object_img(machine.emit_object(parsed))
        for name in self.program.externals:
            address = ctypes.cast(getattr(ctypes.CDLL("libm.so.6"), name), ctypes.c_void_p).value
            builder.import_symbol(name, address)
        builder.add_current_process()
        for symbol in self.program.entry_points.values():
            builder.export_symbol(symbol)
        self.engine = llvm.create_lljit_compiler(use_jit_link=True)
        self.tracker = builder.link(self.engine, f"test{next(_numbers)}")
        self.parallel_calls = []
        self.live = {}
        self._keep = (PARALLEL_FOR(self._parallel_for), ALLOCATE(self._allocate), RELEASE(self._release))

    def _parallel_for(self, context, body, closure, begin, end, grain):
        """In chunks of the grain, backwards: an order that the program must not depend on."""
        self.parallel_calls.append((begin, end, grain))
        function = BODY(body)
        for start in reversed(range(begin, end, grain)):
            function(context, closure, start, min(start + grain, end))

    def _allocate(self, context, size, alignment):
        if size > 2**40:
            return None
        memory = ctypes.create_string_buffer(size + alignment)
        address = -(-ctypes.addressof(memory) // alignment) * alignment
        self.live[address] = memory
        return address

    def _release(self, context, pointer):
        del self.live[pointer]

    def call(self, *arguments, function="main", results=0):
        """Run; returns (error code, message, `index` results). Arrays are checked against the MLIR types."""
        types = next(
            op for op in self.module.ops if getattr(op, "sym_name", None) and op.sym_name.data == function
        ).function_type.inputs
        pointers, sizes = [], []
        for type_, argument in zip(types, arguments, strict=True):
            if isinstance(argument, np.ndarray):
                assert argument.flags.c_contiguous
                pointers.append(argument.ctypes.data)
                shape = type_.get_shape()
                assert len(shape) == argument.ndim
                for static, size in zip(shape, argument.shape, strict=True):
                    if static < 0:
                        sizes.append(size)
                    else:
                        assert static == size
            else:
                sizes.append(argument)
        data = [np.ascontiguousarray(self.constants[key]) for key in self.program.constants]
        addresses = (ctypes.c_void_p * max(1, len(data)))(*(array.ctypes.data for array in data))
        context = CallContext(
            abi_version=1,
            thread_count=1,
            constants=ctypes.addressof(addresses),
            parallel_for=ctypes.cast(self._keep[0], ctypes.c_void_p).value,
            allocate=ctypes.cast(self._keep[1], ctypes.c_void_p).value,
            release=ctypes.cast(self._keep[2], ctypes.c_void_p).value,
        )
        assert ctypes.sizeof(context) == 72
        returned = (ctypes.c_int64 * max(1, results))()
        entry = ENTRY_TYPE(self.tracker[self.program.entry_points[function]])
        code = entry(
            ctypes.addressof(context),
            (ctypes.c_void_p * max(1, len(pointers)))(*pointers),
            (ctypes.c_int64 * max(1, len(sizes)))(*sizes),
            returned,
        )
        return code, context.error_message, list(returned)[:results]


_numbers = itertools.count()


def run(text, *arguments, **options):
    """Compile, call, and require success."""
    code, message, _ = Native(text, **options).call(*arguments)
    assert (code, message) == (0, None)


MLIR_OPT = shutil.which("mlir-opt-22") or shutil.which("mlir-opt")
MLIR_TRANSLATE = shutil.which("mlir-translate-22") or shutil.which("mlir-translate", path="/usr/lib/llvm-22/bin")


class Upstream:
    """The same text lowered by MLIR itself (`mlir-opt`, `mlir-translate`): an oracle nobody here wrote."""

    PASSES = (
        "--scf-forall-to-for",
        "--lower-vector-multi-reduction",
        "--convert-vector-to-scf=full-unroll=true",
        "--test-lower-to-llvm",
    )

    def __init__(self, text):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        lowered = _tool([MLIR_OPT, *self.PASSES], text)
        parsed = llvm.parse_assembly(_tool([MLIR_TRANSLATE, "--mlir-to-llvmir"], lowered))
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1, reloc="pic"
        )
        builder = llvm.JITLibraryBuilder().add_object_img(machine.emit_object(parsed))
        builder.add_current_process()
        builder.export_symbol("_mlir_ciface_main")
        self.engine = llvm.create_lljit_compiler(use_jit_link=True)
        self.tracker = builder.link(self.engine, f"upstream{next(_numbers)}")

    def call(self, *arguments):
        """Run `main` on arrays (as memref descriptors) and integers."""
        passed, types = [], []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                fields = [argument.ctypes.data, argument.ctypes.data, 0, *argument.shape]
                fields += [stride // argument.itemsize for stride in argument.strides]
                passed.append((ctypes.c_int64 * len(fields))(*fields))
                types.append(ctypes.c_void_p)
            else:
                passed.append(argument)
                types.append(ctypes.c_int64)
        ctypes.CFUNCTYPE(None, *types)(self.tracker["_mlir_ciface_main"])(
            *(ctypes.addressof(item) if isinstance(item, ctypes.Array) else item for item in passed)
        )


def _tool(command, text):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


def accepted_upstream(text):
    """Whether `mlir-opt` parses and verifies the text."""
    return subprocess.run([MLIR_OPT], input=text, capture_output=True, text=True, timeout=60).returncode == 0
