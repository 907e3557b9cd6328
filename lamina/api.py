"""What `import lamina` gives: from a model to something that can be called, and the steps in between for tools."""

from __future__ import annotations

import gc
import io
import os
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, runtime_checkable

from lamina import pipelines
from lamina.artefact import Artefact, Manifest
from lamina.diagnostics import LaminaError
from lamina.files import writing
from lamina.fixed_sizes import fixed_sizes
from lamina.pipelines import LEVELS, Level, Observer
from lamina.plugins import Plugin, active_plugins, fingerprint, installed_plugins

if TYPE_CHECKING:
    from onnx import ModelProto
    from xdsl.dialects.builtin import DictionaryAttr, ModuleOp

    from lamina.context import LaminaContext
    from lamina.targets.cpu.executable import Executable
    from lamina.targets.cpu.host import CpuDescription
    from lamina.targets.cpu.jit import LlvmModule
    from lamina.targets.cpu.shortcut import Shortcut
    from lamina.targets.gpu.executable import GpuExecutable
    from lamina.targets.reference.executable import ReferenceExecutable
    from lamina.trees import Structure

# xDSL, and what needs it, is imported where it is used: a model from the cache starts without it.

TARGET = "lamina.target"
ARTEFACT_SUFFIX = ".lamina"
RESOURCE_KEY = re.compile(r"dense_resource<\s*\"?([^\s\">]+)")


@runtime_checkable
class TracedModule(Protocol):
    """A graph-level module and the context with its constants."""

    @property
    def module(self) -> ModuleOp: ...
    @property
    def context(self) -> LaminaContext: ...


@runtime_checkable
class TracedFunction(TracedModule, Protocol):
    """What `lamina.trace` gives: a module, and the trees that the function takes and gives."""

    @property
    def parameters(self) -> tuple[tuple[str, Structure], ...]: ...
    @property
    def results(self) -> Structure: ...


Model: TypeAlias = "str | os.PathLike[str] | bytes | ModelProto | ModuleOp | TracedModule"
Target: TypeAlias = "str | Mapping[str, str | int] | DictionaryAttr | None"


def compile(
    model: Model,
    *,
    threads: int | None = None,
    target: Target = None,
    cache: bool = True,
    context: LaminaContext | None = None,
    plugins: Sequence[Plugin] = (),
    donate: Mapping[str, str] | None = None,
    dims: Mapping[str, int] | None = None,
    observer: Observer | None = None,
) -> Executable:
    """Compile a model for this machine, or take it from the cache of compiled models.

    `model`: the path of an ONNX file, of graph-level text (.mlir) or of an artefact (.lamina); a serialized or loaded
    ONNX model; a graph-level module (its constants in `context`) or what `trace` gave. `threads`: how many threads a
    call runs on (the cores at hand, or LAMINA_THREADS). `target`: a name, such as "x86-64-v3" (`CPU_TARGETS` has them),
    or fields of `lamina.target` that differ from this machine, such as `{"vector_bits": 256}`. `plugins` take part
    besides those that are installed. `donate` names inputs and the outputs that are written into their storage,
    `{"past": "present"}`: a call changes these arrays and gives them back. `dims` fixes symbolic sizes of an ONNX
    model's inputs, `{"sequence": 1}`: the result takes only these. `observer` is told of every phase when the model is
    compiled.

    Raises LaminaError for what cannot be read or compiled.
    """
    from lamina.targets.cpu.executable import Executable

    if _is_artefact(model):
        _refuse_donation(model, donate)
        _refuse_dims(model, dims)
        return load(cast("str | os.PathLike[str]", model), threads=threads, plugins=plugins)
    way = None if context is not None else _shortcut(model, LEVELS[-1], target, cache, plugins, donate, dims)
    found = way.load() if way is not None else None
    if found is not None:
        return Executable(found, threads=threads, plugins=active_plugins(plugins))
    from lamina import interface

    module, module_context = _graph_module(model, context, plugins, dims)
    interface.donate(module, donate or {})
    return _native_executable(
        module,
        module_context,
        LEVELS[-1],
        threads=threads,
        target=target,
        cache=cache,
        observer=observer,
        executable_type=_executable_type(model),
        way=way,
    )


