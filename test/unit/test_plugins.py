"""Plugins: tables, order of passes, duplicate names, library calls, the cache and saved models."""

import ctypes
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32, i64
from xdsl.dialects.test import Test
from xdsl.ir import Dialect
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def, var_operand_def, var_result_def
from xdsl.traits import Pure

import lamina
from lamina import api, pipelines
from lamina.dialects.graph.base import AbstractTensor, GraphOp
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.composite import Activation
from lamina.dialects.graph.dims import symbol
from lamina.dialects.graph.extern import CFunction, ExternOp, PythonFunction
from lamina.dialects.graph.properties import TENSOR
from lamina.dialects.loop import arith
from lamina.lowering.graph_to_linalg.rules import rules_with
from lamina.parser import parse_text
from lamina.passes.base import LaminaPass
from lamina.plugins import Plugin, fingerprint, load_plugin


def compiled(text: str, plugin: Plugin, **options):
    context = api.make_context([plugin])
    return lamina.compile(parse_text(context, text, "test.mlir"), context=context, cache=False, **options)


def dialect(*ops) -> dict:
    return {"mine": lambda: Dialect("mine", list(ops))}


def main(body: str, arguments: str, results: str) -> str:
    named = ", ".join(f'{one} {{lamina.name = "a{index}"}}' for index, one in enumerate(arguments.split(";")))
    returned = ", ".join(f'{one} {{lamina.name = "r{index}"}}' for index, one in enumerate(results.split(";")))
    return f"func.func @main({named}) -> ({returned}) {{\n{body}\n}}"


# ---- names


@dataclass(frozen=True)
class MarkPass(LaminaPass):
    """Marks the module, to show when it ran."""

    name = "mark"
    ensures: ClassVar[frozenset[str]] = frozenset({"marked"})

    def apply(self, ctx, op):
        op.attributes["test.marked"] = op.attributes["lamina.target"]


@dataclass(frozen=True)
class NeedsMarkPass(LaminaPass):
    """Requires what `mark` ensures."""

    name = "needs-mark"
    requires: ClassVar[frozenset[str]] = frozenset({"marked"})

    def apply(self, ctx, op):
        assert "test.marked" in op.attributes


MARK = Plugin("mark", passes={"mark": lambda: MarkPass}, after={"assign-target": ("mark",)})


def test_passes_stand_after_the_named_one_and_run():
    assert pipelines.phase("graph", [MARK]).passes[:2] == ("assign-target", "mark")
    assert pipelines.phase("graph").passes[1] != "mark"
    needs = Plugin("needs", passes={"needs-mark": lambda: NeedsMarkPass}, after={"form-kernels": ("needs-mark",)})
    context = api.make_context([MARK, needs])
    module = parse_text(context, "func.func @main() { func.return }", "empty.mlir")
    pipelines.run_phases(module, context, to="kernels")
    assert "test.marked" in module.attributes
    assert "marked" in pipelines.facts_after("graph", [MARK]) - pipelines.facts_after("graph")


def test_a_place_that_is_no_pass_is_an_error():
    with pytest.raises(lamina.LaminaError, match="plugin 'p' puts passes after 'nowhere'"):
        pipelines.phases([Plugin("p", after={"nowhere": ("cse",)})])


def converter(node, build):
    raise AssertionError("not called")


def rule(*_):
    raise AssertionError("not called")


def onnx_table(plugins):
    from lamina.frontends.onnx.tables import plugin_converters

    return plugin_converters(plugins)


