"""Trees: taken apart and put together again, their paths, and how two of them differ."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lamina
from lamina import LaminaError, ops, spec, trace, trees


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any
    label: str = trees.static(default="p")


TREE = {"b": [1, (2, Pair(3, None))], "a": Point(4, {"z": 5}), "c": {}}


def test_leaves_have_paths():
    assert dict(trees.leaves(TREE)) == {"a.x": 4, "a.y.z": 5, "b.0": 1, "b.1.0": 2, "b.1.1.0": 3}
    assert dict(trees.leaves([7, 8], "x")) == {"x.0": 7, "x.1": 8}
    assert list(trees.leaves(3)) == [("", 3)] and list(trees.leaves(None)) == []


def test_structure_and_leaves_make_the_tree_again():
    found, structure = trees.flatten(TREE)
    assert structure.count == len(found) == 5
    again = structure.unflatten(found)
    assert again == TREE and isinstance(again["b"][1][1], Pair) and again["a"].label == "p"
    assert trees.map_leaves(lambda leaf, more: leaf + more, TREE, TREE)["a"] == Point(8, {"z": 10})
    with pytest.raises(LaminaError, match="expected 5 leaves, found 2"):
        structure.unflatten([1, 2])
    leaves, whole = trees.flatten(TREE, is_leaf=lambda each: isinstance(each, Pair))
    assert Pair(3, None) in leaves and whole != structure


JSON = st.recursive(
    st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
)


@given(JSON, JSON)
def test_structures_are_equal_when_the_trees_are_but_for_leaves(left, right):
    found, structure = trees.flatten(left)
    assert structure.unflatten(found) == left
    assert len(list(structure.paths())) == len(found)
    other = trees.structure(right)
    assert (structure == other) == (trees.map_leaves(lambda _: 0, left) == trees.map_leaves(lambda _: 0, right))
    assert structure != other or hash(structure) == hash(other)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ([1], (1,), "x: expected the structure [*], found (*)"),
        ({"a": 1}, {"b": 1}, "x: expected the structure {'a': *}, found {'b': *}"),
        (Pair(1, 2), (1, 2), "expected the structure Pair(0=*, 1=*), found (*, *)"),
        (Point(1, 2), Point(1, 2, "q"), "expected a Point with (('label', 'p'),), found one with (('label', 'q'),)"),
        ([Point(1, 2)], [Point(1, 2, "q")], "expected a Point at '0' with"),
        (
            {f"layer{i}": [0, 0] for i in range(20)},
            {f"layer{i}": [0] for i in range(19)},
            "missing 'layer0.1', 'layer1.1', 'layer10.1', 'layer11.1', 'layer12.1', 'layer13.1', 'layer14.1', "
            "'layer15.1' and 13 more",
        ),
        ([[0]] * 60, [(0,)] * 60, "expected a list at '0', found a tuple"),
    ],
)
def test_differences(left, right, message):
    with pytest.raises(LaminaError) as caught:
        trees.check_same_structure(left, right, "x")
    assert message in caught.value.message


def test_mappings_are_dicts_in_the_order_of_their_keys():
    assert trees.structure(OrderedDict(b=1, a=2)) == trees.structure({"a": 0, "b": 0})
    with pytest.raises(LaminaError, match="keys that can be sorted"):
        trees.flatten({1: 0, "a": 0})


def test_registered_classes_are_nodes():
    class Ring:
        def __init__(self, items, name):
            self.items, self.name = items, name

    class Special(Ring):
        pass

    assert [path for path, _ in trees.leaves([Ring([1], "r")])] == ["0"]
    trees.register(Ring, lambda r: (["items"], [r.items], r.name), lambda _, name, values: Ring(*values, name))
    assert dict(trees.leaves(Special([1, 2], "r"))) == {"items.0": 1, "items.1": 2}
    doubled = trees.map_leaves(lambda leaf: 2 * leaf, Ring([1, 2], "r"))
    assert doubled.items == [2, 4] and doubled.name == "r"
    assert trees.structure(Ring([1], "r")) != trees.structure(Ring([1], "s"))


# Executables of functions of trees


def step(state: Pair, inputs: dict[str, Any], scale: Any) -> Any:
    return Pair(state.first + inputs["x"] * scale, {"norm": ops.sum(inputs["x"]), "list": [state.second]}), None


@pytest.fixture(scope="module")
def executable():
    return lamina.compile(trace(step, Pair(spec(3), spec(2)), {"x": spec(3)}, spec((), name="factor")))


ONE = np.float32(1)
STATE, INPUTS = Pair(np.ones(3, np.float32), np.zeros(2, np.float32)), {"x": np.arange(3, dtype=np.float32)}


def test_executables_take_and_give_trees(executable):
    result, nothing = executable(STATE, INPUTS, np.array(2, np.float32))
    assert nothing is None and isinstance(result, Pair)
    np.testing.assert_array_equal(result.first, [1, 3, 5])
    assert result.second["norm"] == 3 and result.second["list"][0].tolist() == [0, 0]
    assert [info.name for info in executable.inputs] == ["state.0", "state.1", "inputs.x", "factor"]
    assert [info.name for info in executable.outputs] == ["output0.0", "output0.1.list.0", "output0.1.norm"]
    by_name, _ = executable(factor=2.0, inputs=INPUTS, state=STATE)
    np.testing.assert_array_equal(by_name.first, result.first)
    flat = executable.call([STATE.first, STATE.second, INPUTS["x"], ONE * 2])
    assert len(flat) == 3 and isinstance(flat, tuple)
    own = np.zeros(3, np.float32)
    given, _ = executable(STATE, INPUTS, 2.0, out=[own, None, None])
    assert given.first is own and own.tolist() == [1, 3, 5]


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((STATE, {"y": INPUTS["x"]}, ONE), {}, "argument 'inputs': expected the structure {'x': *}, found {'y': *}"),
        ((tuple(STATE), INPUTS, ONE), {}, "argument 'state': expected the structure Pair(0=*, 1=*), found (*, *)"),
        ((STATE, INPUTS), {}, "missing: factor"),
        ((STATE, INPUTS, ONE, ONE), {}, "expected 3 arguments, found 4"),
        ((STATE, INPUTS, ONE), {"factor": ONE}, "argument 'factor' is given twice"),
        ((STATE, INPUTS), {"scale": ONE}, "there is no parameter 'scale'"),
        ((STATE, {"x": np.ones(4, np.float32)}, ONE), {}, "input 'inputs.x': expected float32[3], found shape [4]"),
        ((STATE, {"x": np.ones(3)}, ONE), {}, "input 'inputs.x': expected float32[3], found dtype float64"),
    ],
)
def test_bad_trees(executable, arguments, named, message):
    with pytest.raises(LaminaError) as caught:
        executable(*arguments, **named)
    assert message in caught.value.message


def test_trees_come_from_the_cache_and_files_hold_leaves(executable, tmp_path):
    again = lamina.compile(trace(step, Pair(spec(3), spec(2)), {"x": spec(3)}, spec((), name="factor")))
    assert again.compile_count == 0
    assert again(STATE, INPUTS, 2.0)[0].first.tolist() == [1, 3, 5]
    again.save(tmp_path / "step.lamina")
    loaded = lamina.load(tmp_path / "step.lamina")
    assert [out.shape for out in loaded(*STATE, INPUTS["x"], ONE)] == [(3,), (2,), ()]


def test_arrays_stand_for_specs():
    traced = trace(lambda tree, y: {"sum": tree["x"] + y}, INPUTS, np.ones(3, np.float32))
    result = lamina.compile(traced)(INPUTS, np.ones(3, np.float32))
    assert result["sum"].tolist() == [1, 2, 3]


def test_donated_trees_are_updated_in_place():
    traced = trace(
        lambda state, x: trees.map_leaves(lambda leaf: leaf + x, state), [spec(2), spec(3)], spec(()), donate=("state",)
    )
    state = [np.zeros(2, np.float32), np.ones(3, np.float32)]
    result = lamina.compile(traced)(state, 1.0)
    assert isinstance(result, list) and all(a is b for a, b in zip(result, state, strict=True))
    assert state[0].tolist() == [1, 1] and state[1].tolist() == [2, 2, 2]
