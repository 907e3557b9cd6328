"""The parts of lamina-opt that text tests reach badly: pipelines as text, orders of passes, listings, spans."""

import json

import pytest
from hypothesis import given, strategies
from xdsl.transforms import get_all_passes

from lamina import api, pipelines
from lamina.diagnostics import Diagnostic, LaminaError, Severity
from lamina.parser import parse_text
from lamina.profiling import Profile, profiling, span
from lamina.tools.opt import listing
from lamina.tools.opt.pass_manager import PassManager
from lamina.tools.opt.pipeline import Nest, PipelineBuilder, flattened, pipeline_text
from lamina.tools.opt.reproducer import read_reproducer, write_reproducer
from lamina.tools.opt.timing import as_json, as_list, as_tree
from lamina.tools.opt.verify_diagnostics import DiagnosticVerifier

AVAILABLE = pipelines.available_passes()


def builder(run_nest=lambda *_: None) -> PipelineBuilder:
    return PipelineBuilder(AVAILABLE, run_nest)


element = strategies.recursive(
    strategies.sampled_from(
        ["cse", "dce", "canonicalize", "graph", "decompose{only=softmax}", 'decompose{only="softmax","gelu"}']
    ),
    lambda inner: strategies.lists(inner, min_size=1, max_size=3).map(lambda parts: f"func({' , '.join(parts)})"),
    max_leaves=6,
)


@given(strategies.lists(element, min_size=1, max_size=4))
def test_a_printed_pipeline_is_the_same_pipeline(parts: list[str]):
    passes = builder().parse(",".join(parts))
    printed = pipeline_text(passes)
    again = builder().parse(printed)
    assert list(flattened(again)) == list(flattened(passes))
    assert pipeline_text(again) == printed
    assert pipeline_text(builder().parse(f"builtin.module({printed})")) == printed or printed.startswith("module")


@given(strategies.text(alphabet='abc-{}()[],="\\ 1', max_size=20))
def test_any_text_is_a_pipeline_or_refused(text: str):
    try:
        passes = builder().parse(text)
    except LaminaError:
        return
    assert not passes or not text.strip() or list(flattened(passes)) or any(isinstance(one, Nest) for one in passes)


def test_the_phases_keep_their_contracts():
    for after in pipelines.PHASE_NAMES[:-1]:
        names = pipelines.pass_names(after=after, to=pipelines.PHASE_NAMES[-1])
        types = [AVAILABLE[name]() for name in names]
        pipelines.check_order(types, pipelines.facts_after(after), complete=True)


def test_every_requirement_is_ensured_by_some_pass():
    types = [factory() for factory in pipelines.PASSES.values()]
    ensured = frozenset().union(*(getattr(one, "ensures", ()) for one in types))
    for one in types:
        assert getattr(one, "requires", frozenset()) <= ensured, one.name


def test_phases_have_names_of_their_own():
    assert not set(pipelines.PHASE_NAMES) & set(AVAILABLE)


@pytest.mark.parametrize("name", [*pipelines.PASSES, *sorted(get_all_passes())[::7]])
def test_every_pass_has_help(name: str):
    text = listing.help_pass(AVAILABLE, name)
    assert text.startswith(name)
    assert "options:" in text


def test_spans_are_nested_and_closed_after_an_exception():
    profile = Profile()
    with profiling(profile):
        with span("outer", "pass"), span("inner", "analysis"):
            pass
        with pytest.raises(ZeroDivisionError), span("outer", "pass"), span("inner", "analysis"):
            print(1 // 0)
    profile.open("left open", "verify")
    root = profile.finish()
    assert [child.name for child in root.children] == ["outer", "outer", "left open"]
    assert [child.name for child in root.children[1].children] == ["inner"]
    assert all(child.end >= child.start for child in root.children)
    data = json.loads(as_json(root))
    assert sum(child["seconds"] for child in data["children"]) <= data["seconds"] + 1e-6
    assert as_list(root).count("inner") == 1
    assert as_tree(root).count("inner") == 2
    with span("nobody records", "pass"):
        pass


def test_nesting_puts_functions_back_in_their_places():
    context = api.make_context()
    text = """
    func.func @a(%x: i32) -> i32 { %0 = arith.addi %x, %x : i32 %1 = arith.addi %x, %x : i32
      %2 = arith.muli %0, %1 : i32 func.return %2 : i32 }
    func.func @b() { func.return }
    memref.global "private" constant @c : memref<2xf32> = dense<[1.0, 2.0]>
    func.func @d() { func.return }
    """
    module = parse_text(context, text, "t.mlir")
    manager = PassManager()
    manager.run(builder(manager.run_nest).parse("func(cse)"), context, module)
    assert [op.sym_name.data for op in module.ops] == ["a", "b", "c", "d"]
    assert str(module).count("arith.addi") == 1


def test_a_reproducer_has_its_constants(tmp_path):
    import numpy as np

    context = api.make_context()
    key = context.resources.put(np.arange(99.0))
    text = f"func.func @f() {{ %0 = graph.constant dense_resource<{key}> : tensor<99xf64> func.return }}"
    path = write_reproducer(
        parse_text(context, text, "t.mlir"),
        context,
        (),
        'decompose{only="softmax"}',
        message="error: it\nfailed",
        path=str(tmp_path / "r.mlir"),
        verify_each=False,
    )
    assert read_reproducer(path) == ('builtin.module(decompose{only="softmax"})', False)
    fresh = api.make_context()
    api.load_module(path, fresh)
    np.testing.assert_array_equal(fresh.resources.get(key), np.arange(99.0))


@pytest.mark.parametrize(
    ("comment", "line", "message", "fits"),
    [
        ("// expected-error {{a(b}}", 1, "x a(b y", True),
        ("// expected-error {{a}}", 2, "a", False),
        ("// expected-error @+1 {{a}}", 2, "a", True),
        ("// expected-error @unknown {{a}}", None, "a", True),
        ("// expected-error-re {{a(b{{[0-9]+}}}}", 1, "a(b12", True),
        ("// expected-error-re {{a(b{{[0-9]+}}}}", 1, "a(bc", False),
        ("// expected-warning {{a}}", 1, "a", False),
        ("// expected-error @below {{a}}\n// expected-error @below {{b}}\nop", 3, "a", False),
    ],
)
def test_expectations(comment: str, line: int | None, message: str, fits: bool):
    verifier = DiagnosticVerifier("t.mlir", comment, 0)
    verifier(Diagnostic(Severity.ERROR, message, None if line is None else f"t.mlir:{line}:1"))
    assert (not verifier.problems()) == fits