def load(path: str | os.PathLike[str], *, threads: int | None = None, plugins: Sequence[Plugin] = ()) -> Executable:
    """The executable that `Executable.save` or `lamina compile` wrote; raises LaminaError for anything else.

    `plugins`, besides those that are installed, define the library calls in it.
    """
    from lamina.targets.cpu.executable import Executable

    return Executable.load(path, threads=threads, plugins=active_plugins(plugins))


def executable_for(
    model: Model,
    *,
    level: str = LEVELS[-1].name,
    threads: int | None = None,
    cache: bool = True,
    plugins: Sequence[Plugin] = (),
    donate: Mapping[str, str] | None = None,
    dims: Mapping[str, int] | None = None,
    target: Target = None,
    observer: Observer | None = None,
) -> Executable | ReferenceExecutable:
    """A model executed at a level of `lamina.pipelines.LEVELS`; the last one is the compiled model.

    `donate`, `dims` and `target` as `compile` takes them.
    """
    from lamina.targets.cpu.executable import Executable

    chosen = next((candidate for candidate in LEVELS if candidate.name == level), None)
    if chosen is None:
        raise LaminaError(
            f"unknown level '{level}'", hints=(f"the levels are {', '.join(known.name for known in LEVELS)}",)
        )
    if _is_artefact(model):
        if chosen is not LEVELS[-1]:
            raise LaminaError("is compiled already: it cannot run at another level", where=str(model))
        _refuse_donation(model, donate)
        _refuse_dims(model, dims)
        return load(cast("str | os.PathLike[str]", model), threads=threads, plugins=plugins)
    way = _shortcut(model, chosen, target, cache, plugins, donate, dims) if chosen.name != "graph" else None
    found = way.load() if way is not None else None
    if found is not None:
        return Executable(found, threads=threads, plugins=active_plugins(plugins))
    from lamina import interface

    module, context = _graph_module(model, None, plugins, dims)
    interface.donate(module, donate or {})
    if chosen.name != "graph":
        return _native_executable(
            module, context, chosen, threads=threads, target=target, cache=cache, observer=observer, way=way
        )
    from lamina.targets.reference.executable import ReferenceExecutable

    pipelines.run_phases(module, context, to=chosen.phase, observer=observer)
    return ReferenceExecutable(module, context.resources)


def compile_to_artefact(
    module: ModuleOp,
    context: LaminaContext,
    path: str | os.PathLike[str],
    *,
    target: Target = None,
    observer: Observer | None = None,
) -> None:
    """Compile a graph-level module (changed in place) and write the artefact to `path`, neither using the cache."""
    set_target(module, target)
    artefact = _generate(module, context, LEVELS[-1], observer)
    try:
        artefact.save(path)
    except OSError as error:
        raise LaminaError(f"cannot be written: {error.strerror}", where=os.fspath(path)) from None


def compile_for_gpu(
    module: ModuleOp, context: LaminaContext, folder: str | os.PathLike[str], target: str, *, tf32: bool = False
) -> Mapping[str, Any]:
    """Compile a graph-level module (changed in place) for a GPU: a folder of kernels, constants and manifest.

    `target`: `ptx:sm_90`, `amdgcn:gfx942`, `spirv` … `tf32`: products of f32 on matrix units, which round the factors
    to 10 bits. Returns the manifest; raises LaminaError for an unknown target and for what it cannot do.
    """
    from lamina.dialects.hardware.gpu_target import parse_gpu_target
    from lamina.interface import signature
    from lamina.lowering.to_gpu_text.package import write_package
    from lamina.passes.hardware.gpu.assign_gpu_schedules import AssignGpuSchedulesPass

    description = parse_gpu_target(target)
    module.attributes[TARGET] = description.attribute()
    pipelines.run_passes(module, context, pipelines.gpu_pass_names(to="graph"))
    pipelines.verify(module, "phase 'graph'")
    inputs, outputs = signature(module)
    for name in pipelines.gpu_pass_names(after="graph", to="hardware"):
        if tf32 and name == AssignGpuSchedulesPass.name:
            AssignGpuSchedulesPass(tf32=True).apply(context, module)
        else:
            pipelines.run_passes(module, context, (name,))
    pipelines.verify(module, "outlining kernels")
    return write_package(Path(folder), module, context, description, inputs, outputs, module_text(module))


