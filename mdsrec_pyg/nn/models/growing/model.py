"""What MDSRec can take in after training, its own base class for no reason but length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from numpy.typing import ArrayLike
from torch import Tensor

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.nn.mode import scoring_copy
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.nn.models.growing.items import add_items, grown_ids, new_features
from mdsrec_pyg.nn.models.growing.kept import BuiltFrom
from mdsrec_pyg.nn.models.growing.refit import refit_graphs

__all__ = ["GrowingRecommender"]

G = TypeVar("G", bound="GrowingRecommender")


class GrowingRecommender(SequentialRecommender):
    """A model that takes in further items and newer interactions without training.

    Attributes:
        built_from: What its graphs were built from, as ``build_mdsrec`` leaves it; ``None`` where
            that is not known: the model then stays as it is.
        num_added: Items that came after training; they are the last ones.
    """

    built_from: BuiltFrom | None = None
    num_added: int = 0

    def with_items(
        self: G,
        raw_ids: ArrayLike,
        features: Mapping[str, Any],
        *,
        votes: str = "neighbors",
        keep_inverse: bool = False,
    ) -> G:
        r"""A model that has further items, known by their features alone; nothing is trained.

        This model stays as it is, and so do weights, histories and the order of its items in the
        new one; the new items come last.

        - **Item graphs**: a new item takes its nearest old items as neighbors, as a cold item does
          (:func:`~mdsrec_pyg.graphs.product_graph`, ``fill``). No old item takes it as a neighbor.
        - **Interest centers**: the nearest center of each modality. What a center is a mean of
          stays.
        - **Votes**, ``'neighbors'``: what votes for the items nearest to a new one votes for it
          (:func:`~mdsrec_pyg.graphs.neighbor_votes`). ``'ridge'``: the graphs of the grown catalog
          are those of a fit from scratch, in which that nobody took an item speaks against it. For
          the new columns of :math:`\mathbf{X}` are empty, its inverse also follows from the old one
          by blocks (:func:`~mdsrec_pyg.graphs.grow_precision`).
        - **ID embedding**: zero.

        What the vectors say of old items for old histories therefore stays, to rounding, and with
        ``'neighbors'`` all scores do. With ``'ridge'`` the votes for old items change where the
        ridge does: new items explain away what old ones like them have in common, and take places
        among the largest entries that a row keeps.

        Example:
            >>> model = model.with_items(["B9", "B10"], {"image": image, "text": text})  # [2, F]

        Args:
            raw_ids: Raw ids of the *n* new items, of the type of those of the model. A model
                without raw ids: ``N`` to ``N + n - 1``.
            features: Features of each modality as they are, ``[n, F]``, or a
                :class:`~mdsrec_pyg.data.ModalFeature`, whose mask says which items lack it. A
                modality that is left out, all of them lack.
            votes: ``'neighbors'``, which finds new items better on all sets where it was measured
                (benchmarks/README.md), or ``'ridge'``; no effect on a model without votes.
            keep_inverse: Keeps the inverses of the old and the grown catalog in float64, 8 N^2
                bytes a modality, with this model and the new one (not on disk): the first call then
                takes longer, and each further one, of either model, :math:`O(N^2 n)` instead of
                :math:`O((N + n)^3)`. Of ``votes='ridge'``, where that is exact, only.

        Returns:
            The new model, in evaluation mode. Its votes cannot be trained further.

        Raises:
            ValueError: Ids that the model has or that stand there twice, features of another
                modality or width, NaN, or a model that does not keep what it was built from.
        """
        if votes not in ("ridge", "neighbors"):
            raise ValueError(f"'votes' must be 'ridge' or 'neighbors' (got {votes!r})")
        if keep_inverse and votes != "ridge":
            raise ValueError(f"'keep_inverse' must be False with votes={votes!r}, which has none")
        built = self._built()
        if not built.features:
            raise ValueError("'model' must have features to take further items by (it has none)")
        given: Any = raw_ids
        if isinstance(given, str):
            raise ValueError(f"'raw_ids' must be a list of ids (got the text {given!r})")
        given = list(given.tolist() if hasattr(given, "tolist") else given)
        ids = grown_ids(self.item_ids, self.num_items, given)
        new = new_features(built.features, features, len(given))
        model = scoring_copy(self, own_weights=True)
        model._item_ids = None
        add_items(model, built, new, votes, keep_inverse)
        model.item_ids = ids
        return model

    def update(self: G, interactions: Interactions, *, trainable: bool = False) -> G:
        """A model over newer interactions; what was trained stays.

        Item graphs and learned graphs are fitted on these interactions, with the options and the
        ridge weights of before. Weights, interest centers and the scaling of features stay, as
        what was trained refers to them. This model stays as it is.

        Example:
            >>> tomorrow = model.update(Interactions.from_arrays(user, item, time, num_items=N))

        Args:
            interactions: The whole training part as it is now, older interactions included, over
                all items of the model, :meth:`with_items` before where there are more. Users may be
                others.
            trainable: Prepares the votes for further training, too, as ``build_mdsrec`` does.

        Returns:
            The new model, in evaluation mode.

        Raises:
            ValueError: Interactions over other items, or a model that does not keep what it was
                built from.
        """
        built = self._built()
        if not isinstance(interactions, Interactions):
            kind = type(interactions).__name__
            raise ValueError(f"'interactions' must be Interactions (got {kind})")
        if interactions.num_items != self.num_items:
            raise ValueError(
                f"'interactions' must have the {self.num_items:,} items of the model (got "
                f"{interactions.num_items:,}): with_items adds some"
            )
        model = scoring_copy(self, own_weights=True)
        refit_graphs(model, built, interactions, trainable)
        return model

    def set_added(self, num_added: int) -> None:
        """Says how many of the items came after training, in a model that is loaded."""
        if num_added == 0:
            return
        self.num_added = num_added
        for part in (getattr(self, "center", None), getattr(self, "center_shift", None)):
            for encoder in part or ():
                encoder.set_members(self.num_items - num_added)

    def kept(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """What :meth:`save` keeps with ``growable=True``."""
        return None if self.built_from is None else self.built_from.to_saved()

    def take_kept(self, options: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """What :meth:`load` finds of it."""
        self.built_from = BuiltFrom.from_saved(options, tensors)

    def _built(self) -> BuiltFrom:
        if self.built_from is None:
            raise ValueError(
                "'model' must keep what it was built from: build_mdsrec keeps it, and "
                "model.save(folder, growable=True) saves it"
            )
        return self.built_from