@pytest.mark.parametrize(
    "table, core, assemble",
    [
        ("dialects", "graph", api.make_context),
        ("passes", "cse", pipelines.available_passes),
        ("passes", "form-kernels", pipelines.available_passes),
        ("onnx", ("", "Exp"), onnx_table),
        ("scalar_rules", "graph.exp", rules_with),
        ("index_rules", "graph.transpose", rules_with),
        ("stage_rules", "graph.reduce", rules_with),
    ],
)
def test_a_name_that_is_taken_is_an_error_naming_both(table, core, assemble):
    def plugin(name, key):
        return Plugin(name, **{table: {key: rule if "rules" in table else lambda: Test}})

    new = ("domain", "New") if isinstance(core, tuple) else "new.new"
    assemble([plugin("first", new)])
    with pytest.raises(lamina.LaminaError, match="is defined by plugin 'first' and by plugin 'second'"):
        assemble([plugin("first", new), plugin("second", new)])
    with pytest.raises(lamina.LaminaError, match="is defined by lamina and by plugin 'first'"):
        assemble([plugin("first", core)])


def test_two_plugins_of_one_name():
    with pytest.raises(lamina.LaminaError, match="two plugins are called 'mark'"):
        api.make_context([MARK, Plugin("mark")])
    assert api.make_context([MARK, MARK]).plugins.count(MARK) == 1


def test_the_context_of_the_caller_stays_as_it_is():
    context = api.make_context()
    module = parse_text(context, "func.func @main() { func.return }", "empty.mlir")
    lamina.compile(module, context=context, plugins=[MARK], cache=False)
    assert MARK not in context.plugins
    assert MARK in api.make_context([MARK]).clone().plugins


def test_loading(tmp_path: Path):
    file = tmp_path / "a_plugin.py"
    file.write_text("from lamina.plugins import Plugin\nPLUGIN = Plugin('a')\n")
    assert load_plugin(str(file)) is load_plugin(str(file))
    package = tmp_path / "a_package"
    package.mkdir()
    (package / "__init__.py").write_text("from lamina.plugins import Plugin\nPLUGIN = Plugin('b')\n")
    assert load_plugin(str(package)).name == "b"
    other = tmp_path / "other" / "a_plugin.py"
    other.parent.mkdir()
    other.write_text(file.read_text())
    with pytest.raises(lamina.LaminaError, match="another module is called 'a_plugin'"):
        load_plugin(str(other))
    for name, text, message in (
        ("broken", "import nothing_of_this_name", "cannot be imported: ModuleNotFoundError"),
        ("syntax", "def", "cannot be imported: SyntaxError"),
        ("empty", "", "has no plugin"),
    ):
        (tmp_path / f"{name}_plugin.py").write_text(text)
        with pytest.raises(lamina.LaminaError, match=message):
            load_plugin(str(tmp_path / f"{name}_plugin.py"))


# ---- lowerings


@irdl_op_definition
class SoftsignOp(Activation):
    name = "mine.softsign"

    def reference(self, *operands):
        return operands[0] / (1 + np.abs(operands[0]))

    def decompose(self, builder: GraphBuilder):
        return (builder.divide(self.operand, builder.add(builder.abs(self.operand), 1.0)),)


def test_an_op_with_nothing_but_a_decomposition_joins_kernels():
    plugin = Plugin("softsign", dialects=dialect(SoftsignOp))
    text = main(
        "%e = graph.exp %x : tensor<?x5xf32>\n"
        "%s = mine.softsign %e : tensor<?x5xf32> -> tensor<?x5xf32>\nfunc.return %s : tensor<?x5xf32>",
        "%x: tensor<?x5xf32>",
        "tensor<?x5xf32>",
    )
    context = api.make_context([plugin])
    module = parse_text(context, text, "softsign.mlir")
    pipelines.run_phases(module, context, to="kernels")
    assert str(module).count("func.call") == 1
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    np.testing.assert_allclose(compiled(text, plugin)(x)[0], np.exp(x) / (1 + np.exp(x)), rtol=1e-6)


class OneToOne(GraphOp):
    operand = operand_def(TENSOR)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        return (AbstractTensor(operands[0].shape, operands[0].element_type),)


