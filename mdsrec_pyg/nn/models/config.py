"""Options of MDSRec."""

from __future__ import annotations

from dataclasses import dataclass

from mdsrec_pyg.configs import Config, check_at_least, check_one_of
from mdsrec_pyg.data.sequences import MAX_LENGTH
from mdsrec_pyg.nn.dropout import DROPOUT
from mdsrec_pyg.nn.encoder_blocks import BLOCKS
from mdsrec_pyg.nn.fusion import FUSION_MODES
from mdsrec_pyg.nn.history_bias import BIAS_LR
from mdsrec_pyg.nn.items.centers import CENTER_FORMS
from mdsrec_pyg.nn.sequence_encoder import CENTER_MODES

__all__ = ["MDSRecConfig"]


@dataclass(frozen=True, kw_only=True)
class MDSRecConfig(Config):
    r"""Options of :class:`~mdsrec_pyg.nn.MDSRec`; the defaults are what validation chose.

    Args:
        vectors: False leaves only the votes.
        channels: D.
        max_length: Largest number of history steps.
        num_layers, num_heads, dropout: Of the sequence encoders.
        block: Their blocks: ``'prenorm'``, or ``'ligr'`` with gated residuals and SwiGLU.
        num_conv_layers: Propagations; 0 leaves the item graphs out.
        center_form: What stands for an interest center: ``'mean'`` of its items' embeddings,
            ``'projected'`` k-means centers, a ``'soft'`` mixture of these, or a free
            ``'embedding'`` (:class:`~mdsrec_pyg.nn.CenterEncoder`).
        center_mode: Queries and keys see the centers ``'only'`` (the paper's) or ``'add'``-ed to
            the items.
        add_id: An item's own learned vector is added to its vector in each modality.
        add_features: So are its projected features.
        add_centers: So is the embedding of its interest center. The paper's form adds nothing.
        num_components: Principal components of each modality's scaled features that take the place
            of the features where the model projects them; a modality that has no more features
            than that keeps its own. A training step takes less time: with thousands of features,
            most of it goes into their projection. Default: all features.
        temperature: Of the gate.
        fusion: How modalities are weighed: ``'gumbel'`` is a gate with noise in training,
            ``'softmax'`` without, ``'mean'`` equal (:class:`~mdsrec_pyg.nn.GumbelFusion`).
        vote_hidden: Units of the network that weighs the votes candidate by candidate
            (:class:`~mdsrec_pyg.nn.VoteFusion`); 0: the plain sum of the votes.
        vote_positions: How many positions of a training sequence the votes learn from, the newest
            ones: their histories are nearly as long as those at inference.
        vector_weight: :math:`\beta`, beside votes only.
        history_bias: Learn what to add to the scores of items of the history
            (:class:`~mdsrec_pyg.nn.HistoryBias`).
        num_negatives: Draw so many items for a sampled softmax with log-Q correction instead of
            full cross-entropy.
        max_scores: Most scores that full cross-entropy holds at once; ``None``: by the device.
        bias_lr: Step of the history bias and of other scalars, as a multiple of the trainer's
            learning rate.

    Raises:
        ValueError: An option out of range.
    """

    vectors: bool = True
    channels: int = 64
    max_length: int = MAX_LENGTH
    num_layers: int = 1
    num_heads: int = 2
    dropout: float = DROPOUT
    block: str = "prenorm"
    num_conv_layers: int = 1
    center_form: str = "mean"
    center_mode: str = "add"
    add_id: bool = True
    add_features: bool = True
    add_centers: bool = True
    num_components: int | None = None
    temperature: float = 1.0
    fusion: str = "gumbel"
    vote_hidden: int = 32
    vote_positions: int = 4
    vector_weight: float = 0.1
    history_bias: bool = True
    num_negatives: int | None = None
    max_scores: int | None = None
    bias_lr: float = BIAS_LR

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        ones = ("channels", "max_length", "num_layers", "num_heads", "num_components")
        check_at_least(self, 1, *ones, "num_negatives", "max_scores", "vote_positions")
        check_at_least(self, 0, "num_conv_layers", "vote_hidden")
        check_one_of(self, "block", *BLOCKS)
        check_one_of(self, "center_form", *CENTER_FORMS)
        check_one_of(self, "center_mode", *CENTER_MODES)
        check_one_of(self, "fusion", *FUSION_MODES)
        for name in ("temperature", "bias_lr"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name!r} must be positive and finite (got {getattr(self, name)})"
                )
        if not 0 <= self.vector_weight < float("inf"):
            raise ValueError(
                f"'vector_weight' must be finite and not negative (got {self.vector_weight})"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"'dropout' must lie in [0, 1) (got {self.dropout})")
        if self.channels % self.num_heads:
            raise ValueError(
                f"'num_heads' must divide 'channels' (got num_heads={self.num_heads}, "
                f"channels={self.channels})"
            )