def gpu_executable(
    model: Model,
    target: str | None = None,
    *,
    device: int = 0,
    context: LaminaContext | None = None,
    plugins: Sequence[Plugin] = (),
    donate: Mapping[str, str] | None = None,
    dims: Mapping[str, int] | None = None,
    tf32: bool = False,
) -> GpuExecutable:
    """A model on a GPU of this machine: `exe(*arrays)` takes and gives NumPy arrays, or arrays on the device.

    `model`: as `compile` takes it, or a folder that `compile_for_gpu` wrote. `target`: `ptx`, `ptx:sm_90` or `spirv`
    (`ptx` with the architecture of the device where left out). `device`: its number. `donate` and `dims` as `compile`
    takes them, `tf32` as `compile_for_gpu`. Raises LaminaError where there is no driver or no such device, and for what
    cannot be compiled.
    """
    from lamina import interface
    from lamina.dialects.hardware.gpu_target import parse_gpu_target
    from lamina.targets.cpu.tree_executable import takes_trees
    from lamina.targets.gpu.cuda import CudaDriver
    from lamina.targets.gpu.executable import GpuExecutable, driver_for
    from lamina.targets.gpu.launcher import read_manifest

    if isinstance(model, str | os.PathLike) and Path(model).is_dir():
        _refuse_donation(model, donate)
        _refuse_dims(model, dims)
        return GpuExecutable(Path(model), driver_for(read_manifest(Path(model))["target"], device))
    driver = driver_for(asdict(parse_gpu_target(target or "ptx")), device)
    if target in (None, "ptx") and isinstance(driver, CudaDriver):
        target = driver.target
    module, module_context = _graph_module(model, context, plugins, dims)
    interface.donate(module, donate or {})
    with TemporaryDirectory(prefix="lamina-") as folder:
        compile_for_gpu(module, module_context, folder, target or "ptx", tf32=tf32)
        trees = (model.parameters, model.results) if isinstance(model, TracedFunction) else None
        if trees is not None and not takes_trees(*trees):
            trees = None
        return GpuExecutable(Path(folder), driver, trees=trees)


def make_context(plugins: Sequence[Plugin] = ()) -> LaminaContext:
    """A context with every dialect, ours in place of xDSL's where both have one, and an empty resource store.

    The installed plugins take part, and `plugins`; raises LaminaError where two define the same name.
    """
    from xdsl.dialects import get_all_dialects

    from lamina.context import LaminaContext

    context = LaminaContext()
    for name, factory in {**get_all_dialects(), **pipelines.dialects()}.items():
        context.register_dialect(name, factory)
    context.add_plugins((*installed_plugins(), *plugins))
    return context


def load_module(model: Model, context: LaminaContext, *, dims: Mapping[str, int] | None = None) -> ModuleOp:
    """A model as a module at the end of phase `import`; its constants go into the context's resource store.

    `dims` fixes symbolic sizes of an ONNX model's inputs.
    Raises LaminaError where the model cannot be read, xDSL's ParseError for malformed text.
    """
    if isinstance(model, str | os.PathLike) and Path(model).suffix == ".mlir":
        _refuse_dims(model, dims)
        from lamina.parser import read_module

        module = read_module(context, Path(model))
        pipelines.verify(module, "reading")
        return module
    from xdsl.dialects.builtin import ModuleOp

    if isinstance(model, ModuleOp | TracedModule):
        _refuse_dims(model, dims)
        return model if isinstance(model, ModuleOp) else model.module
    from lamina.frontends.onnx import import_model

    module = import_model(model, context, dims=dims)
    context.resources.remember()
    return module


def module_text(module: ModuleOp, *, locations: bool = False) -> str:
    """A module as text that can be read back."""
    from lamina.printer import LocatingPrinter

    stream = io.StringIO()
    LocatingPrinter(stream, print_debuginfo=locations).print_op(module)
    return stream.getvalue() + "\n"


def write_text(
    module: ModuleOp, path: str | os.PathLike[str], context: LaminaContext, *, locations: bool = True
) -> None:
    """Write a module as text, and the constants that it names to the `.safetensors` file beside it.

    Raises LaminaError when a constant is missing or a file cannot be written.
    """
    store_text(module_text(module, locations=locations), path, context)


