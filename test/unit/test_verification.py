"""`lamina.verification` refuses what xDSL's own verifier refuses, with the same words, and asks for each callee once."""

import pytest
from xdsl.dialects import func
from xdsl.traits import SymbolTable
from xdsl.utils.exceptions import VerifyException

from lamina import api
from lamina.parser import parse_text
from lamina.verification import verify_module

KERNEL = """
  func.func private @k(%a: tensor<2xf32>) -> tensor<2xf32> { func.return %a : tensor<2xf32> }"""

GOOD = (
    """
module {
  func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> {
    %b = func.call @k(%a) : (tensor<2xf32>) -> tensor<2xf32>
    func.return %b : tensor<2xf32>
  }"""
    + KERNEL
    + "\n}"
)

BAD = {
    "no such function": GOOD.replace("call @k", "call @j"),
    "no function at all": GOOD.replace(KERNEL, "\n  memref.global \"private\" constant @k : memref<2xf32> = dense<1.0>"),
    "another operand type": GOOD.replace("private @k(%a: tensor<2xf32>)", "private @k(%a: tensor<2xi32>)")
    .replace("{ func.return %a", "{ %c = \"test.op\"() : () -> tensor<2xf32> func.return %c"),
    "another number of operands": GOOD.replace("private @k(%a: tensor<2xf32>", "private @k(%a: tensor<2xf32>, %c: index"),
    "another result type": GOOD.replace("%b = func.call @k(%a) : (tensor<2xf32>) -> tensor<2xf32>",
                                        "%b = func.call @k(%a) : (tensor<2xf32>) -> tensor<3xf32>")
    .replace("func.return %b : tensor<2xf32>\n", "func.return %a : tensor<2xf32>\n"),
    "a call at the end": GOOD.replace("    func.return %b : tensor<2xf32>\n", ""),
    "an empty block": GOOD.replace("{ func.return %a : tensor<2xf32> }", "{ ^bb0(%c: tensor<2xf32>): }")
    .replace("private @k(%a: tensor<2xf32>)", "private @k(tensor<2xf32>)"),
    "two of one name": GOOD.replace("\n}", KERNEL + "\n}"),
}  # fmt: skip


def parse(text):
    return parse_text(api.make_context(), text, "test.mlir")


def refusal(verify, module):
    with pytest.raises(VerifyException) as caught:
        verify(module)
    return str(caught.value)


def test_a_good_module_is_accepted_without_looking_for_callees(monkeypatch):
    module = parse(GOOD)
    monkeypatch.setattr(SymbolTable, "lookup_symbol", lambda *_: pytest.fail("a search through the module"))
    verify_module(module)


@pytest.mark.parametrize("fault", BAD)
def test_what_is_wrong_is_refused_with_the_same_words(fault):
    module = parse(BAD[fault])
    assert refusal(verify_module, module) == refusal(lambda one: one.verify(), module)


def test_calls_find_the_functions_of_the_nearest_table():
    inner = f"module @inner {{ {KERNEL.replace('2xf32', '3xf32')} }}"
    verify_module(parse(GOOD.replace("module {", f"module {{ {inner}")))
    wrong = f"module @inner {{ {GOOD.removeprefix(chr(10) + 'module {').replace(KERNEL, '')}"
    text = f"module {{ {KERNEL} {wrong} }}"
    assert refusal(verify_module, parse(text)) == refusal(lambda one: one.verify(), parse(text))


def test_damaged_nesting():
    module = parse(GOOD)
    (call,) = [op for op in module.walk() if isinstance(op, func.CallOp)]
    call.parent = None
    with pytest.raises(ValueError, match="Parent pointer"):
        verify_module(module)
