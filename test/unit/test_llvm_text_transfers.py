"""Drawn transfers between buffers and vectors: any permutation, bounds, masks and element types, against NumPy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from support.native import DTYPES, ENTRY, FLOATS, constant_text, random_array, run


@st.composite
def transfers(draw):
    """A buffer, and a vector read from or written to it at a permutation map, bounds and a mask."""
    rank = draw(st.integers(1, 3))
    sizes = [draw(st.integers(1, 9)) for _ in range(rank - 1)] + [draw(st.integers(1, 40))]
    dynamic = [draw(st.booleans()) for _ in sizes]
    vector_rank = draw(st.integers(1, rank))
    axes = draw(st.permutations(range(rank)))[:vector_rank]
    if draw(st.booleans()):
        axes = sorted(axes)
    broadcast = [draw(st.integers(0, 4)) == 0 for _ in axes]
    starts = [draw(st.integers(0, size - 1)) for size in sizes]
    shape, in_bounds = [], []
    for axis, repeated in zip(axes, broadcast, strict=True):
        left = sizes[axis] - starts[axis]
        extent = draw(st.integers(1, 20 if axis == rank - 1 else 5))
        within = repeated or draw(st.booleans())
        if within and not repeated:
            extent = min(extent, left)
        shape.append(extent)
        in_bounds.append(within)
    masked = draw(st.booleans())
    return {
        "type": draw(st.sampled_from(["f32", "f64", "bf16", "i8", "i1", "i64"])),
        "sizes": sizes,
        "dynamic": dynamic,
        "axes": [None if repeated else axis for axis, repeated in zip(axes, broadcast, strict=True)],
        "starts": starts,
        "constant_starts": draw(st.booleans()),
        "shape": shape,
        "in_bounds": in_bounds,
        "mask": [draw(st.integers(0, 21)) for _ in range(rank)] if masked else None,
        "bits": draw(st.sampled_from([128, 256, 512])),
    }


def transfer_parts(case):
    """The pieces of text that reads and writes share."""
    rank = len(case["sizes"])
    dims = ", ".join(f"d{axis}" for axis in range(rank))
    results = ", ".join("0" if axis is None else f"d{axis}" for axis in case["axes"])
    sizes = ["?" if dynamic else str(size) for size, dynamic in zip(case["sizes"], case["dynamic"], strict=True)]
    buffer = f"memref<{'x'.join(sizes)}x{case['type']}>"
    vector = f"vector<{'x'.join(map(str, case['shape']))}x{case['type']}>"
    bounds = ", ".join("true" if within else "false" for within in case["in_bounds"])
    attributes = f"{{in_bounds = [{bounds}], permutation_map = affine_map<({dims}) -> ({results})>}}"
    lines = ["%c0 = arith.constant 0 : index"]
    for axis, start in enumerate(case["starts"]):
        if case["constant_starts"]:
            lines.append(f"%s{axis} = arith.constant {start} : index")
        else:
            lines.append(f"%s{axis} = arith.addi %n{axis}, %c0 : index")
    mask = mask_type = ""
    covered = sorted((axis, position) for position, axis in enumerate(case["axes"]) if axis is not None)
    if case["mask"] is not None and covered:
        counts = [f"%k{axis}" for axis, _ in covered]
        lines += [f"%k{axis} = arith.constant {case['mask'][axis]} : index" for axis, _ in covered]
        mask_type = f"vector<{'x'.join(str(case['shape'][position]) for _, position in covered)}xi1>"
        lines.append(f"%mask = vector.create_mask {', '.join(counts)} : {mask_type}")
        mask = ", %mask"
    starts = ", ".join(f"%s{axis}" for axis in range(rank))
    arguments = ", ".join(f"%n{axis}: index" for axis in range(rank))
    return buffer, vector, attributes, lines, mask, starts, arguments


def places(case):
    """(position in the vector, index in the buffer) of every lane that exists."""
    masked = case["mask"] is not None
    for position in np.ndindex(*case["shape"]):
        index, exists = list(case["starts"]), True
        for item, axis in zip(position, case["axes"], strict=True):
            if axis is not None:
                index[axis] += item
                exists &= index[axis] < case["sizes"][axis]
                exists &= not masked or item < case["mask"][axis]
        if exists:
            yield position, tuple(index)


@settings(max_examples=60, deadline=None)
@given(transfers())
def test_transfer_read(case):
    buffer, vector, attributes, lines, mask, starts, arguments = transfer_parts(case)
    type_ = case["type"]
    padding = {"i1": "true"}.get(type_, "7.0" if type_ in FLOATS else "7")
    out = buffer_of(vector)
    text = f"""
func.func @main({arguments}, %m: {buffer}, %o: {out}) {ENTRY} {{
  {chr(10).join(lines)}
  %padding = {constant_text(padding, type_)}
  %v = vector.transfer_read %m[{starts}], %padding{mask} {attributes} : {buffer}, {vector}
  vector.transfer_write %v, %o[{", ".join(["%c0"] * len(case["shape"]))}]
    {{in_bounds = [{", ".join(["true"] * len(case["shape"]))}]}} : {vector}, {out}
  return
}}"""
    source = random_array(case["sizes"], type_)
    result = np.zeros(case["shape"], DTYPES[type_])
    run(text, *case["starts"], source, result, vector_bits=case["bits"], optimize=False)
    expected = np.full(case["shape"], 1 if type_ == "i1" else 7, DTYPES[type_])
    for position, index in places(case):
        expected[position] = source[index]
    np.testing.assert_array_equal(result, expected)


def buffer_of(vector):
    return vector.replace("vector<", "memref<")


@settings(max_examples=60, deadline=None)
@given(transfers())
def test_transfer_write(case):
    case["axes"] = [axis for axis in case["axes"] if axis is not None] or [0]
    case["shape"] = case["shape"][: len(case["axes"])]
    case["in_bounds"] = [False] * len(case["axes"])
    buffer, vector, attributes, lines, mask, starts, arguments = transfer_parts(case)
    type_ = case["type"]
    source_type = buffer_of(vector)
    padding = "false" if type_ == "i1" else "0.0" if type_ in FLOATS else "0"
    text = f"""
func.func @main({arguments}, %m: {buffer}, %o: {source_type}) {ENTRY} {{
  {chr(10).join(lines)}
  %padding = {constant_text(padding, type_)}
  %v = vector.transfer_read %o[{", ".join(["%c0"] * len(case["shape"]))}], %padding
    {{in_bounds = [{", ".join(["true"] * len(case["shape"]))}]}} : {source_type}, {vector}
  vector.transfer_write %v, %m[{starts}]{mask} {attributes} : {vector}, {buffer}
  return
}}"""
    source = random_array(case["shape"], type_, 1)
    result = random_array(case["sizes"], type_, 2)
    expected = result.copy()
    for position, index in places(case):
        expected[index] = source[position]
    run(text, *case["starts"], result, source, vector_bits=case["bits"], optimize=False)
    np.testing.assert_array_equal(result, expected)
