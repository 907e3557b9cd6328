"""Products one of whose factors is read by groups of columns: each group is a product of its own, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.passes.hardware.gpu.product_loads import FlatAxis
from lamina.passes.loop.emitter import Emitter, Index
from lamina.passes.loop.structured import Divided, Grouped, Linear, affine, position_of


@dataclass(frozen=True)
class Groups:
    """The groups of a product. `factor`: the input that is read by groups; `dim`: the iteration dim of the columns;
    `columns`: those of a group; `map_`: the input's map where `dim` is the number of a group."""

    factor: int
    dim: int
    columns: int
    map_: AffineMap

    @staticmethod
    def of(maps: Sequence[AffineMap], sizes: Sequence[int | None]) -> Groups | None:
        """Read the maps of a product: `dim floordiv columns`, scaled, at the end of one factor's; `sizes` are those of
        the iteration dims (None: dynamic). All groups are whole: None where the last one may have fewer columns."""
        for factor, map_ in enumerate(maps[:2]):
            last = position_of(map_.results[-1]) if map_.results else None
            match last:
                case Grouped():
                    dim, columns, scale, rest = last.dim, last.divisor, last.factor, last.rest
                case Divided(remainder=False):
                    dim, columns, scale, rest = last.dim, last.divisor, 1, Linear((), 0)
                case _:
                    continue
            size = sizes[dim]
            if size is None or size % columns:
                continue
            if any(dim in one.used_dims() for one in map_.results[:-1]) or dim in dict(rest.terms):
                continue
            moved = AffineDimExpr(dim) * scale + affine(rest)
            return Groups(factor, dim, columns, AffineMap(map_.num_dims, 0, (*map_.results[:-1], moved)))
        return None

    def ungrouped(self, maps: Sequence[AffineMap]) -> list[AffineMap]:
        """The maps of one group: the columns only in the other factor."""
        map_ = maps[self.factor]
        last = position_of(map_.results[-1])
        rest = last.rest if isinstance(last, Grouped) else Linear((), 0)
        own = AffineMap(map_.num_dims, 0, (*map_.results[:-1], affine(rest)))
        return [own if number == self.factor else one for number, one in enumerate(maps)]


@dataclass(frozen=True)
class GroupAxis(FlatAxis):
    """The columns of a group, the first of which is at `start`."""

    start: Index = 0

    def positions(self, emitter: Emitter, flat: Index) -> Mapping[int, Index]:
        """The position along the dim, of all columns."""
        return {self.dims[0]: emitter.add(self.start, flat)}