def store_text(text: str, path: str | os.PathLike[str], context: LaminaContext, *, partial: bool = False) -> None:
    """Write text, and the constants that it names to the `.safetensors` file beside it; neither is ever half-written.

    A constant that the context lacks is an error, or with `partial` left out. Raises LaminaError when a file cannot be
    written.
    """
    path = Path(path)
    keys = resource_keys(text)
    if partial:
        keys = [key for key in keys if key in context.resources]
    try:
        if keys:
            context.resources.save(path.with_suffix(".safetensors"), keys)
        with writing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise LaminaError(f"cannot be written: {error.strerror}", where=str(path)) from None


def resource_keys(text: str) -> list[str]:
    """The constants that a module's text names, in order of the alphabet."""
    return sorted(set(RESOURCE_KEY.findall(text)))


def _is_artefact(model: Model) -> bool:
    return isinstance(model, str | os.PathLike) and Path(model).suffix == ARTEFACT_SUFFIX


def _refuse_donation(model: Model, donate: Mapping[str, str] | None) -> None:
    if donate:
        raise LaminaError(
            "is compiled already: donation is decided when a model is compiled",
            where=str(model),
            hints=("lamina compile MODEL --donate INPUT=OUTPUT",),
        )


def _refuse_dims(model: Model, dims: Mapping[str, int] | None) -> None:
    if dims:
        raise LaminaError(
            "sizes can be fixed in ONNX models only",
            where=os.fspath(model) if isinstance(model, str | os.PathLike) else None,
            hints=("trace or write the model with these sizes, or fix them where it is compiled from ONNX",),
        )


def _graph_module(
    model: Model, context: LaminaContext | None, plugins: Sequence[Plugin], dims: Mapping[str, int] | None = None
) -> tuple[ModuleOp, LaminaContext]:
    """A module that may be changed, and its context, in which the plugins take part."""
    from xdsl.dialects.builtin import ModuleOp

    if context is None:
        context = model.context if isinstance(model, TracedModule) else make_context()
    if not all(plugin in context.plugins for plugin in plugins):
        context = context.clone()  # the caller's stays as it is
        context.add_plugins(plugins)
    if isinstance(model, ModuleOp | TracedModule):
        _refuse_dims(model, dims)
    if isinstance(model, ModuleOp):
        return model.clone(), context
    if isinstance(model, TracedModule):
        return model.module.clone(), context
    return load_module(model, context, dims=dims), context


def set_target(module: ModuleOp, target: Target) -> CpuDescription:
    """Write `lamina.target`, from which every pass reads the target: the argument, else the module's own, else this
    machine."""
    from lamina.targets.cpu.host import CpuDescription, host_description

    own = module.attributes.get(TARGET)
    fields = _target_fields(target)
    if fields is not None:
        description = host_description().with_fields(fields)
    elif target is not None or own is not None:
        description = CpuDescription.from_attribute(cast("DictionaryAttr", target or own))
    else:
        description = host_description()
    module.attributes[TARGET] = description.attribute()
    return description


def _target_fields(target: Target) -> Mapping[str, str | int] | None:
    """The fields that a name or a mapping gives, None for an attribute or none."""
    if not isinstance(target, str):
        return target if isinstance(target, Mapping) else None
    from lamina.dialects.hardware.gpu_target import is_gpu_target
    from lamina.targets.cpu.named_targets import cpu_target

    if is_gpu_target(target):
        raise LaminaError(
            f"'{target}' is a GPU, and this makes code for CPUs",
            hints=(f'lamina.gpu_executable(model, "{target}") runs it', f'lamina.jit(function, target="{target}")'),
        )
    return cpu_target(target)


def _executable_type(model: Model) -> Callable[..., Executable]:
    """What is made of an artefact: for functions of trees, what takes and gives trees."""
    from lamina.targets.cpu.executable import Executable
    from lamina.targets.cpu.tree_executable import TreeExecutable, takes_trees

    if isinstance(model, TracedFunction) and takes_trees(model.parameters, model.results):
        return partial(TreeExecutable, parameters=model.parameters, results=model.results)
    return Executable


