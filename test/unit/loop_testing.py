"""Running what the loop passes make through LLVM's own lowering (mlir-opt, mlir-translate), and kernels as short text."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects import func, get_all_dialects
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from lamina.dialects.loop import loop_dialects
from lamina.dialects.tensor import tensor_dialects
from lamina.passes.loop.bufferize import BufferizePass
from lamina.passes.loop.linalg_to_loops import LinalgToLoopsPass
from lamina.passes.loop.plan_arena import PlanArenaPass
from lamina.passes.loop.tile import TilePass
from lamina.passes.loop.vectorize import VectorizePass

MLIR_OPT = shutil.which("mlir-opt-22") or shutil.which("mlir-opt")
MLIR_TRANSLATE = shutil.which("mlir-translate-22") or shutil.which("mlir-translate", path="/usr/lib/llvm-22/bin")
needs_mlir = pytest.mark.skipif(
    not (MLIR_OPT and MLIR_TRANSLATE), reason="mlir-opt and mlir-translate 22 are not installed (Debian: mlir-22-tools)"
)

NAIVE = (BufferizePass, LinalgToLoopsPass, PlanArenaPass)
FULL = (BufferizePass, TilePass, VectorizePass, LinalgToLoopsPass, PlanArenaPass)
PATHS = pytest.mark.parametrize("passes", [NAIVE, FULL], ids=["naive", "full"])
MAX_OPS = 400

LOWERING = [
    "--scf-forall-to-for",
    "--convert-vector-to-scf",
    "--expand-strided-metadata",
    "--lower-affine",
    "--convert-scf-to-cf",
    "--convert-math-to-llvm",
    "--convert-math-to-libm",
    "--convert-vector-to-llvm",
    "--arith-expand",
    "--convert-arith-to-llvm",
    "--finalize-memref-to-llvm",
    "--convert-func-to-llvm",
    "--convert-cf-to-llvm",
    "--convert-index-to-llvm",
    "--convert-ub-to-llvm",
    "--reconcile-unrealized-casts",
]


def new_context() -> Context:
    context = Context()
    for name, factory in {**get_all_dialects(), **tensor_dialects(), **loop_dialects()}.items():
        context.register_dialect(name, factory)
    return context


def parse(text: str) -> ModuleOp:
    module = Parser(new_context(), text).parse_module()
    module.verify()
    return module


def run_tool(command: Sequence[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{done.stderr[:2000]}\n{text[:4000]}"
    return done.stdout


def lowered(text: str, passes: Sequence[type]) -> ModuleOp:
    """The module after the passes; verified, and accepted by mlir-opt, after each."""
    module = parse(text)
    for pass_type in passes:
        pass_type().apply(new_context(), module)
        module.verify()
        printed = str(module)
        if MLIR_OPT:
            run_tool([MLIR_OPT, "-"], printed)
        assert str(parse(printed)) == printed
    for function in module.walk():
        if isinstance(function, func.FuncOp):
            assert sum(1 for _ in function.walk()) <= MAX_OPS, f"{function.sym_name.data} has too many ops"
    return module


def descriptor(array: np.ndarray) -> ctypes.Array:
    """MLIR's memref descriptor: allocated, aligned, offset, sizes, strides."""
    strides = [stride // array.itemsize for stride in array.strides]
    return (ctypes.c_int64 * (3 + 2 * array.ndim))(array.ctypes.data, array.ctypes.data, 0, *array.shape, *strides)


class Native:
    """A lowered module, loaded by LLVM's JIT."""

    def __init__(self, module: ModuleOp):
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        llvm.load_library_permanently("libm.so.6")
        text = run_tool([MLIR_OPT, "-", *LOWERING], str(module))
        parsed = llvm.parse_assembly(run_tool([MLIR_TRANSLATE, "--mlir-to-llvmir"], text))
        machine = llvm.Target.from_default_triple().create_target_machine(
            opt=2, cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten()
        )
        self.engine = llvm.create_mcjit_compiler(parsed, machine)
        self.engine.finalize_object()
        self.arguments = next(
            [dict(item.data) for item in op.arg_attrs]
            for op in module.ops
            if isinstance(op, func.FuncOp) and op.sym_name.data == "main"
        )
        self.results = next(
            len(op.function_type.outputs)
            for op in module.ops
            if isinstance(op, func.FuncOp) and op.sym_name.data == "main.plan"
        )

    def plan(self, sizes: Sequence[int]) -> list[int]:
        address = self.engine.get_function_address("_mlir_ciface_main.plan")
        if self.results == 1:
            function = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(sizes))(address)
            return [function(*sizes)]
        results = (ctypes.c_int64 * self.results)()
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * len(sizes))(address)(
            ctypes.cast(results, ctypes.c_void_p), *sizes
        )
        return list(results)

    def __call__(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], sizes: Sequence[int]) -> list[int]:
        plan = self.plan(sizes)
        guard = 64
        arena = np.full(plan[0] + guard, 0x5A, np.uint8)
        arrays = [arena[: plan[0]], *inputs, *outputs]
        descriptors = [descriptor(array) for array in arrays]
        address = self.engine.get_function_address("_mlir_ciface_main")
        ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays))(address)(
            *(ctypes.cast(item, ctypes.c_void_p) for item in descriptors)
        )
        assert (arena[plan[0] :] == 0x5A).all(), "written beyond the arena"
        return plan


