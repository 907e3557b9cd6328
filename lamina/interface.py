"""What a module's `main` takes and gives: names, dtypes and symbolic shapes from its type and its attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DictionaryAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    i64,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from lamina.artefact import TensorInfo
from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.types import dtype_of

MAIN = "main"


def main_function(module: ModuleOp) -> FuncOp:
    """The function that a compiled model runs; raises LaminaError where the module has none."""
    for op in module.body.block.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == MAIN:
            return op
    raise LaminaError(f"the module has no function @{MAIN}", where=location_text(module.location))


def signature(module: ModuleOp) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Inputs and outputs of `main`, which must be tensors (the phases `import` to `tensor`).

    A dynamic size without a name in `lamina.dims` gets one of its own. Raises LaminaError for any other module.
    """
    main = main_function(module)
    inputs = _infos(main, main.function_type.inputs.data, main.arg_attrs, "input")
    outputs = _infos(main, main.function_type.outputs.data, main.res_attrs, "output")
    donated: set[int] = set()
    for info in outputs:
        if info.alias is None:
            continue
        where = location_text(main.location)
        if not 0 <= info.alias < len(inputs):
            raise LaminaError(f"output '{info.name}' aliases input {info.alias}, of {len(inputs)} inputs", where=where)
        if info.alias in donated:
            raise LaminaError(f"two outputs alias input '{inputs[info.alias].name}'", where=where)
        donated.add(info.alias)
    return inputs, outputs


def donate(module: ModuleOp, pairs: Mapping[str, str]) -> None:
    """Let outputs of `main` be written into the storage of inputs: input name → output name, in place.

    Raises LaminaError for a name that `main` lacks, one that is given twice or was given before, and types that differ.
    """
    main, (inputs, outputs) = main_function(module), signature(module)
    positions = {info.name: index for index, info in enumerate(inputs)}
    taken = {info.alias for info in outputs if info.alias is not None}
    aliases: dict[int, int] = {}
    for name, output in pairs.items():
        source, index = positions.get(name), next((i for i, info in enumerate(outputs) if info.name == output), None)
        if source is None:
            raise LaminaError(f"donate: no input is named '{name}'", hints=(f"the inputs: {', '.join(positions)}",))
        if index is None:
            known = ", ".join(info.name for info in outputs)
            raise LaminaError(f"donate: no output is named '{output}'", hints=(f"the outputs: {known}",))
        if index in aliases or outputs[index].alias is not None or source in taken:
            raise LaminaError(f"donate: input '{name}' or output '{output}' is given twice")
        given, wanted = inputs[source], outputs[index]
        if (given.shape, given.dtype) != (wanted.shape, wanted.dtype):
            raise LaminaError(f"donate: input and output must be of one type, found {given} and {wanted}")
        aliases[index] = source
    given_attributes = main.res_attrs.data if main.res_attrs is not None else [DictionaryAttr({})] * len(outputs)
    attributes: list[dict[str, Attribute]] = [dict(one.data) for one in given_attributes]
    for index, source in aliases.items():
        attributes[index]["lamina.alias"] = IntegerAttr(source, i64)
    main.res_attrs = ArrayAttr([DictionaryAttr(one) for one in attributes])


def _infos(
    main: FuncOp, types: Sequence[Attribute], attributes: ArrayAttr[DictionaryAttr] | None, kind: str
) -> tuple[TensorInfo, ...]:
    infos: list[TensorInfo] = []
    for index, type_ in enumerate(types):
        if not isinstance(type_, TensorType):
            raise LaminaError(
                f"{kind} {index} of @{MAIN} is {type_}: expected a tensor of static rank",
                where=location_text(main.location),
            )
        fields: Mapping[str, Attribute] = attributes.data[index].data if attributes is not None else {}
        tensor = cast(TensorType[Attribute], type_)
        name = fields.get("lamina.name")
        alias = fields.get("lamina.alias")
        infos.append(
            TensorInfo(
                name.data if isinstance(name, StringAttr) else f"{kind}{index}",
                _shape(tensor, fields, f"{kind}{index}"),
                dtype_of(tensor.element_type),
                alias.value.data if isinstance(alias, IntegerAttr) else None,
            )
        )
    return tuple(infos)


def _shape(tensor: TensorType[Attribute], fields: Mapping[str, Attribute], prefix: str) -> tuple[int | str, ...]:
    named = fields.get("lamina.dims")
    dims: Sequence[Attribute] = cast(ArrayAttr[Attribute], named).data if isinstance(named, ArrayAttr) else ()
    names = [dim.data for dim in dims if isinstance(dim, StringAttr)]
    shape = tensor.get_shape()
    if len(names) != len(shape):
        names = [f"{prefix}_axis{axis}" for axis in range(len(shape))]
    return tuple(name if size == DYNAMIC_INDEX else size for size, name in zip(shape, names, strict=True))