@irdl_op_definition
class RotateOp(OneToOne):
    """y[i, …] = x[n - 1 - i, …]"""

    name = "mine.flip"

    def reference(self, *operands):
        return operands[0][::-1]


def flip_index(indexer, op, indices):
    size = indexer.shape(op.operands[0])[0]
    return op.operands[0], (indexer.subtract_from(size - 1, indices[0]), *indices[1:])


@irdl_op_definition
class NeighborsOp(OneToOne):
    """y[i] = x[i] + x[n - 1 - i]"""

    name = "mine.mirrored"

    def reference(self, *operands):
        return operands[0] + operands[0][::-1]


def mirrored_scalar(body, op, indices):
    (x,) = op.operands
    here, there = body.read(x, indices), body.read(*flip_index(body, op, indices))
    return body.emit(arith.AddfOp, (here, there), here.type)


@pytest.mark.parametrize("rows", [0, 1, 6])
def test_index_and_scalar_rules(rows):
    plugin = Plugin(
        "rules",
        dialects=dialect(RotateOp, NeighborsOp),
        index_rules={"mine.flip": flip_index},
        scalar_rules={"mine.mirrored": mirrored_scalar},
    )
    text = main(
        "%e = graph.exp %x : tensor<?x3xf32>\n%f = mine.flip %e : tensor<?x3xf32> -> tensor<?x3xf32>\n"
        "%m = mine.mirrored %f : tensor<?x3xf32> -> tensor<?x3xf32>\n%n = graph.add %m, %f : tensor<?x3xf32>\n"
        "func.return %n : tensor<?x3xf32>",
        "%x: tensor<?x3xf32>",
        "tensor<?x3xf32>",
    )
    x = np.random.default_rng(0).standard_normal((rows, 3)).astype(np.float32)
    e = np.exp(x)
    np.testing.assert_allclose(compiled(text, plugin)(x)[0], e + e[::-1] + e[::-1], rtol=1e-5)


@irdl_op_definition
class TotalOp(GraphOp):
    """The sum of all elements along the last axis, which is dropped."""

    name = "mine.total"
    operand = operand_def(TENSOR)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def infer(self, operands):
        return (AbstractTensor(operands[0].shape[:-1], operands[0].element_type),)

    def reference(self, *operands):
        return operands[0].sum(-1)


def total_stage(lowering, op, destination, permutation):
    from lamina.lowering.graph_to_linalg.indexing import identity_indices
    from lamina.lowering.graph_to_linalg.spaces import Axis
    from lamina.lowering.graph_to_linalg.stages import Output, fill, generic, permuted

    function, (operand,) = lowering.function, op.operands
    sizes = function.shape(operand)
    axes = [*(Axis(f"i{axis}", size) for axis, size in enumerate(sizes[:-1])), Axis("r", sizes[-1], reduced=True)]
    dims = permuted(tuple(range(len(sizes) - 1)), permutation)

    def build(body, outputs):
        element = body.read(operand, identity_indices(len(sizes)))
        return [body.emit(arith.AddfOp, (outputs[0], element), element.type)]

    filled = fill(function, function.constant(0, f32), destination)
    return generic(function, axes, [Output(filled, dims)], build)[0]


def test_stage_rule():
    plugin = Plugin("total", dialects=dialect(TotalOp), stage_rules={"mine.total": total_stage})
    text = main(
        "%e = graph.exp %x : tensor<?x?xf32>\n%t = mine.total %e : tensor<?x?xf32> -> tensor<?xf32>\n"
        "%y = graph.negate %t : tensor<?xf32>\nfunc.return %y : tensor<?xf32>",
        "%x: tensor<?x?xf32>",
        "tensor<?xf32>",
    )
    x = np.random.default_rng(0).standard_normal((7, 33)).astype(np.float32)
    np.testing.assert_allclose(compiled(text, plugin)(x)[0], -np.exp(x).sum(-1), rtol=1e-5)


