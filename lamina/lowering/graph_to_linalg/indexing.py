"""Positions along the axes of a tensor, as functions of a stage's iteration dims: linear while possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineExpr, AffineMap

from lamina.dialects.graph.dims import Dim, Shape


@dataclass(frozen=True)
class Linear:
    """`sum of coefficient * dim, + constant` over the iteration dims; dims ascend, no coefficient is 0."""

    terms: tuple[tuple[int, int], ...] = ()
    constant: int = 0

    def plus(self, other: Linear | int) -> Linear:
        if isinstance(other, int):
            return Linear(self.terms, self.constant + other)
        total = dict(self.terms)
        for dim, coefficient in other.terms:
            total[dim] = total.get(dim, 0) + coefficient
        return linear(total, self.constant + other.constant)

    def times(self, factor: int) -> Linear:
        return linear({dim: coefficient * factor for dim, coefficient in self.terms}, self.constant * factor)

    @property
    def plain_dim(self) -> int | None:
        """The iteration dim that this is, unscaled and unshifted, else None."""
        if self.constant == 0 and len(self.terms) == 1 and self.terms[0][1] == 1:
            return self.terms[0][0]
        return None

    def bounds(self, sizes: Shape) -> tuple[int, int] | None:
        """The smallest and the largest value over all iterations; None where a size is symbolic or zero."""
        low = high = self.constant
        for dim, coefficient in self.terms:
            size = sizes[dim]
            if not isinstance(size, int) or size == 0:
                return None
            extreme = coefficient * (size - 1)
            low, high = low + min(extreme, 0), high + max(extreme, 0)
        return low, high

    def divided(self, divisor: int, sizes: Shape) -> tuple[Linear, Linear] | None:
        """Quotient and remainder by a positive integer, where both are linear for all iterations, else None."""
        quotient_constant, remainder_constant = divmod(self.constant, divisor)
        multiples = tuple((dim, c // divisor) for dim, c in self.terms if c % divisor == 0)
        rest = Linear(tuple((dim, c) for dim, c in self.terms if c % divisor), remainder_constant)
        bounds = rest.bounds(sizes)
        if bounds is None or bounds[0] < 0 or bounds[1] >= divisor:
            return None
        return Linear(multiples, quotient_constant), rest

    @property
    def affine(self) -> AffineExpr:
        """As an affine expression over the iteration dims."""
        total: AffineExpr | None = None
        for dim, coefficient in self.terms:
            term: AffineExpr = AffineDimExpr(dim)
            term = term if coefficient == 1 else term * coefficient
            total = term if total is None else total + term
        if total is None:
            return AffineConstantExpr(self.constant)
        return total + self.constant if self.constant else total


@dataclass(frozen=True)
class Divided:
    """The quotient (rounded down) or the remainder of an iteration dim by a constant: a position in packed panels."""

    dim: int
    divisor: int
    remainder: bool = False

    @property
    def plain_dim(self) -> None:
        """No iteration dim runs over the axis alone."""

    @property
    def affine(self) -> AffineExpr:
        """As an affine expression over the iteration dims."""
        dim = AffineDimExpr(self.dim)
        return dim % self.divisor if self.remainder else dim // self.divisor


@dataclass(frozen=True)
class Grouped:
    """`dim // divisor * factor + rest`: an input feature of the group that output feature `dim` belongs to."""

    dim: int
    divisor: int
    factor: int
    rest: Linear

    @property
    def plain_dim(self) -> None:
        """No iteration dim runs over the axis alone."""

    @property
    def affine(self) -> AffineExpr:
        """As an affine expression over the iteration dims."""
        group = AffineDimExpr(self.dim) // self.divisor
        first = group if self.factor == 1 else group * self.factor
        return first if self.rest == Linear() else first + self.rest.affine


Position: TypeAlias = Linear | Divided | Grouped
"""What an indexing map holds."""

Index: TypeAlias = Linear | Divided | Grouped | SSAValue
Indices: TypeAlias = tuple[Index, ...]

ZERO = Linear()


def linear(terms: Mapping[int, int], constant: int = 0) -> Linear:
    """A linear position in normal form."""
    return Linear(tuple(sorted((dim, c) for dim, c in terms.items() if c)), constant)


def dim_index(dim: int) -> Linear:
    """The position that is iteration dim number `dim`."""
    return Linear(((dim, 1),))


def identity_indices(rank: int) -> tuple[Linear, ...]:
    """One iteration dim per axis."""
    return tuple(dim_index(dim) for dim in range(rank))


def affine_map(indices: Sequence[Position], dim_count: int) -> AffineMap:
    """An indexing map from `dim_count` iteration dims."""
    return AffineMap(dim_count, 0, tuple(index.affine for index in indices))


def is_operand_map(indices: Indices, shape: Shape, iteration: Shape) -> bool:
    """Whether a tensor of `shape`, read at `indices`, can be an operand of a generic over `iteration`.

    linalg finds the iteration sizes by inverting the maps, so a plain dim must run over the whole axis; any other
    linear position must stay inside it.
    """
    return all(
        isinstance(index, Divided | Grouped) or (isinstance(index, Linear) and _spans(index, size, iteration))
        for index, size in zip(indices, shape, strict=True)
    )


def _spans(index: Linear, size: Dim, iteration: Shape) -> bool:
    plain = index.plain_dim
    if plain is not None:
        return iteration[plain] == size
    bounds = index.bounds(iteration)
    if bounds is None:
        return all(iteration[dim] != 0 for dim, _ in index.terms)
    return bounds[0] >= 0 and (not isinstance(size, int) or bounds[1] < size)