# A little text, so that a case reads as mathematics

MLIR_TYPES = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64", "bool": "i1", "int8": "i8"}


class Shapes:
    """Sizes by symbol; the symbols in `dynamic` are `?` in the text."""

    def __init__(self, sizes: dict[str, int], dynamic: str = ""):
        self.sizes = sizes
        self.dynamic = dynamic

    def tensor(self, axes: str, element: str = "f32") -> str:
        return "tensor<" + "".join(f"{self.text(axis)}x" for axis in axes) + f"{element}>"

    def text(self, axis: str) -> str:
        return "?" if axis in self.dynamic else str(self.sizes[axis])

    def shape(self, axes: str) -> tuple[int, ...]:
        return tuple(self.sizes[axis] for axis in axes)


def affine(domain: str, results: str) -> str:
    """`mk <- mnk` as an affine map; `+` and `*` inside commas: "m,2*n+k"."""
    dims = ", ".join(domain)
    return f"affine_map<({dims}) -> ({results})>"


def generic(
    shapes: Shapes,
    result: str,
    domain: str,
    reductions: str,
    inputs: Sequence[tuple[str, str, str]],
    output: tuple[str, str, str],
    body: str,
    schedule: str = "",
    elements: dict[str, str] | None = None,
) -> str:
    """A linalg.generic; operands are (name, axes of the tensor, map)."""
    kinds = ", ".join('"reduction"' if axis in reductions else '"parallel"' for axis in domain)
    maps = ", ".join(affine(domain, map_) for _, _, map_ in [*inputs, output])
    elements = elements or {}
    types = [shapes.tensor(axes, elements.get(name, "f32")) for name, axes, _ in inputs]
    out_element = elements.get(output[0], "f32")
    out_type = shapes.tensor(output[1], out_element)
    names = "abcdefgh"[: len(inputs)]
    arguments = ", ".join(f"%{n}: {elements.get(i[0], 'f32')}" for n, i in zip(names, inputs, strict=True))
    arguments = f"{arguments}, " if arguments else ""
    axes = ", ".join(f'"{axis}"' for axis in domain)
    attributes = f"lamina.axes = [{axes}]" + (f", lamina.schedule = {schedule}" if schedule else "")
    ins = f"ins({', '.join(i[0] for i in inputs)} : {', '.join(types)}) " if inputs else ""
    return (
        f"  {result} = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}} {ins}"
        f"outs({output[0]} : {out_type}) attrs = {{{attributes}}} {{\n"
        f"  ^bb0({arguments}%out: {out_element}):\n{body}\n  }} -> {out_type}\n"
    )


def fill(shapes: Shapes, result: str, value: str, target: str, axes: str, element: str = "f32") -> str:
    type_ = shapes.tensor(axes, element)
    return f"  {result} = linalg.fill ins({value} : {element}) outs({target} : {type_}) -> {type_}\n"


