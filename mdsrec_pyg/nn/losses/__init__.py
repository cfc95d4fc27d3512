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
from mdsrec_pyg.nn.losses.sampled import (
    SHARED_BY,
    SampledCandidates,
    num_groups,
    sampled_cross_entropy,
)

__all__ = [
    "MAX_SCORES",
    "SHARED_BY",
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
    "num_groups",
    "sampled_cross_entropy",
    "targets",
]
