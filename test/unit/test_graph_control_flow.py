"""`if` and `while`: syntax, types, evaluation, and canonicalizations that keep the results."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.transforms.canonicalize import CanonicalizePass
from xdsl.transforms.common_subexpression_elimination import cse
from xdsl.transforms.dead_code_elimination import dce

from lamina.dialects.graph.base import abstract_operands
from lamina.dialects.graph.control_flow import CONTROL_FLOW_OPS, IfOp, WhileOp, YieldOp
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import outcome, parse

GCD = """
func.func @main(%a: tensor<i64>, %b: tensor<i64>, %unused: tensor<4xf32>) -> tensor<i64> {
  %zero = graph.constant dense<0> : tensor<i64>
  %x, %y, %z = graph.while (%x = %a, %y = %b, %z = %unused)
    : (tensor<i64>, tensor<i64>, tensor<4xf32>) -> (tensor<i64>, tensor<i64>, tensor<4xf32>) {
    %more = graph.compare NE, %y, %zero : tensor<i64>, tensor<i64> -> tensor<i1>
    graph.yield %more : tensor<i1>
  } do {
    %rest = graph.remainder %x, %y : tensor<i64>
    %w = graph.add %z, %z : tensor<4xf32>
    graph.yield %y, %rest, %w : tensor<i64>, tensor<i64>, tensor<4xf32>
  }
  func.return %x : tensor<i64>
}
"""

CHOICE = """
func.func @main(%c: tensor<i1>, %x: tensor<3xf32>) -> (tensor<3xf32>, tensor<?xf32>) {
  %y, %z, %w = graph.if %c -> (tensor<3xf32>, tensor<?xf32>, tensor<3xf32>) {
    %a = graph.add %x, %x : tensor<3xf32>
    %e = graph.exp %x : tensor<3xf32>
    graph.yield %a, %x, %e : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  } else {
    %b = graph.negate %x : tensor<3xf32>
    %f = graph.slice %x, [0] to [2] step [1] : tensor<3xf32> -> tensor<2xf32>
    graph.yield %b, %f, %b : tensor<3xf32>, tensor<2xf32>, tensor<3xf32>
  }
  func.return %y, %z : tensor<3xf32>, tensor<?xf32>
}
"""


def only(module: ModuleOp, op_type):
    (op,) = (op for op in module.walk() if isinstance(op, op_type))
    return op


def canonical(text: str) -> ModuleOp:
    module = parse(text)
    CanonicalizePass().apply(None, module)
    module.verify()
    return module


def test_every_op_is_covered():
    assert (IfOp, WhileOp, YieldOp) == CONTROL_FLOW_OPS


@pytest.mark.parametrize("text", [GCD, CHOICE])
def test_text_round_trips(text):
    module = parse(text)
    again = parse(str(module))
    assert str(again) == str(module)
    assert again.is_structurally_equivalent(module)


def test_the_names_of_loop_values_are_optional():
    assert "} do (" in str(parse(GCD))
    assert parse(str(parse(GCD))).is_structurally_equivalent(parse(GCD))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_while_computes_the_greatest_common_divisor(a, b):
    inputs = [np.array(a), np.array(b), np.ones(4, np.float32)]
    expected = np.gcd(a, b)
    assert evaluate(parse(GCD), inputs)[0] == expected
    assert evaluate(canonical(GCD), inputs)[0] == expected


@pytest.mark.parametrize("choice", [False, True])
def test_if_runs_one_region(choice):
    x = np.array([1, 2, 3], np.float32)
    inputs = [np.array(choice), x]
    for module in (parse(CHOICE), canonical(CHOICE)):
        y, z = evaluate(module, inputs)
        np.testing.assert_array_equal(y, x + x if choice else -x)
        np.testing.assert_array_equal(z, x if choice else x[:2])


def test_reference_runs_regions_that_capture_nothing():
    module = parse("""
        func.func @main(%c: tensor<i1>, %n: tensor<i64>) -> tensor<i64> {
          %y = graph.if %c -> (tensor<i64>) {
            %one = graph.constant dense<1> : tensor<i64>
            graph.yield %one : tensor<i64>
          } else {
            %two = graph.constant dense<2> : tensor<i64>
            graph.yield %two : tensor<i64>
          }
          %z = graph.while (%i = %n) : (tensor<i64>) -> (tensor<i64>) {
            %ten = graph.constant dense<10> : tensor<i64>
            %more = graph.compare LT, %i, %ten : tensor<i64>, tensor<i64> -> tensor<i1>
            graph.yield %more : tensor<i1>
          } do {
            %next = graph.add %i, %i : tensor<i64>
            graph.yield %next : tensor<i64>
          }
          %s = graph.add %y, %z : tensor<i64>
          func.return %s : tensor<i64>
        }""")
    branch, loop = only(module, IfOp), only(module, WhileOp)
    assert branch.reference(np.array(True)) == (1,) and branch.reference(np.array(False)) == (2,)
    assert loop.reference(np.array(3)) == (12,)
    assert branch.then_yield.reference(np.array(7)) == (7,)
    for op in (branch, loop, branch.then_yield):
        known = abstract_operands(op)
        assert [k.type for k in op.infer(known)] == [r.type for r in op.results]
        assert op.constraints(known) == ()
    captured = only(parse(CHOICE), IfOp)
    assert "uses a value from outside the region" in outcome(captured.reference, np.array(True))


def test_constructors_infer_the_results():
    module = parse(CHOICE)
    op = only(module, IfOp)
    predicate = op.predicate
    regions = [op.detach_region(region) for region in tuple(op.regions)]
    again = IfOp(predicate, *regions)
    again.verify()
    assert [str(t) for t in again.result_types] == ["tensor<3xf32>", "tensor<?xf32>", "tensor<3xf32>"]
    loop = only(parse(GCD), WhileOp)
    inits = tuple(loop.inits)
    regions = [loop.detach_region(region) for region in tuple(loop.regions)]
    assert [str(t) for t in WhileOp(inits, *regions).result_types] == ["tensor<i64>", "tensor<i64>", "tensor<4xf32>"]


def test_dead_and_common_control_flow():
    text = CHOICE.replace(
        "  func.return",
        CHOICE.split("\n")[2].replace("%y, %z, %w", "%y2, %z2, %w2")
        + "\n"
        + "\n".join(CHOICE.split("\n")[3:11])
        + "\n  func.return",
    ).replace("func.return %y, %z", "func.return %y, %z2")
    module = parse(text)
    assert sum(isinstance(op, IfOp) for op in module.walk()) == 2
    cse(module)
    assert sum(isinstance(op, IfOp) for op in module.walk()) == 1
    module = parse(GCD.replace("func.return %x", "func.return %a"))
    dce(module)
    assert not any(isinstance(op, WhileOp) for op in module.walk())


def test_unused_loop_values_are_dropped():
    loop = only(canonical(GCD), WhileOp)
    assert [str(t) for t in loop.result_types] == ["tensor<i64>", "tensor<i64>"]
    assert len(loop.body_region.block.args) == len(loop.condition_region.block.args) == 2


def test_unused_results_of_if_are_dropped():
    branch = only(canonical(CHOICE), IfOp)
    assert [str(t) for t in branch.result_types] == ["tensor<3xf32>", "tensor<?xf32>"]
    assert not [op for op in branch.walk() if op.name == "graph.exp"]


@pytest.mark.parametrize(("value", "op"), [("true", "graph.add"), ("false", "graph.negate")])
def test_if_of_a_constant_is_inlined(value, op):
    text = CHOICE.replace("tensor<?xf32>", "tensor<3xf32>").replace("%f : tensor<3xf32>, tensor<2xf32>", "%x")
    text = text.replace(
        "graph.yield %b, %f, %b : tensor<3xf32>, tensor<2xf32>", "graph.yield %b, %x, %b : tensor<3xf32>, tensor<3xf32>"
    )
    text = text.replace("  %y, %z, %w", f"  %k = graph.constant dense<{value}> : tensor<i1>\n  %y, %z, %w").replace(
        "if %c", "if %k"
    )
    module = canonical(text)
    (function,) = module.ops
    assert [inner.name for inner in function.body.block.ops] == [op, "func.return"]
    x = np.array([1, -2, 3], np.float32)
    before = evaluate(parse(text), [np.array(True), x])
    for a, b in zip(before, evaluate(module, [np.array(True), x]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_more_precise_type_does_not_reach_the_function_result():
    text = """
        func.func @main(%x: tensor<3xf32>) -> tensor<?xf32> {
          %k = graph.constant dense<true> : tensor<i1>
          %y = graph.if %k -> (tensor<?xf32>) {
            graph.yield %x : tensor<3xf32>
          } else {
            graph.yield %x : tensor<3xf32>
          }
          func.return %y : tensor<?xf32>
        }"""
    assert only(canonical(text), IfOp)


def test_results_common_to_both_regions_are_forwarded():
    module = canonical("""
        func.func @main(%c: tensor<i1>, %x: tensor<3xf32>) -> tensor<3xf32> {
          %y = graph.if %c -> (tensor<3xf32>) {
            graph.yield %x : tensor<3xf32>
          } else {
            graph.yield %x : tensor<3xf32>
          }
          func.return %y : tensor<3xf32>
        }""")
    (function,) = module.ops
    assert [op.name for op in function.body.block.ops] == ["func.return"]


INVARIANT = """
func.func @main(%n: tensor<i64>, %x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %zero = graph.constant dense<0> : tensor<i64>
  %one = graph.constant dense<1> : tensor<i64>
  %i, %s, %k = graph.while (%i = %zero, %s = %x, %k = %x)
    : (tensor<i64>, tensor<3xf32>, tensor<3xf32>) -> (tensor<i64>, tensor<3xf32>, tensor<3xf32>) {
    %more = graph.compare LT, %i, %n : tensor<i64>, tensor<i64> -> tensor<i1>
    graph.yield %more : tensor<i1>
  } do {
    %j = graph.add %i, %one : tensor<i64>
    %t = graph.add %s, %k : tensor<3xf32>
    graph.yield %j, %t, %k : tensor<i64>, tensor<3xf32>, tensor<3xf32>
  }
  func.return %s, %k : tensor<3xf32>, tensor<3xf32>
}
"""


@pytest.mark.parametrize("count", [0, 1, 5])
def test_invariant_loop_values_are_forwarded(count):
    module = canonical(INVARIANT)
    loop = only(module, WhileOp)
    assert [str(t) for t in loop.result_types] == ["tensor<i64>", "tensor<3xf32>"]
    x = np.array([1, 2, 3], np.float32)
    sums, same = evaluate(module, [np.array(count), x])
    np.testing.assert_array_equal(sums, x * (count + 1))
    np.testing.assert_array_equal(same, x)


def test_a_loop_that_never_runs_is_removed():
    text = INVARIANT.replace("graph.yield %more", "%no = graph.constant dense<false> : tensor<i1>\n    graph.yield %no")
    module = canonical(text)
    (function,) = module.ops
    assert [op.name for op in function.body.block.ops] == ["func.return"]
    assert [v.name_hint for v in function.body.block.last_op.operands] == ["x", "x"]


def test_a_nested_use_keeps_a_loop_value():
    text = INVARIANT.replace(
        "%t = graph.add %s, %k : tensor<3xf32>",
        """%p = graph.compare LT, %i, %one : tensor<i64>, tensor<i64> -> tensor<i1>
    %t = graph.if %p -> (tensor<3xf32>) {
      %u = graph.add %s, %k : tensor<3xf32>
      graph.yield %u : tensor<3xf32>
    } else {
      graph.yield %s : tensor<3xf32>
    }""",
    ).replace("func.return %s, %k", "func.return %s, %s")
    inputs = [np.array(4), np.array([1, 2, 3], np.float32)]
    np.testing.assert_array_equal(evaluate(canonical(text), inputs), evaluate(parse(text), inputs))


def test_sizes_may_change_from_one_iteration_to_the_next():
    module = parse("""
        func.func @main(%n: tensor<i64>, %x: tensor<2xf32>) -> tensor<?xf32> {
          %one = graph.constant dense<1> : tensor<i64>
          %zero = graph.constant dense<0> : tensor<i64>
          %i, %y = graph.while (%i = %zero, %y = %x) : (tensor<i64>, tensor<2xf32>) -> (tensor<i64>, tensor<?xf32>) {
            %more = graph.compare LT, %i, %n : tensor<i64>, tensor<i64> -> tensor<i1>
            graph.yield %more : tensor<i1>
          } do {
            %j = graph.add %i, %one : tensor<i64>
            %z = graph.concatenate %y, %y dimension 0 : tensor<?xf32>, tensor<?xf32> -> tensor<?xf32>
            graph.yield %j, %z : tensor<i64>, tensor<?xf32>
          }
          func.return %y : tensor<?xf32>
        }""")
    x = np.array([1, 2], np.float32)
    np.testing.assert_array_equal(evaluate(module, [np.array(3), x])[0], np.tile(x, 8))


BRANCH = """
func.func @main(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {{
  {}
  func.return
}}
"""


@pytest.mark.parametrize(
    ("then", "otherwise", "types", "message"),
    [
        (
            "graph.yield %x : tensor<3xf32>",
            "graph.yield",
            "tensor<3xf32>",
            "as many results from both regions, found 1 and 0",
        ),
        (
            "graph.yield %x : tensor<3xf32>",
            "graph.yield %y : tensor<3x1xf32>",
            "tensor<3xf32>",
            "expected equal ranks and element types from both regions, found tensor<3xf32> and tensor<3x1xf32>",
        ),
        (
            "graph.yield %x : tensor<3xf32>",
            "graph.yield %x : tensor<3xf32>",
            "tensor<4xf32>",
            "result 0: expected tensor<3xf32>, found tensor<4xf32>",
        ),
        ("graph.yield %x : tensor<3xf32>", "graph.yield %x : tensor<3xf32>", "", "expected 1 results, found 0"),
    ],
)
def test_if_errors(then, otherwise, types, message):
    result = "%r = " if types else ""
    text = BRANCH.format(f"{result}graph.if %c -> ({types}) {{\n{then}\n}} else {{\n{otherwise}\n}}")
    error = outcome(parse, text)
    assert "graph.if" in error and message in error


@pytest.mark.parametrize(
    ("condition", "body", "result", "message"),
    [
        (
            "graph.yield %c : tensor<i1>",
            "graph.yield",
            "tensor<3xf32>",
            "values yielded by the body: expected (tensor<3xf32>), found ()",
        ),
        (
            "graph.yield %v : tensor<2xi1>",
            "graph.yield %a : tensor<3xf32>",
            "tensor<3xf32>",
            "condition: expected to yield tensor<i1>, found (tensor<2xi1>)",
        ),
        (
            "graph.yield %c : tensor<i1>",
            "graph.yield %y : tensor<3x1xf32>",
            "tensor<3xf32>",
            "values yielded by the body: expected (tensor<3xf32>), found (tensor<3x1xf32>)",
        ),
        (
            "graph.yield %c : tensor<i1>",
            "graph.yield %a : tensor<4xf32>",
            "tensor<4xf32>",
            "initial values: expected (tensor<4xf32>), found (tensor<3xf32>)",
        ),
    ],
)
def test_while_errors(condition, body, result, message):
    loop = f"%r = graph.while (%a = %x) : (tensor<3xf32>) -> ({result}) {{\n{condition}\n}} do {{\n{body}\n}}"
    error = outcome(parse, BRANCH.format(loop))
    assert "graph.while" in error and message in error


def test_syntax_errors():
    line = "%r = graph.while (%a = %x) : (tensor<3xf32>) -> () {\n} do {\n}"
    assert "expected 1 operand and result types, found 1 and 0" in outcome(parse, BRANCH.format(line))
    line = (
        "%r = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {\ngraph.yield %c : tensor<i1>\n} do () {\n}"
    )
    assert "expected 1 loop values, found 0" in outcome(parse, BRANCH.format(line))


def test_regions_end_in_yield():
    error = outcome(parse, BRANCH.format("graph.if %c -> () {\ngraph.yield\n} else {\n}"))
    assert "expected a single block, but got 0 blocks" in error
    line = "%r = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {\n} do {\n}"
    assert "contains empty block in single-block region" in outcome(parse, BRANCH.format(line))
    module = parse(CHOICE)
    branch = only(module, IfOp)
    branch.else_region.block.erase_op(branch.else_yield)
    assert "expected regions of one block that end in graph.yield, found graph.slice" in outcome(branch.verify_)


def test_yield_belongs_into_control_flow():
    assert "graph.yield" in outcome(parse, "func.func @main() {\n  graph.yield\n}")
