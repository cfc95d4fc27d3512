"""Cross-entropy over the catalog: whole, in blocks, by inner products, or sampled."""

from mdsrec_pyg.nn.losses.cross_entropy import (
    count_positions,
    cross_entropy_sum,
    full_cross_entropy,
    loss_positions,
    masked_target,
    targets,
)
from mdsrec_pyg.nn.losses.linear import (
    MAX_SCORES,
    block_rows,
    inner_products,
    linear_cross_entropy,
    most_scores,
)
from mdsrec_pyg.nn.losses.sampled import SampledCandidates, sampled_cross_entropy

__all__ = [
    "MAX_SCORES",
    "SampledCandidates",
    "block_rows",
    "count_positions",
    "cross_entropy_sum",
    "full_cross_entropy",
    "inner_products",
    "linear_cross_entropy",
    "loss_positions",
    "masked_target",
    "most_scores",
    "sampled_cross_entropy",
    "targets",
]