def test_an_op_without_a_rule_is_an_error_naming_it():
    text = main(
        "%t = mine.total %x : tensor<2x2xf32> -> tensor<2xf32>\nfunc.return %t : tensor<2xf32>",
        "%x: tensor<2x2xf32>",
        "tensor<2xf32>",
    )
    with pytest.raises(lamina.LaminaError, match=r"no lowering to linalg for 'mine\.total'"):
        compiled(text, Plugin("total", dialects=dialect(TotalOp)))


def test_the_contract_allows_the_dialects_of_plugins_at_the_graph_level_only():
    assert "mine" in pipelines.phase("kernels", [Plugin("p", dialects=dialect())]).allowed
    assert "mine" not in pipelines.phase("tensor", [Plugin("p", dialects=dialect())]).allowed


# ---- library calls

C_SOURCE = """
#include <stdint.h>
/* y[i] = the sum of row i of x, and n[0] = how many rows there are */
void row_sums(const float *x, int64_t rows, int64_t columns, float *y, int64_t y_rows, int64_t *n) {
  for (int64_t i = 0; i < y_rows; ++i) {
    y[i] = 0;
    for (int64_t j = 0; j < columns; ++j) y[i] += x[i * columns + j];
  }
  *n = rows;
}
"""


@pytest.fixture(scope="module")
def row_sums_plugin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    (folder / "row_sums.c").write_text(C_SOURCE)
    command = ["cc", "-shared", "-fPIC", "-o", folder / "row_sums.so", folder / "row_sums.c"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no C compiler")
    library = ctypes.CDLL(str(folder / "row_sums.so"))

    @irdl_op_definition
    class RowSumsOp(ExternOp):
        name = "mine.row_sums"
        operand = operand_def(TENSOR)
        sums = result_def(TENSOR)
        count = result_def(TENSOR)
        traits = traits_def(Pure())
        FUNCTION: ClassVar = CFunction(library.row_sums, ("memref<?x?xf32>", "memref<?xf32>", "memref<i64>"))

        def infer(self, operands):
            (x,) = operands
            return (AbstractTensor(x.shape[:1], x.element_type), AbstractTensor((), i64))

    return Plugin("row-sums", dialects=dialect(RowSumsOp))


ROW_SUMS = """
%e = graph.negate %x : TYPE
%s, %n = "mine.row_sums"(%e) : (TYPE) -> (RESULT, tensor<i64>)
%t = graph.negate %s : RESULT
func.return %t, %n : RESULT, tensor<i64>
"""


@pytest.mark.parametrize("level", ["graph", "tensor", "loop", "hardware"])
@pytest.mark.parametrize("type_, result", [("tensor<?x?xf32>", "tensor<?xf32>"), ("tensor<3x5xf32>", "tensor<3xf32>")])
def test_c_function_gets_pointers_and_sizes(row_sums_plugin, type_, result, level):
    text = main(ROW_SUMS.replace("TYPE", type_).replace("RESULT", result), f"%x: {type_}", f"{result};tensor<i64>")
    context = api.make_context([row_sums_plugin])
    module = parse_text(context, text, "test.mlir")
    traced = type("Traced", (), {"module": module, "context": context})()
    executable = api.executable_for(traced, level=level, cache=False)
    for shape in [(3, 5), (0, 2), (2, 0), (1, 1)] if "?" in type_ else [(3, 5)]:
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        sums, count = executable(x)
        np.testing.assert_allclose(sums, x.sum(1), rtol=1e-5, atol=1e-6)
        assert count == shape[0]


def test_c_function_refuses_other_types(row_sums_plugin):
    text = main(
        ROW_SUMS.replace("TYPE", "tensor<2x2xf64>").replace("RESULT", "tensor<2xf64>"),
        "%x: tensor<2x2xf64>",
        "tensor<2xf64>;tensor<i64>",
    )
    with pytest.raises(lamina.LaminaError, match=r"the C function takes \(tensor<\?x\?xf32>"):
        compiled(text, row_sums_plugin)


def python_op(function, infer=None):
    @irdl_op_definition
    class PythonOp(ExternOp):
        name = "mine.python"
        arguments = var_operand_def(TENSOR)
        outputs = var_result_def(TENSOR)
        FUNCTION: ClassVar = PythonFunction(function)

        def infer(self, operands):
            return infer(operands) if infer else (AbstractTensor(operands[0].shape, operands[0].element_type),)

    return Plugin("python", dialects=dialect(PythonOp))


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["f16", "bf16", "f32", "f64", "i1", "i8", "ui8", "i32", "ui64"]),
    st.lists(st.integers(0, 4), max_size=3),
    st.booleans(),
)
def test_python_callable_gets_arrays_of_every_type_and_shape(element_type, shape, dynamic):
    from lamina.dialects.graph.types import dtype_of

    seen = []

    def record(x):
        seen.append((x.shape, x.dtype, x.flags.writeable))
        return x[::-1] if x.ndim else x

    dims = "".join("?x" if dynamic else f"{size}x" for size in shape)
    type_ = f"tensor<{dims}{element_type}>"
    text = main(f'%y = "mine.python"(%x) : ({type_}) -> {type_}\nfunc.return %y : {type_}', f"%x: {type_}", type_)
    executable = compiled(text, python_op(record))
    dtype = executable.inputs[0].dtype
    x = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    (y,) = executable(x)
    assert y.dtype == dtype and np.array_equal(y, x[::-1] if x.ndim else x)
    assert seen == [(tuple(shape), dtype, False)]
    assert dtype_of(f32) == np.float32