def empty(shapes: Shapes, result: str, axes: str, element: str = "f32") -> str:
    sizes = ", ".join(f"%size_{axis}" for axis in axes if axis in shapes.dynamic)
    return f"  {result} = tensor.empty({sizes}) : {shapes.tensor(axes, element)}\n"


def module(
    shapes: Shapes, inputs: dict[str, tuple[str, str]], output: tuple[str, str], body: str, result: str = "%R"
) -> str:
    """A kernel `@k` with `body`, and a main that calls it. Operands are (axes, element type)."""
    arguments = [f"%{name}: {shapes.tensor(*spec)}" for name, spec in inputs.items()]
    out_type = shapes.tensor(*output)
    own = {axis for axes, _ in inputs.values() for axis in axes}
    given_axes = [axis for axis in shapes.dynamic if axis not in own]
    sizes = [f"%size_{axis}: index" for axis in given_axes]
    dims = ""
    for axis in shapes.dynamic:
        for name, (axes, element) in inputs.items():
            if axis in axes:
                dims += (
                    f"  %axis_{axis} = arith.constant {axes.index(axis)} : index\n"
                    f"  %size_{axis} = tensor.dim %{name}, %axis_{axis} : {shapes.tensor(axes, element)}\n"
                )
                break
    given = "".join(f"  %size_{axis} = arith.constant {shapes.sizes[axis]} : index\n" for axis in given_axes)
    call_types = ", ".join(
        [*(shapes.tensor(*spec) for spec in inputs.values()), *["index"] * len(given_axes), out_type]
    )
    call = ", ".join([*(f"%{name}" for name in inputs), *(f"%size_{axis}" for axis in given_axes), "%new"])
    return (
        f"func.func private @k({', '.join([*arguments, *sizes, f'%dst: {out_type}'])}) -> {out_type}"
        f" attributes {{lamina.kernel}} {{\n{dims}{body}  func.return {result} : {out_type}\n}}\n"
        f"func.func @main({', '.join(arguments)}) -> {out_type} {{\n{dims}{given}{empty(shapes, '%new', *output)}"
        f"  %result = func.call @k({call}) : ({call_types}) -> {out_type}\n  func.return %result : {out_type}\n}}\n"
    )


def dynamic_sizes(shapes: Shapes, inputs: dict[str, tuple[str, str]]) -> list[int]:
    return [shapes.sizes[axis] for axes, _ in inputs.values() for axis in axes if axis in shapes.dynamic]


def check(
    shapes: Shapes,
    inputs: dict[str, tuple[str, str]],
    output: tuple[str, str],
    body: str,
    expected: Callable[..., np.ndarray],
    passes: Sequence[type],
    *,
    arrays: dict[str, np.ndarray] | None = None,
    tolerance: float = 2e-5,
) -> ModuleOp:
    lowered_module = lowered(module(shapes, inputs, output, body), passes)
    if MLIR_TRANSLATE is None:
        return lowered_module
    random = np.random.default_rng(0)
    names = {value: key for key, value in MLIR_TYPES.items()}
    values = []
    for name, (axes, element) in inputs.items():
        given = None if arrays is None else arrays.get(name)
        if given is None:
            given = random.standard_normal(shapes.shape(axes)) * (4 if "i" in element else 1)
        values.append(np.ascontiguousarray(given).astype(names[element]))
    result = np.full(shapes.shape(output[0]), 77, names[output[1]])
    Native(lowered_module)(values, [result], dynamic_sizes(shapes, inputs))
    wanted = expected(*[value.astype(np.float64) if value.dtype == np.float32 else value for value in values])
    if result.dtype.kind == "f":
        np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance * max(1, _magnitude(wanted)))
    else:
        np.testing.assert_array_equal(result, wanted)
    return lowered_module


def _magnitude(array: np.ndarray) -> float:
    finite = np.abs(array[np.isfinite(array)]) if array.size else array
    return float(finite.max()) if finite.size else 0.0
