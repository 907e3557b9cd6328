"""Constants in large pages: the same values, aligned, and only where there are enough bytes and not too many."""

import mmap

import numpy as np
import pytest

from lamina.targets.cpu import large_pages
from lamina.targets.cpu.large_pages import in_large_pages

ASKED_FOR = hasattr(mmap, "MADV_HUGEPAGE") and large_pages.are_enabled()


def test_copies_are_equal_and_aligned():
    generator = np.random.default_rng(0)
    arrays = [
        generator.standard_normal((22, 256, 48)).astype(np.float32),
        np.zeros((0, 3), np.float32),
        np.array(7, np.int64),
        generator.integers(0, 2, 5).astype(bool),
        generator.standard_normal((60, 50)).T,
    ]
    copies = in_large_pages(arrays)
    assert len(copies) == len(arrays)
    for copy, array in zip(copies, arrays, strict=True):
        assert copy.dtype == array.dtype and copy.shape == array.shape and copy.flags.c_contiguous
        np.testing.assert_array_equal(copy, array)
    if ASKED_FOR:
        assert all(copy.ctypes.data % large_pages.ALIGNMENT == 0 for copy in copies)
        assert copies[0].ctypes.data % large_pages.PAGE == 0
        assert not np.shares_memory(copies[0], arrays[0])


@pytest.mark.parametrize("size", (1, large_pages.LEAST - 64, large_pages.MOST + 1))
def test_others_stay_where_they_are(size: int):
    array = np.zeros(size, np.uint8)
    (found,) = in_large_pages([array])
    assert found is array


def test_no_constants():
    assert in_large_pages([]) == []