def test_an_exception_ends_the_call_and_the_next_one_works():
    def careful(x):
        if x[0] < 0:
            raise ValueError("negative")
        return np.sqrt(x)

    type_ = "tensor<?xf32>"
    text = main(
        f'%y = "mine.python"(%x) : ({type_}) -> {type_}\n%z = graph.add %y, %y : {type_}\nfunc.return %z : {type_}',
        f"%x: {type_}",
        type_,
    )
    executable = compiled(text, python_op(careful))
    with pytest.raises(lamina.LaminaError, match=r"mine\.python: ValueError: negative") as caught:
        executable(np.array([-1, 4], np.float32))
    assert isinstance(caught.value.__cause__, ValueError)
    assert executable(np.array([1, 4], np.float32))[0].tolist() == [2, 4]


def test_ctrl_c_inside_a_callable_is_not_lost():
    def interrupted(x):
        raise KeyboardInterrupt

    text = main(
        '%y = "mine.python"(%x) : (tensor<1xf32>) -> tensor<1xf32>\nfunc.return %y : tensor<1xf32>',
        "%x: tensor<1xf32>",
        "tensor<1xf32>",
    )
    with pytest.raises(KeyboardInterrupt):
        compiled(text, python_op(interrupted))(np.zeros(1, np.float32))


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda x: x[:1], r"result 0: expected float32\[3\], found float32\[1\]"),
        (lambda x: x.astype(np.float64), r"found float64\[3\]"),
        (lambda x: (x, x), "expected 1 results, found 2"),
    ],
)
def test_results_that_the_shape_rule_does_not_allow(function, message):
    text = main(
        '%y = "mine.python"(%x) : (tensor<3xf32>) -> tensor<3xf32>\nfunc.return %y : tensor<3xf32>',
        "%x: tensor<3xf32>",
        "tensor<3xf32>",
    )
    with pytest.raises(lamina.LaminaError, match=message):
        compiled(text, python_op(function))(np.zeros(3, np.float32))


