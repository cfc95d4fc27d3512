"""Options of the item graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mdsrec_pyg.configs import Config, check_at_least, check_one_of
from mdsrec_pyg.graphs.cooccurrence import MAX_SEQUENCE_LENGTH

__all__ = ["ProductConfig", "RidgeConfig", "RidgeForm", "Search"]

Search = Literal["exact", "cells"]


@dataclass(frozen=True, kw_only=True)
class _Blockwise(Config):
    """What every item graph has an option for.

    Args:
        max_sequence_length: Longer sequences count with a window of that many steps
            (:class:`ProductConfig`) or in parts of that many items (the local form of
            :class:`RidgeConfig`), so that one user of *L* items never means :math:`L^2` pairs.
        block_size: Rows that a thread computes at once, by default as many as make 64 MB; changes
            memory, not the result.
        search: How nearest items are found: ``'exact'``, compared with all; ``'cells'``, with those
            of near k-means cells; ``None``: exact up to 100,000 items.
        num_probes: Nearest cells searched; no effect on the exact search.
    """

    max_sequence_length: int = MAX_SEQUENCE_LENGTH
    block_size: int | None = None
    search: Search | None = None
    num_probes: int = 16

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        check_at_least(self, 1, "max_sequence_length", "block_size", "num_probes")
        check_one_of(self, "search", "exact", "cells", None)


@dataclass(frozen=True, kw_only=True)
class ProductConfig(_Blockwise):
    r"""Options of the paper's graph, see :func:`~mdsrec_pyg.graphs.product_graph`.

    Args:
        num_neighbors: Most neighbors *H* of an item, ties by the lower id.
        behavior: :math:`b(C)`: ``'binary'`` :math:`[C > 0]`, ``'count'`` :math:`C`, ``'log'``
            :math:`\log(1 + C)`.
        fill: ``'semantic'`` completes short rows, ``None`` leaves them short.
        fill_weight: Strongest fill edge relative to the weakest behavior edge, between 0 and 1.
        symmetric: Makes :math:`A = \max(A, A^{\top})` before it is normalized; rows may then hold
            more than *H* edges.
        self_loops: Weight *w* of the edge of each item to itself (ours; the paper's propagation
            "enriches" an item). A number from 0, which writes no edge, to 1 is added to the
            normalized graph, :math:`A + w I`: with 1 an item is represented by itself and its
            neighbors in about equal parts. ``'count'`` takes the diagonal of the product before it
            is normalized, :math:`A_{ii} = b(C_{ii})` with :math:`C_{ii}` the users who took *i*:
            it enters the degrees, and an item that nobody took gets none. Neither is one of the
            *H* neighbors, and neither asks for the modality.
        window: Most steps between co-occurring items. Default: anywhere in the sequence.
        normalization: ``'sym'`` :math:`A_{ij} / \sqrt{r_i c_j}` with row sums *r* of the target and
            column sums *c* of the source: :math:`D^{-1/2} A D^{-1/2}` where A is symmetric, and on
            a directed graph each end by the degree of its own role, so that popular sources are
            damped (ours). ``'in'`` :math:`A_{ij} / \sqrt{r_i r_j}`, as PyG's ``gcn_norm`` (an item
            that has no neighbors then gives nothing to others either). ``'row'``
            :math:`A_{ij} / r_i`, a weighted mean. ``None``: as they are.
        max_sequence_length: Longer sequences count with a window of that many steps; no effect
            with a ``window``.
        block_size, search, num_probes: Of the fill, see :func:`~mdsrec_pyg.graphs.product_graph`.

    Raises:
        ValueError: An option out of range.
    """

    num_neighbors: int = 10
    behavior: Literal["binary", "count", "log"] = "log"
    fill: Literal["semantic"] | None = "semantic"
    fill_weight: float = 0.5
    symmetric: bool = False
    self_loops: float | Literal["count"] = 0.0
    window: int | None = None
    normalization: Literal["sym", "in", "row"] | None = "sym"

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        check_at_least(self, 1, "num_neighbors", "window")
        check_one_of(self, "behavior", "binary", "count", "log")
        check_one_of(self, "fill", "semantic", None)
        check_one_of(self, "normalization", "sym", "in", "row", None)
        if not 0 < self.fill_weight < 1:
            raise ValueError(f"'fill_weight' must lie between 0 and 1 (got {self.fill_weight})")
        if self.self_loops != "count" and not 0 <= self.self_loops <= 1:
            raise ValueError(
                f"'self_loops' must be from 0 to 1, or 'count' (got {self.self_loops})"
            )


@dataclass(frozen=True, kw_only=True)
class RidgeForm(_Blockwise):
    """What every learned graph has an option for, whatever its ridge weighs.

    Args:
        num_neighbors: Largest entries kept of each row, ties by the lower id: the targets that an
            item may vote for.
        denoising: Dropout probability *p* of EDLAE (Steck 2020), in [0, 1): the ridge of an item
            that *n* training users took is *l* + *n* *p* / (1 - *p*).
        memory_limit: Bytes that the exact form may take; beyond it the local form is solved, and
            a warning says so.
        num_candidates: Candidates *c* a target; local form only.
        max_sequence_length: Most distinct items of a user whose pairs all count; local form only.
        block_size: Rows (exact) or targets (local) computed at once; changes memory, not the
            result.
        search: How candidates are found; local form only.
        num_probes: Nearest cells searched by ``'cells'``; local form only.
        device: Where it is computed.

    Raises:
        ValueError: An option out of range.
    """

    num_neighbors: int = 100
    denoising: float = 0.0
    memory_limit: int = 4 * 2**30
    num_candidates: int = 200
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        check_at_least(self, 1, "num_neighbors", "num_candidates")
        check_at_least(self, 0, "memory_limit")
        if not 0 <= self.denoising < 1:
            raise ValueError(f"'denoising' must lie in [0, 1) (got {self.denoising})")


@dataclass(frozen=True, kw_only=True)
class RidgeConfig(RidgeForm):
    """Options of the learned graphs, exact and local.

    The defaults of the weights are those that won on validation data (benchmarks/README.md). Where
    items have few users each, a larger ``l2`` does better.

    Args:
        feature_weight: Weight *a* of the affinity, not negative.
        l2: Ridge *l*, positive.
        num_neighbors, denoising, memory_limit, num_candidates, max_sequence_length, block_size, \
search, num_probes, device: See :class:`~mdsrec_pyg.graphs.RidgeForm`.

    Raises:
        ValueError: An option out of range.
    """

    feature_weight: float = 20.0
    l2: float = 100.0

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        check_at_least(self, 0, "feature_weight")
        if not self.l2 > 0:
            raise ValueError(f"'l2' must be positive (got {self.l2})")