def _native_executable(
    module: ModuleOp,
    context: LaminaContext,
    level: Level,
    *,
    threads: int | None,
    target: Target,
    cache: bool,
    observer: Observer | None,
    executable_type: Callable[..., Executable] | None = None,
    way: Shortcut | None = None,
) -> Executable:
    """From a module at the end of phase `import` to machine code, through the disk cache."""
    from lamina.targets.cpu.cache import cache_key, disk_cache
    from lamina.targets.cpu.entries import load_entry, store_entry
    from lamina.targets.cpu.executable import Executable
    from lamina.targets.cpu.shortcut import is_small_enough

    make = Executable if executable_type is None else executable_type
    set_target(module, target)
    fingerprints = [fingerprint(plugin) for plugin in context.plugins]
    # Code of a plugin without files cannot be told from what it was when an entry was made.
    store = disk_cache() if cache and None not in fingerprints else None
    if store is None:
        return make(
            _generate(module, context, level, observer), threads=threads, compile_count=1, plugins=context.plugins
        )
    parts = (level.name, module_text(module), *filter(None, fingerprints))
    # The model's own constants come from the model next time; only where it will not be read does an entry hold all.
    name, whole = (cache_key(*parts, *kind) + ARTEFACT_SUFFIX for kind in ((), ("whole",)))
    found = load_entry(store, whole, context.resources.get)
    complete = found is not None
    if found is None:
        found = load_entry(store, name, context.resources.get)
    carried = frozenset(context.resources)
    artefact = found or _generate(module, context, level, observer)
    if way is not None and is_small_enough(artefact, store):
        if complete or store_entry(store, whole, artefact):
            way.remember(whole)
    elif found is None:
        store_entry(store, name, artefact, leave_out=carried)
    return make(artefact, threads=threads, compile_count=int(found is None), plugins=context.plugins)


def _shortcut(
    model: Model,
    level: Level,
    target: Target,
    cache: bool,
    plugins: Sequence[Plugin],
    donate: Mapping[str, str] | None,
    dims: Mapping[str, int] | None,
) -> Shortcut | None:
    """The way from a model's file to its cache entry; None where the model has to be read."""
    from lamina.targets.cpu.cache import disk_cache
    from lamina.targets.cpu.host import host_description
    from lamina.targets.cpu.shortcut import shortcut

    store = disk_cache() if cache and isinstance(model, str | os.PathLike) else None
    fingerprints = [fingerprint(plugin) for plugin in active_plugins(plugins)]
    if store is None or None in fingerprints:
        return None
    path = cast("str | os.PathLike[str]", model)
    fields = _target_fields(target)
    description = target if fields is None else host_description().with_fields(fields)
    options = (repr(description or host_description()), repr(sorted((donate or {}).items())))
    if dims:
        options += (repr(sorted(fixed_sizes(dims).items())),)
    return shortcut(store, path, level.name, *options, *filter(None, fingerprints))


def _generate(module: ModuleOp, context: LaminaContext, level: Level, observer: Observer | None) -> Artefact:
    """Run the passes and LLVM: a module at the end of phase `import`, with its target, becomes an artefact."""
    with _without_collection():
        return _generated(module, context, level, observer)


@contextmanager
def _without_collection() -> Generator[None]:
    """No garbage collection meanwhile: a compiler makes many objects, which live until it is done."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _generated(module: ModuleOp, context: LaminaContext, level: Level, observer: Observer | None) -> Artefact:
    from lamina.interface import signature
    from lamina.lowering.graph_to_linalg.externs import extern_infos
    from lamina.targets.cpu import jit, llvm
    from lamina.targets.cpu.host import CpuDescription

    pipelines.run_phases(module, context, to="graph", observer=observer)
    inputs, outputs = signature(module)
    pipelines.run_phases(module, context, after="graph", to=level.phase, observer=observer)
    pipelines.run_passes(module, context, level.passes)
    modules, constants = _llvm_modules(module, context)
    description = CpuDescription.from_attribute(module.attributes[TARGET])
    objects = jit.compile_modules(modules, description.llvm_options())
    manifest = Manifest(
        inputs,
        outputs,
        constants,
        tuple((one.name, len(image)) for one, image in zip(modules, objects, strict=True)),
        asdict(description),
        {"llvm": llvm.version()},
        extern_infos(module),
    )
    return Artefact(manifest, tuple(objects), {key: context.resources.get(key) for key in constants})


def _llvm_modules(module: ModuleOp, context: LaminaContext) -> tuple[list[LlvmModule], tuple[str, ...]]:
    """The hardware level as LLVM text, and the keys of the constants in the order of the call context's array."""
    from lamina.lowering.to_llvm_text import print_llvm
    from lamina.targets.cpu.jit import LlvmModule

    program = print_llvm(module)
    return [LlvmModule(*one) for one in program.modules], tuple(program.constants)