def test_sizes_that_do_not_follow_from_the_operands_are_refused():
    plugin = python_op(np.unique, lambda operands: (AbstractTensor((symbol("unknown"),), f32),))
    text = main(
        '%y = "mine.python"(%x) : (tensor<3xf32>) -> tensor<?xf32>\nfunc.return %y : tensor<?xf32>',
        "%x: tensor<3xf32>",
        "tensor<?xf32>",
    )
    with pytest.raises(lamina.LaminaError, match="do not follow from those of its operands"):
        compiled(text, plugin)


def test_calls_in_branches_and_of_several_types_and_threads():
    body = """
    %0 = graph.if %p -> (tensor<?xf32>) {
      %a = "mine.python"(%x) : (tensor<?xf32>) -> tensor<?xf32>
      graph.yield %a : tensor<?xf32>
    } else {
      %b = graph.exp %x : tensor<?xf32>
      graph.yield %b : tensor<?xf32>
    }
    %1 = "mine.python"(%i) : (tensor<2x2xi32>) -> tensor<2x2xi32>
    func.return %0, %1 : tensor<?xf32>, tensor<2x2xi32>
    """
    text = main(body, "%p: tensor<i1>;%x: tensor<?xf32>;%i: tensor<2x2xi32>", "tensor<?xf32>;tensor<2x2xi32>")
    executable = compiled(text, python_op(lambda x: x * 2))
    x, i = np.arange(3, dtype=np.float32), np.arange(4, dtype=np.int32).reshape(2, 2)
    wrong = []

    def work(predicate):
        for _ in range(50):
            y, j = executable(np.array(predicate), x, i)
            if not (np.allclose(y, 2 * x if predicate else np.exp(x)) and np.array_equal(j, 2 * i)):
                wrong.append(predicate)

    threads = [threading.Thread(target=work, args=(bool(number % 2),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_call_with_effects_is_made_though_nothing_reads_it_and_not_while_compiling():
    seen = []
    plugin = python_op(lambda x: seen.append(x.tolist()) or (), lambda operands: ())
    text = main(
        '%c = graph.constant dense<7.0> : tensor<2xf32>\n"mine.python"(%c) : (tensor<2xf32>) -> ()\n'
        '"mine.python"(%x) : (tensor<1xf32>) -> ()\nfunc.return %x : tensor<1xf32>',
        "%x: tensor<1xf32>",
        "tensor<1xf32>",
    )
    executable = compiled(text, plugin)
    assert seen == []
    executable(np.ones(1, np.float32))
    assert seen == [[7.0, 7.0], [1.0]]


def test_a_saved_model_needs_the_plugin_and_works_with_it(tmp_path: Path):
    plugin = python_op(lambda x: x + 1)
    text = main(
        '%y = "mine.python"(%x) : (tensor<3xf32>) -> tensor<3xf32>\nfunc.return %y : tensor<3xf32>',
        "%x: tensor<3xf32>",
        "tensor<3xf32>",
    )
    compiled(text, plugin).save(tmp_path / "m.lamina")
    with pytest.raises(lamina.LaminaError, match=r"calls 'mine\.python', which no plugin defines"):
        lamina.load(tmp_path / "m.lamina")
    for executable in (
        lamina.load(tmp_path / "m.lamina", plugins=[plugin]),
        lamina.compile(tmp_path / "m.lamina", plugins=[plugin]),
    ):
        assert executable(np.zeros(3, np.float32))[0].tolist() == [1, 1, 1]


# ---- the cache


def test_a_change_of_the_sources_changes_the_fingerprint(tmp_path: Path):
    file = tmp_path / "fingerprinted.py"
    file.write_text(
        "from xdsl.ir import Dialect\nfrom lamina.plugins import Plugin\n"
        "PLUGIN = Plugin('f', dialects={'f': lambda: Dialect('f', [])})\n"
    )
    plugin = load_plugin(str(file))
    before = fingerprint(plugin)
    assert before is not None and before == fingerprint(plugin)
    file.write_text(file.read_text() + "# changed\n")
    assert fingerprint(plugin) != before
    file.unlink()
    assert fingerprint(plugin) is None
