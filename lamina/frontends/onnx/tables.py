"""Which operators are converted, by what, from which operator set on; and why others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lamina.frontends.onnx import normalization
from lamina.frontends.onnx.contraction import CONTRACTION
from lamina.frontends.onnx.control_flow import CONTROL_FLOW
from lamina.frontends.onnx.convolution import CONVOLUTION
from lamina.frontends.onnx.data_movement import DATA_MOVEMENT
from lamina.frontends.onnx.elementwise import CONTRIBUTED, ELEMENTWISE
from lamina.frontends.onnx.generators import GENERATORS
from lamina.frontends.onnx.indexing import INDEXING
from lamina.frontends.onnx.node import Converter, Versions
from lamina.frontends.onnx.normalization import NORMALIZATION
from lamina.frontends.onnx.quantization import QUANTIZATION
from lamina.frontends.onnx.recurrent import RECURRENT
from lamina.frontends.onnx.reduction import REDUCTION
from lamina.frontends.onnx.report import DATA_DEPENDENT
from lamina.frontends.onnx.resize import RESIZE
from lamina.frontends.onnx.sampling import SAMPLING
from lamina.frontends.onnx.scatter import SCATTER
from lamina.frontends.onnx.spectra import SPECTRA
from lamina.frontends.onnx.transformers import TRANSFORMERS
from lamina.frontends.onnx.windows import WINDOWS
from lamina.plugins import Plugin, merged

CONVERTERS: Mapping[str, Mapping[str, Versions]] = {
    "": {
        **ELEMENTWISE,
        **DATA_MOVEMENT,
        **GENERATORS,
        **INDEXING,
        **REDUCTION,
        **NORMALIZATION,
        **CONTRACTION,
        **CONVOLUTION,
        **CONTROL_FLOW,
        **QUANTIZATION,
        **RECURRENT,
        **RESIZE,
        **SAMPLING,
        **SCATTER,
        **SPECTRA,
        **WINDOWS,
    },
    "com.microsoft": {**CONTRIBUTED, **normalization.CONTRIBUTED, **TRANSFORMERS},
}
"""Domain → operator → the operator set from which a converter applies → converter."""

STRINGS = "strings are not built yet"
SEQUENCES = "sequences are not built yet"
OPTIONALS = "optional values are not built yet"
RANDOM = "random numbers are not built yet"

REASONS: Mapping[str, str] = {
    **dict.fromkeys(("Compress", "NonMaxSuppression", "NonZero", "Unique"), DATA_DEPENDENT),
    **dict.fromkeys(
        ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer", "ImageDecoder"),
        STRINGS,
    ),
    **dict.fromkeys(
        (
            *("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase"),
            *("SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence"),
        ),
        SEQUENCES,
    ),
    **dict.fromkeys(("Optional", "OptionalGetElement", "OptionalHasElement"), OPTIONALS),
    **dict.fromkeys(
        ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"), RANDOM
    ),
}
"""Why operators of the default domain are not converted, where there is more to say than "not built yet"."""


def plugin_converters(plugins: Sequence[Plugin]) -> Mapping[tuple[str, str], Converter]:
    """The plugins' converters; raises LaminaError for an operator that we or another plugin convert too."""
    core = {(domain, op_type): versions for domain, ops in CONVERTERS.items() for op_type, versions in ops.items()}
    table = merged("ONNX operator", dict.fromkeys(core), plugins, lambda plugin: plugin.onnx)
    return {key: converter for key, converter in table.items() if converter is not None}


def find_converter(domain: str, op_type: str, version: int) -> Converter | None:
    """The converter for an operator as of the operator set in which this form of it appeared."""
    versions = CONVERTERS.get(domain, {}).get(op_type, {})
    since = max((since for since in versions if since <= version), default=None)
    return None if since is None else versions[since]


def unsupported_reason(domain: str, op_type: str, known: bool) -> str:
    """Why an operator is not converted; `known` when onnx has a schema for it."""
    if domain == "" and op_type in REASONS:
        return REASONS[op_type]
    if known or domain in CONVERTERS:
        return "not built yet" if known or domain else "no such operator in ONNX"
    return f"unknown domain '{domain}'"
