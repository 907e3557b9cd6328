"""What the commands share: the MODEL argument, sizes of symbolic dims, and inputs to run on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lamina.artefact import TensorInfo
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import evaluate, parse_dim, symbols_of
from lamina.plugins import Plugin, load_plugin
from lamina.tools.plugin_arguments import add_load_argument

Array = npt.NDArray[Any]
ARTEFACT_SUFFIX = ".lamina"


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """MODEL, as every command takes it."""
    parser.add_argument(
        "model", metavar="MODEL", help="an ONNX file, graph-level text (.mlir), or an artefact (.lamina)"
    )
    parser.add_argument(
        "--fix",
        action="append",
        default=[],
        metavar="NAME=SIZE",
        help="compile an ONNX model for one size of a symbolic dim; may be repeated",
    )
    add_load_argument(parser)


def given_plugins(options: argparse.Namespace) -> tuple[Plugin, ...]:
    """The plugins of `--load`; those that are installed take part in any case."""
    return tuple(load_plugin(module) for module in options.load)


def add_execution_arguments(parser: argparse.ArgumentParser) -> None:
    """Threads, cache and sizes of symbolic dims."""
    parser.add_argument("--threads", type=positive, metavar="N", help="threads per call (default: the cores at hand)")
    add_dim_argument(parser, "size of a symbolic dim of random inputs; may be repeated")
    add_donate_argument(parser)
    parser.add_argument("--no-cache", action="store_true", help="neither read nor write the cache of compiled models")


def add_dim_argument(parser: argparse.ArgumentParser, help_text: str) -> None:
    """--dim NAME=SIZE."""
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE", help=help_text)


def add_donate_argument(parser: argparse.ArgumentParser) -> None:
    """--donate INPUT=OUTPUT."""
    parser.add_argument(
        "--donate",
        action="append",
        default=[],
        metavar="INPUT=OUTPUT",
        help="write an output into the storage of an input, such as a cache; may be repeated",
    )


def parse_donations(texts: Sequence[str]) -> dict[str, str]:
    """`INPUT=OUTPUT` texts as a dictionary."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, separator, output = text.partition("=")
        if not (name and separator and output) or name in pairs:
            raise LaminaError(f"--donate {text}: expected INPUT=OUTPUT, each input once")
        pairs[name] = output
    return pairs


def positive(text: str) -> int:
    """An argparse type: a whole number above 0."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found '{text}'")
    return value


def fixed_dims(options: argparse.Namespace) -> dict[str, int]:
    """The sizes of `--fix`."""
    return parse_dims(options.fix, "--fix")


def parse_dims(texts: Sequence[str], option: str = "--dim") -> dict[str, int]:
    """`NAME=SIZE` texts as a dictionary."""
    sizes: dict[str, int] = {}
    for text in texts:
        name, separator, size = text.partition("=")
        if not separator or not size.isdecimal():
            raise LaminaError(f"{option} {text}: expected NAME=SIZE, such as {option} batch=4")
        if name in sizes:
            raise LaminaError(f"{option} {text}: '{name}' has a size already, {sizes[name]}")
        sizes[name] = int(size)
    return sizes


def symbolic_sizes(inputs: Sequence[TensorInfo], sizes: Mapping[str, int]) -> dict[str, int]:
    """A size for every symbolic dim of the inputs: from `sizes`, else 1 with a remark.

    Raises LaminaError for a size of a dim that the model does not have.
    """
    known = dict(sizes)
    symbols = sorted({name for one in inputs for dim in one.shape for name in symbols_of(parse_dim(str(dim)))})
    unknown = sorted(set(known) - set(symbols))
    if unknown:
        has = f"its dims are {', '.join(symbols)}" if symbols else "it has none"
        raise LaminaError(f"the model has no symbolic dim '{unknown[0]}'", hints=(has,))
    for name in symbols:
        if name not in known:
            known[name] = 1
            print(f"{name} = 1 (choose with --dim {name}=SIZE)", file=sys.stderr)
    return known


def random_inputs(inputs: Sequence[TensorInfo], sizes: Mapping[str, int], seed: int) -> list[Array]:
    """Standard normal floats, integers 0 and 1, random booleans; symbolic sizes as `symbolic_sizes` has them."""
    known = symbolic_sizes(inputs, sizes)
    generator = np.random.default_rng(seed)
    return [random_array(generator, one, [evaluate(parse_dim(str(dim)), known) for dim in one.shape]) for one in inputs]


def random_array(generator: np.random.Generator, info: TensorInfo, shape: Sequence[int]) -> Array:
    """One random input."""
    if info.dtype.kind == "b":
        return generator.random(shape) < 0.5
    if info.dtype.kind in "iu":
        # 0 and 1 are indices that any table with two rows has, token types and masks included.
        return generator.integers(0, 2, shape).astype(info.dtype)
    return generator.standard_normal(shape).astype(info.dtype)
