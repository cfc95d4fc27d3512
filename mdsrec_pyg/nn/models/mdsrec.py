"""MDSRec: one item graph, one encoder and one set of interests a modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing

from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.nn.fusion import GumbelFusion
from mdsrec_pyg.nn.interest_centers import CenterEncoder, InterestCenters
from mdsrec_pyg.nn.item_encoder import ItemGraphEncoder
from mdsrec_pyg.nn.item_features import ItemIDs, project_features
from mdsrec_pyg.nn.losses import count_positions
from mdsrec_pyg.nn.models._effects import warn_without_effect
from mdsrec_pyg.nn.models._inputs import check_choices, check_conv, check_inputs
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.nn.models.explain import explain_items
from mdsrec_pyg.nn.models.mdsrec_items import MDSRecItems, side_by_side
from mdsrec_pyg.nn.relation_votes import RelationVotes
from mdsrec_pyg.nn.relations import Relations
from mdsrec_pyg.nn.sequence_encoder import InterestTransformer

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
    history bias, and relation attention, whose votes over learned graphs are added to the scores:
    :math:`s(u, j) = s_{\text{votes}}(u, j) + \beta \, s_{\text{vectors}}(u, j)`. Each of the two
    answers for the target with a cross-entropy of its own: trained on their sum, the ID embeddings
    memorize targets and spoil the votes.

    Args:
        graphs: One item graph a modality, with ``x`` its scaled features.
        centers: Fitted interest centers a modality; None is plain self-attention. (default: None)
        relations: Learned graphs for relation attention. (default: ``None``, without)
        vectors: False leaves only relation attention. (default: ``True``)
        channels: D. (default: ``64``)
        max_length: Largest number of history steps. (default: ``50``)
        num_layers, num_heads, dropout: Of the sequence encoders. (default: 1, 2, 0.3)
        conv: A ``MessagePassing`` or a callable that makes one; LightGraphConv by default.
        num_conv_layers: Propagations; 0 leaves the item graphs out. (default: ``1``)
        center_form: See :class:`~mdsrec_pyg.nn.CenterEncoder`. (default: ``'mean'``)
        center_mode: Queries and keys see the centers ``'only'`` or ``'add'``-ed to the items.
        add_id, add_features, add_centers: What is added to :math:`\mathbf{E}_m`. (default: False)
        encoder: Makes a sequence encoder for each modality: a module from items [B, L, D], their
            mask [B, L] and centers [B, L, D] or None to one user vector a step [B, L, D].
            (default: :class:`~mdsrec_pyg.nn.InterestTransformer`)
        temperature: Of the gate. (default: ``1.0``)
        fusion: Mode of :class:`~mdsrec_pyg.nn.GumbelFusion`, or a module of your own from user
            vectors [*, M, D] to weights [*, M]. (default: ``'gumbel'``)
        vote_interests: False makes every vote plain. (default: ``True``)
        vote_dropout: Dropout of relation attention. (default: ``0.3``)
        vote_positions: Positions of a training sequence that the votes learn from: ``'newest'``,
            whose histories are as long as those at inference, or ``'all'``, as the vectors do.
            (default: ``'newest'``)
        vector_weight: :math:`\beta`, beside votes only. (default: ``0.2``)
        **kwargs: See :class:`SequentialRecommender`.

    Shapes:
        - **input:** a batch of histories :math:`(B, L)`
        - **output:** scores :math:`(B, N)`

    Raises:
        ValueError: Parts of different items or modalities, or an option out of range. An option
            that another leaves without effect warns.
    """

    labels: Tensor | None

    def __init__(
        self,
        graphs: Mapping[str, Data],
        centers: Mapping[str, InterestCenters] | None = None,
        relations: Relations | None = None,
        *,
        vectors: bool = True,
        channels: int = 64,
        max_length: int = 50,
        num_layers: int = 1,
        num_heads: int = 2,
        dropout: float = 0.3,
        conv: MessagePassing | Callable[[], MessagePassing] | None = None,
        num_conv_layers: int = 1,
        center_form: str = "mean",
        center_mode: str = "only",
        add_id: bool = False,
        add_features: bool = False,
        add_centers: bool = False,
        encoder: Callable[[], nn.Module] | None = None,
        temperature: float = 1.0,
        fusion: str | nn.Module = "gumbel",
        vote_interests: bool = True,
        vote_dropout: float = 0.3,
        vote_positions: str = "newest",
        vector_weight: float = 0.2,
        **kwargs: Any,
    ) -> None:
        warn_without_effect(MDSRec.__init__, locals())
        num_items = check_inputs(graphs, centers, relations, vectors)
        check_conv(conv, len(graphs))
        check_choices(channels, vote_positions, vector_weight)
        super().__init__(num_items, max_length, **kwargs)
        self.modalities = list(graphs)
        self.channels, self.vector_weight = channels, vector_weight
        self.newest_votes = vote_positions == "newest"
        self.vectors, self.add_id = vectors, add_id
        self._register_graphs(graphs, centers)
        features = [graph.x for graph in graphs.values()]
        if vectors:
            self.ids = ItemIDs(num_items, channels)
            self.propagate = nn.ModuleList(ItemGraphEncoder(num_conv_layers, conv) for _ in graphs)
            sizes = channels, max_length, num_layers, num_heads, dropout, center_mode
            self._init_users(encoder or partial(InterestTransformer, *sizes), fusion, temperature)
            self.project = project_features(features if add_features else (), channels)
            self._init_centers(centers, center_form, add_centers)
        self._init_votes(relations, features, vote_interests, vote_dropout)

    def _register_graphs(
        self, graphs: Mapping[str, Data], centers: Mapping[str, InterestCenters] | None
    ) -> None:
        """Buffers, so that the graphs and the items' centers move with the model."""
        for m, graph in enumerate(graphs.values()):
            self.register_buffer(f"edge_index_{m}", graph.edge_index, persistent=False)
            self.register_buffer(f"edge_weight_{m}", graph.edge_weight, persistent=False)
        labels = None
        if centers is not None:
            labels = torch.stack([centers[name].labels_ for name in graphs])
        self.register_buffer("labels", labels, persistent=False)  # [M, N]

    def _edges(self, modality: int) -> tuple[Tensor, Tensor | None]:
        return getattr(self, f"edge_index_{modality}"), getattr(self, f"edge_weight_{modality}")

    def _init_users(
        self, encoder: Callable[[], nn.Module], fusion: str | nn.Module, temperature: float
    ) -> None:
        """One sequence encoder a modality, and what weighs their user vectors."""
        self.encoder = nn.ModuleList(encoder() for _ in self.modalities)
        if isinstance(fusion, str):
            fusion = GumbelFusion(self.channels, len(self.modalities), temperature, fusion)
        self.fusion = fusion

    def _init_centers(
        self, centers: Mapping[str, InterestCenters] | None, form: str, add_centers: bool
    ) -> None:
        """What the attention sees of the centers, and what of them is added to the items."""
        self.center = self.center_shift = None
        if centers is None:
            if add_centers:
                raise ValueError("'add_centers' needs 'centers' (got None)")
            return
        fitted = [centers[name] for name in self.modalities]
        self.center = nn.ModuleList(CenterEncoder(part, self.channels, form) for part in fitted)
        if add_centers:
            self.center_shift = nn.ModuleList(
                CenterEncoder(part, self.channels, "embedding") for part in fitted
            )

    def _init_votes(
        self,
        relations: Relations | None,
        features: list[Tensor],
        interests: bool,
        dropout: float,
    ) -> None:
        """Relation attention, with a history bias of its own."""
        self.votes: RelationVotes | None = None
        if relations is None:
            return
        self.votes = RelationVotes.from_relations(
            relations,
            features,
            None if self.labels is None else list(self.labels),
            history_bias=self.history_bias is not None,
            max_length=self.max_length,
            channels=self.channels,
            dropout=dropout,
            interests=interests,
        )
        if not self.vectors:
            self.history_bias = None

    def encode_items(self) -> MDSRecItems:
        r"""Item vectors of each modality: :math:`\mathbf{A}_m \mathbf{E}` and what is added."""
        keys = None
        if self.votes is not None and not self.training:  # training looks at a batch's items only
            keys = self.votes.attention.item_keys()
        if not self.vectors:
            return MDSRecItems(keys=keys)
        ids = self.ids()  # [N, D]
        embeddings, centers = [], []
        for m, propagate in enumerate(self.propagate):
            edge_index, edge_weight = self._edges(m)
            x = propagated = propagate(ids, edge_index, edge_weight)
            if self.add_id:
                x = x + ids
            if self.project:
                x = x + self.project[m]()
            if self.center_shift is not None:
                x = x + self.center_shift[m](x)
            embeddings.append(x)
            if self.center is not None:
                centers.append(self.center[m](propagated))
        return MDSRecItems(
            side_by_side(embeddings), side_by_side(centers) if centers else None, keys
        )

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
        return list(rows.split(self.channels, dim=-1))

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
        votes = self.votes(batch, items.keys)
        if not self.vectors:
            return votes
        return torch.add(votes, super().score(batch, items), alpha=self.vector_weight)

    def loss(self, batch: SequenceBatch) -> Tensor:
        """Cross-entropy of the votes plus that of the vectors, each the mean over its positions."""
        items = self.encode_items()
        positions, parts = count_positions(batch), []
        if self.votes is not None:
            # The newest position of a training window always counts.
            positions = len(batch) if self.newest_votes else positions
            parts.append(self.votes.loss_sum(batch, items.keys, self.newest_votes) / positions)
        if self.vectors:
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
        return explain_items(self, batch, item_index, items)

    def check_training(self, train: Interactions) -> None:
        """The learned graphs must come from the same interactions, or targets leak into votes."""
        if self.votes is not None:
            self.votes.training_votes.check(train)

    def fast_parameters(self) -> list[nn.Parameter]:
        """The history biases, the weights of the plain votes, and their base."""
        fast = super().fast_parameters()
        return fast if self.votes is None else [*fast, *self.votes.fast_parameters()]
