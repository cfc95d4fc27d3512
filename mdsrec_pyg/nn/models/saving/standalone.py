"""A model that stands alone: saved to a folder, loaded without data, shared on a hub."""

from __future__ import annotations

from os import PathLike
from typing import Any, TypeVar

import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from mdsrec_pyg.nn.models.dense import OwnScores
from mdsrec_pyg.nn.models.exporting import export_model
from mdsrec_pyg.nn.models.saving.card import ModelCard
from mdsrec_pyg.nn.models.saving.folder import check_item_counts, check_item_ids
from mdsrec_pyg.nn.models.saving.hub import on_hub
from mdsrec_pyg.nn.models.saving.save_load import load_model, save_model

__all__ = ["StandsAlone"]

M = TypeVar("M", bound="StandsAlone")


class StandsAlone(nn.Module):
    """Saving and loading of a model, its own base class for no reason but length.

    A subclass answers :meth:`hyperparameters`, and where these are not the arguments of its
    constructor, :meth:`from_hyperparameters`.

    Attributes:
        own_parts: Modules of the caller's own that the model was built with, by the name of the
            argument: ``{"conv": {"class": ..., "repr": ...}}``. They are needed again to load it.
    """

    num_items: int
    own_parts: dict[str, dict[str, str]]
    #: Makes of a model and its item vectors the module that is exported.
    export_form: type[nn.Module] = OwnScores

    def __init__(self) -> None:
        super().__init__()
        self.own_parts = {}
        self._item_ids: pd.Index | None = None

    @property
    def item_ids(self) -> pd.Index | None:
        """Raw id of each item; ``None``: items are called by their indices.

        Set it, and recommendations take and give raw ids, and a saved model keeps them.
        """
        return self._item_ids

    @item_ids.setter
    def item_ids(self, item_ids: Any) -> None:
        known = None if item_ids is None else check_item_ids(item_ids, self.num_items)
        self._item_ids = known

    @property
    def item_counts(self) -> NDArray[Any] | None:
        """Training interactions of each item ``[N]``; ``None``: not known.

        What recommendations for a user without a history go by. The trainer sets it, and a saved
        model keeps it.
        """
        counts: NDArray[Any] | None = self.__dict__.get("_item_counts")
        return counts

    @item_counts.setter
    def item_counts(self, item_counts: ArrayLike | None) -> None:
        known = None if item_counts is None else check_item_counts(item_counts, self.num_items)
        self._item_counts = known

    @property
    def training_only(self) -> tuple[str, ...]:
        """Names of tensors and modules that scoring does not need; they are not saved."""
        return ()

    def hyperparameters(self) -> dict[str, Any]:
        """What makes a model of the same shape, as plain JSON: arguments of the constructor.

        A model of your own answers it, and gets :meth:`save` and :meth:`load`:

        Example:
            >>> def hyperparameters(self):
            ...     return {"num_items": self.num_items, "channels": self.channels}
        """
        name = type(self).__name__
        raise NotImplementedError(
            f"{name}.hyperparameters must return the arguments of {name}(...) as plain JSON "
            "values, so that the model can be saved and loaded"
        )

    @classmethod
    def from_hyperparameters(cls: type[M], hyperparameters: dict[str, Any], **own_parts: Any) -> M:
        """A model of this shape, its contents still to come; the constructor by default.

        Args:
            hyperparameters: Result of :meth:`hyperparameters`.
            **own_parts: Modules of the caller's own, see ``own_parts``.
        """
        return cls(**hyperparameters, **own_parts)

    def save(
        self,
        folder: str | PathLike[str],
        *,
        item_ids: Any = None,
        card: ModelCard | None = None,
    ) -> None:
        """Writes all that scoring needs: ``model.safetensors``, ``config.json``, ``items.json``.

        Parameters and tables (graphs, scaled features, scaling, centers, labels) are kept, what
        only training needs is not. The folder appears whole or not at all.

        Args:
            folder: Made if missing; a model in it is replaced.
            item_ids: Raw id of each item, text or integers. (default: :attr:`item_ids`)
            card: What ``README.md`` says. (default: what is known without it)

        Raises:
            ValueError: Ids that do not fit, or hyperparameters that JSON cannot hold.
            NotImplementedError: A model of your own without :meth:`hyperparameters`.
        """
        save_model(self, folder, item_ids, card)

    @classmethod
    def load(
        cls: type[M],
        folder: str | PathLike[str],
        device: str | torch.device = "cpu",
        *,
        mmap: bool = False,
        **own_parts: Any,
    ) -> M:
        """Reads a saved model, in evaluation mode; no data set is needed, nothing is fitted.

        Scores are bit-equal to those of the model that was saved, on a machine with the same
        versions. A file is never run as code. ``Recommender.load`` reads any model, another
        class only its own. A model with relation votes cannot be trained further.

        Args:
            folder: What :meth:`save` wrote.
            device: Where the model goes.
            mmap: Maps the file of the tensors into memory instead of copying it: processes that do
                so share one copy, as long as nobody writes to a tensor; on the CPU only.
            **own_parts: The ``conv``, ``encoder`` or ``fusion`` of your own that the model was
                built with.

        Raises:
            ValueError: A file that is missing, was changed or cut, or belongs to another model,
                another format or class, a module of your own that is missing or another, or
                ``mmap`` with another device.
        """
        loaded: M = load_model(cls, folder, device, own_parts, mmap)
        return loaded

    def export(
        self,
        folder: str | PathLike[str],
        *,
        format: str = "onnx",
        k: int = 10,
        exclude_seen: bool,
    ) -> dict[str, Any]:
        """Writes a program that needs none of this library: from histories to the best items.

        It takes item indices ``[B, L]`` (int64, left-padded, newest last) and their mask ``[B, L]``
        (bool), batch and length of any size, and returns the ``k`` best items ``[B, k]`` and their
        scores, as :class:`~mdsrec_pyg.Retriever` without an index does: equal scores by the lower
        index, items before those that the model reads known as taken. Item vectors are computed
        once and inside; votes and their fusion are part of the program. Where fewer than ``k``
        items are left, the last scores are minus infinity.

        The folder has the program (``program.onnx`` or ``program.pt2``), ``items.json`` (raw id of
        each item, where they are known) and ``export.json`` (settings, versions, hashes). It
        appears whole or not at all, and not before the program as written has answered some
        histories as the model does. :class:`~mdsrec_pyg.export.ExportedModel` reads it.

        Args:
            folder: Made if missing; an export in it is replaced.
            format: ``'onnx'`` (the extra ``export``) or ``'torch'``, for ``torch.export.load``.
            k: Number of items for each history.
            exclude_seen: Whether items of the history are left out.

        Returns:
            The settings, as they stand in ``export.json``.

        Raises:
            ValueError: ``k`` or ``format`` out of range, a model or a part of your own that cannot
                be exported (it is named), or a program that answers otherwise than the model.
            ImportError: A package of the extra is not installed.
        """
        return export_model(self, folder, format, k, exclude_seen)

    def save_pretrained(self, folder: str | PathLike[str], **options: Any) -> None:
        """:meth:`save` by the name that ``huggingface_hub`` has for it (the extra ``hub``).

        Args:
            folder: See :meth:`save`.
            **options: ``item_ids`` and ``card`` of :meth:`save`.
        """
        on_hub(type(self))(self, options).save_pretrained(folder)

    def push_to_hub(
        self, repo_id: str, *, item_ids: Any = None, card: ModelCard | None = None, **options: Any
    ) -> Any:
        """Uploads what :meth:`save` writes to a repository (the extra ``hub``).

        Args:
            repo_id: ``'user/name'``.
            item_ids: See :meth:`save`.
            card: See :meth:`save`.
            **options: Of ``huggingface_hub.ModelHubMixin.push_to_hub``: ``private``, ``token``,
                ``commit_message`` and so on.
        """
        hub = on_hub(type(self))(self, {"item_ids": item_ids, "card": card})
        return hub.push_to_hub(repo_id, **options)

    @classmethod
    def from_pretrained(cls: type[M], repo_or_folder: str | PathLike[str], **options: Any) -> M:
        """:meth:`load` from a folder, or from a repository on the Hub (the extra ``hub``).

        Args:
            repo_or_folder: A folder, or ``'user/name'``.
            **options: ``device`` and modules of your own as in :meth:`load`; ``revision``,
                ``token``, ``cache_dir``, ``local_files_only`` and so on of ``huggingface_hub``.
        """
        loaded: M = on_hub(cls).from_pretrained(repo_or_folder, **options).model
        return loaded
