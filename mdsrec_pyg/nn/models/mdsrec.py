"""MDSRec: one item graph, one encoder and one set of interests a modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing

from mdsrec_pyg.configs import configure
from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.graphs.centers import InterestCenters
from mdsrec_pyg.nn.fusion import GumbelFusion
from mdsrec_pyg.nn.items.centers import CenterEncoder
from mdsrec_pyg.nn.items.features import ItemIDs, project_features
from mdsrec_pyg.nn.items.graph_encoder import ItemGraphEncoder
from mdsrec_pyg.nn.losses import loss_positions
from mdsrec_pyg.nn.mode import scoring_copy
from mdsrec_pyg.nn.models._effects import ENCODER, OwnParts, warn_without_effect
from mdsrec_pyg.nn.models._inputs import check_conv, check_inputs
from mdsrec_pyg.nn.models._parts import has_features, make_votes, read_features, register_tables
from mdsrec_pyg.nn.models._shape import describe_own_parts, describe_parts, empty_parts, sizes_of
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.models.dense import DenseMDSRec
from mdsrec_pyg.nn.models.explain import explain_items
from mdsrec_pyg.nn.models.mdsrec_items import MDSRecItems, side_by_side
from mdsrec_pyg.nn.sequence_encoder import InterestTransformer
from mdsrec_pyg.nn.votes.fit import Relations

__all__ = ["MDSRec"]


class MDSRec(SequentialRecommender):
    r"""Multimodal Difference Learning for Sequential Recommendation (arXiv 2412.08103).

    With :math:`\mathbf{A}_m` the item graph of modality m, the paper's form is

    .. math::
        \mathbf{E}_m = \mathbf{A}_m \mathbf{E}, \qquad
        \mathbf{h}_{u,m} = \mathrm{InterestTransformer}_m(\mathbf{E}_m, \mathbf{C}_m), \qquad
        s(u, j) = \sum_m w_{u,m} \, \mathbf{h}_{u,m}^{\top} \mathbf{e}_{m,j}

    with gate weights :math:`w_{u,m}` from :class:`~mdsrec_pyg.nn.GumbelFusion`. Ours, each with a
    switch: the ID embedding, projected features and center embeddings added to the items, a
    history bias, and the history's votes over learned graphs, which are added to the scores:
    :math:`s(u, j) = s_{\text{votes}}(u, j) + \beta \, s_{\text{vectors}}(u, j)`. Each of the two
    answers for the target with a cross-entropy of its own: trained on their sum, the ID embeddings
    memorize targets and spoil the votes.

    Args:
        graphs: One item graph a modality, as :func:`~mdsrec_pyg.graphs.build_item_graph` makes it:
            with its raw features ``x``, which are scaled here on the items of ``train_mask`` (all
            items without one). Without ``x``, the graph carries the ID embeddings alone.
        centers: Fitted interest centers a modality; None is plain self-attention. (default: None)
        relations: Learned graphs for the votes. (default: ``None``, without)
        config: The options, see :class:`~mdsrec_pyg.nn.MDSRecConfig`.
        conv: A ``MessagePassing`` or a callable that makes one; LightGraphConv by default.
        encoder: Makes a sequence encoder for each modality: a module from items [B, L, D], their
            mask [B, L] and centers [B, L, D] or None to one user vector a step [B, L, D].
            (default: :class:`~mdsrec_pyg.nn.InterestTransformer`)
        fusion: Mode of :class:`~mdsrec_pyg.nn.GumbelFusion`, or a module of your own from user
            vectors ``[*, M, D]`` to weights ``[*, M]``. (default: that of ``config``)
        **options: Some of the options by name, such as ``channels=32``.

    Shapes:
        - **input:** a batch of histories :math:`(B, L)`
        - **output:** scores :math:`(B, N)`

    Raises:
        ValueError: Parts of different items or modalities, or an option out of range. An option
            that another leaves without effect warns.
    """

    export_form = DenseMDSRec
    labels: Tensor | None

    def __init__(
        self,
        graphs: Mapping[str, Data],
        centers: Mapping[str, InterestCenters] | None = None,
        relations: Relations | None = None,
        config: MDSRecConfig | None = None,
        *,
        conv: MessagePassing | Callable[[], MessagePassing] | None = None,
        encoder: Callable[[], nn.Module] | None = None,
        fusion: str | nn.Module | None = None,
        **options: Any,
    ) -> None:
        if isinstance(fusion, str):
            options["fusion"] = fusion
        chosen = configure(MDSRecConfig(), config, **options)
        own = OwnParts(conv, encoder, None if isinstance(fusion, str) else fusion)
        num_items = check_inputs(graphs, centers, relations, chosen.vectors)
        given = has_features(graphs)
        warn_without_effect(chosen, own, centers is not None, relations is not None, given)
        check_conv(conv, len(graphs))
        super().__init__(
            num_items,
            chosen.max_length,
            history_bias=chosen.history_bias,
            num_negatives=chosen.num_negatives,
            max_scores=chosen.max_scores,
            bias_lr=chosen.bias_lr,
        )
        self.config, self.modalities = chosen, list(graphs)
        self.num_features = [graph.x.size(1) if given else 0 for graph in graphs.values()]
        register_tables(self, graphs, centers)
        features, scaling = read_features(graphs, chosen)
        if scaling is not None:
            self.scaling = scaling
        if chosen.vectors:
            self._init_vectors(own, centers, features)
        self.votes = make_votes(relations, chosen)
        #: Ridge and feature weight behind the votes over each modality, where they are known.
        self.ridge_weights = None if relations is None else relations.weights
        if not chosen.vectors:
            self.history_bias = None  # that of the votes is all
        self.own_parts = describe_own_parts(self, own)

    @property
    def training_only(self) -> tuple[str, ...]:
        """What the votes are trained by, too (edges of graphs without the user)."""
        if self.votes is None:
            return super().training_only
        return ("item_probability", "votes.training_votes")

    def hyperparameters(self) -> dict[str, Any]:
        """The options, and the sizes of graphs, features and centers."""
        return sizes_of(self)

    @classmethod
    def from_hyperparameters(cls, hyperparameters: dict[str, Any], **own_parts: Any) -> MDSRec:
        """A model over graphs, features and centers whose contents are still to come."""
        return cls(**empty_parts(hyperparameters), **own_parts)

    def _edges(self, modality: int) -> tuple[Tensor, Tensor | None]:
        return getattr(self, f"edge_index_{modality}"), getattr(self, f"edge_weight_{modality}")

    def _init_vectors(
        self,
        own: OwnParts,
        centers: Mapping[str, InterestCenters] | None,
        features: Sequence[Tensor],
    ) -> None:
        """Item embeddings, their propagation, an encoder a modality, and what weighs them."""
        config = self.config
        self.ids = ItemIDs(self.num_items, config.channels)
        self.propagate = nn.ModuleList(
            ItemGraphEncoder(config.num_conv_layers, own.conv, channels=config.channels)
            for _ in self.modalities
        )
        names = ("channels", "max_length", *ENCODER)
        encoder = partial(InterestTransformer, **{name: getattr(config, name) for name in names})
        self.encoder = nn.ModuleList((own.encoder or encoder)() for _ in self.modalities)
        self.fusion = own.fusion or GumbelFusion(
            config.channels, len(self.modalities), config.temperature, config.fusion
        )
        self.project = project_features(features, config.channels)
        self._init_centers(centers)

    def _init_centers(self, centers: Mapping[str, InterestCenters] | None) -> None:
        """What the attention sees of the centers, and what of them is added to the items."""
        self.center = self.center_shift = None
        if centers is None:
            return
        channels, fitted = self.config.channels, [centers[name] for name in self.modalities]
        self.center = nn.ModuleList(
            CenterEncoder(part, channels, self.config.center_form) for part in fitted
        )
        if self.config.add_centers:
            self.center_shift = nn.ModuleList(
                CenterEncoder(part, channels, "embedding") for part in fitted
            )

    def encode_items(self) -> MDSRecItems:
        r"""Item vectors of each modality: :math:`\mathbf{A}_m \mathbf{E}` and what is added."""
        if not self.config.vectors:
            return MDSRecItems()
        ids = self.ids()  # [N, D]
        embeddings, centers = [], []
        for m, propagate in enumerate(self.propagate):
            edge_index, edge_weight = self._edges(m)
            x = propagated = propagate(ids, edge_index, edge_weight)
            if self.config.add_id:
                x = x + ids
            if self.project:
                x = x + self.project[m]()
            if self.center_shift is not None:
                x = x + self.center_shift[m](x)
            embeddings.append(x)
            if self.center is not None:
                centers.append(self.center[m](propagated))
        return MDSRecItems(side_by_side(embeddings), side_by_side(centers) if centers else None)

    def encode_modalities(
        self, batch: SequenceBatch, items: MDSRecItems, newest_only: bool = True
    ) -> tuple[Tensor, Tensor]:
        """User vectors [B, T, M, D] and the weights [B, T, M] of their modalities."""
        assert items.embedding is not None
        rows = self._rows(items.embedding, batch.item_id)
        centers = [None] * len(rows)
        if items.center is not None:
            centers = self._rows(items.center, batch.item_id)
        parts = zip(self.encoder, rows, centers, strict=True)
        users = [encoder(x, batch.mask, center) for encoder, x, center in parts]
        stacked = torch.stack(users, dim=2)
        if newest_only:
            stacked = stacked[:, -1:]
        return stacked, self.fusion(stacked)

    def _rows(self, table: Tensor, item_id: Tensor) -> list[Any]:
        """Rows of a batch, all modalities at once: [M, N, D] -> M times [B, L, D]."""
        rows = F.embedding(item_id, table.transpose(0, 1).flatten(1))
        return list(rows.split(self.config.channels, dim=-1))

    def encode_users(self, batch: SequenceBatch, items: MDSRecItems, newest_only: bool) -> Tensor:
        """User vectors [B, T, M * D]: the weighted modalities side by side.

        The fused score is one inner product with the rows of ``items.table``, so retrieval by
        maximum inner product is exact.
        """
        users, weights = self.encode_modalities(batch, items, newest_only)
        return (users * weights[..., None]).flatten(2)

    def score(self, batch: SequenceBatch, items: MDSRecItems | None = None) -> Tensor:
        """Scores of every item as the next one, [B, N]: votes and weighted vectors."""
        items = self.encode_items() if items is None else items
        if self.votes is None:
            return super().score(batch, items)
        votes = self.votes(batch)
        if not self.config.vectors:
            return votes
        add = torch.add if torch.is_grad_enabled() else Tensor.add_  # a third [B, N] in training
        return add(votes, super().score(batch, items), alpha=self.config.vector_weight)

    @property
    def dense_weight(self) -> float | None:
        """Weight of the vectors' inner products in the scores; ``None`` without vectors."""
        if not self.config.vectors:
            return None
        return 1.0 if self.votes is None else self.config.vector_weight

    def sparse_scores(self, batch: SequenceBatch, items: MDSRecItems) -> tuple[Tensor, Tensor]:
        """Votes and history bias: keys ``row * N + item``, sorted, and their scores [P]."""
        if self.votes is None:
            return super().sparse_scores(batch, items)
        place, score = self.votes.sparse_scores(batch)
        if self.history_bias is not None:  # that of the vectors, beside the votes' own
            key, bias = super().sparse_scores(batch, items)
            score.index_add_(0, torch.searchsorted(place, key), self.config.vector_weight * bias)
        return place, score

    def extra_repr(self) -> str:
        """Shows what the model is made of."""
        return describe_parts(self)

    def loss(self, batch: SequenceBatch) -> Tensor:
        """Cross-entropy of the votes plus that of the vectors, each the mean over its positions."""
        items = self.encode_items()
        loss_positions(batch)  # an error where none counts
        parts = []
        if self.votes is not None:
            parts.append(self.votes.loss(batch, self.config.vote_positions))
        if self.config.vectors:
            parts.append(self.cross_entropy(batch, items))
        return torch.stack(parts).sum()

    def explain(
        self, batch: SequenceBatch, item_index: Tensor, items: MDSRecItems | None = None
    ) -> dict[str, list[list[Any]]]:
        """Why these items: see :func:`~mdsrec_pyg.nn.models.explain.explain_items`.

        Args:
            batch: Histories.
            item_index: The items to explain for each history, Long tensor [B, k].
            items: Result of :meth:`encode_items`; computed here by default.
        """
        trains = any(module.training for module in self.modules())
        model = scoring_copy(self, own_weights=False) if trains else self
        return explain_items(model, batch, item_index, items)

    def check_training(self, train: Interactions) -> None:
        """The learned graphs must come from the same interactions, or targets leak into votes."""
        if self.votes is not None:
            self.votes.check_training(train)

    def fast_parameters(self) -> list[nn.Parameter]:
        """The history biases, and all that weighs the votes."""
        fast = super().fast_parameters()
        return fast if self.votes is None else [*fast, *self.votes.fast_parameters()]
