"""What is served: loaded as a whole, swapped as a whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from mdsrec_pyg.datasets import FolderDataset
from mdsrec_pyg.io import settle
from mdsrec_pyg.nn.models.saving.folder import CONFIG, check_files, read_config
from mdsrec_pyg.retrieval import Retriever, read_history_file
from mdsrec_pyg.serving.catalog import Catalog, KnownUsers
from mdsrec_pyg.serving.config import ServiceConfig
from mdsrec_pyg.serving.snapshots import forget_others, mapped_retriever
from mdsrec_pyg.training.run_texts import read_texts

__all__ = ["Loaded", "State", "load", "model_folder"]


@dataclass(frozen=True, eq=False)
class Loaded:
    """One model with all that belongs to it; nothing in it changes.

    Args:
        retriever: Answers.
        catalog: Its items, for people.
        histories: Users that are known by name, if any are.
        version: Class of the model and the first digits of the hash of what was saved.
        name: What people call it: the name of its folder.
        key: The whole hash of what was saved.
    """

    retriever: Retriever
    catalog: Catalog
    histories: KnownUsers | None
    version: str
    name: str
    key: str = ""

    @property
    def modalities(self) -> list[str]:
        """Names of the model's modalities, none for a model without."""
        return list(getattr(self.retriever.model, "modalities", ()))


def model_folder(folder: str | PathLike[str]) -> Path:
    """The saved model of a folder, which is one itself or that of a run.

    Raises:
        ValueError: There is none.
    """
    path = Path(folder)
    for place in (path, path / "model"):
        settle(place)
        if (place / CONFIG).is_file():
            return place
    raise ValueError(f"'folder' must hold a saved model or a run that has ended (got {path})")


def load(folder: str | PathLike[str], config: ServiceConfig, scratch: Path | None = None) -> Loaded:
    """Reads a saved model, its texts, and what ``config`` names.

    Args:
        folder: Folder of a run or of a saved model.
        config: Names data set, histories and pictures.
        scratch: Folder in which workers share a copy of the model, whose tables they map; without,
            they are this process's own.

    Raises:
        ValueError: A file is missing, damaged, or of another model.
    """
    place = model_folder(folder)
    if scratch is None:
        key = str(read_config(place / CONFIG)["hashes"][CONFIG])
        retriever = Retriever.from_folder(place)
    else:
        retriever, key = mapped_retriever(place, scratch)
    version = f"{type(retriever.model).__name__}-{key[:12]}"
    texts = None if place == Path(folder) else read_texts(Path(folder), retriever.model.num_items)
    found = _with_people(retriever, config, version, Path(folder).resolve().name, texts)
    return replace(found, key=key)


def _with_people(
    retriever: Retriever,
    config: ServiceConfig,
    version: str,
    name: str,
    texts: list[str] | None = None,
) -> Loaded:
    """Adds what people need to what programs need."""
    num_items = retriever.model.num_items
    ids = range(num_items) if retriever.item_ids is None else retriever.item_ids.tolist()
    users, images = None, config.images
    if config.data is not None:
        if not Path(config.data).is_dir():
            raise ValueError(f"'data' must be the folder of a data set (got {config.data})")
        data = FolderDataset(config.data, [], min_interactions=1)
        if texts is None and data.item_text is not None:
            known = dict(zip(map(str, data.item_ids), data.item_text, strict=True))
            texts = [known.get(str(item), "") for item in ids]
        rows = data.interactions
        users = KnownUsers(
            data.user_ids.tolist(), rows.user_ptr, rows.item_id, data.item_ids.tolist()
        )
        if images is None and (Path(config.data) / "images").is_dir():
            images = str(Path(config.data) / "images")
    if config.histories is not None:
        users = KnownUsers.from_table(read_history_file(config.histories))
    return Loaded(retriever, Catalog(ids, texts, images), users, version, name)


class State:
    """The model that answers now.

    A request takes :attr:`current` once and keeps it to its end: one that began with a model ends
    with it, whatever is loaded meanwhile.

    Args:
        source: Folder of a run or of a saved model, or a retriever, which cannot be reloaded.
        config: Options.
        scratch: See :func:`load`.
    """

    def __init__(
        self,
        source: str | PathLike[str] | Retriever,
        config: ServiceConfig,
        scratch: Path | None = None,
    ) -> None:
        self.config, self._scratch = config, scratch
        self._folder = None if isinstance(source, Retriever) else Path(source)
        if isinstance(source, Retriever):
            name = type(source.model).__name__
            self.current = _with_people(source, config, name, name)
        else:
            self.current = load(source, config, scratch)
        self.last_reload: dict[str, Any] | None = None
        self._lock = threading.Lock()
        #: Called where others must reload, too: the other workers.
        self.tell_others: Callable[[], None] | None = None
        #: Called after each reload with its outcome.
        self.on_reload: list[Callable[[bool, str], None]] = []

    @property
    def retriever(self) -> Retriever:
        """That of :attr:`current`."""
        return self.current.retriever

    @property
    def catalog(self) -> Catalog:
        """That of :attr:`current`."""
        return self.current.catalog

    @property
    def histories(self) -> KnownUsers | None:
        """Those of :attr:`current`."""
        return self.current.histories

    def reload(self) -> bool:
        """Loads the folder anew and swaps; where that fails the old model stays.

        Returns:
            Whether the new model answers now; :attr:`last_reload` says why not.
        """
        with self._lock:
            try:
                if self._folder is None:
                    raise ValueError("the service was made of a Retriever: there is no folder")
                if self._scratch is not None:
                    # Where there is a copy the folder itself is not read again.
                    place = model_folder(self._folder)
                    check_files(place, read_config(place / CONFIG))
                new = load(self._folder, self.config, self._scratch)
                _try(new)
            except Exception as error:  # whatever it is: the old model answers
                return self._say(False, f"{type(error).__name__}: {error}")
            old, self.current = self.current, new
            if self._scratch is not None:  # another worker may still be at the one before
                forget_others(self._scratch, {old.key, new.key})
            return self._say(True, f"{new.version} answers now")

    def _say(self, done: bool, message: str) -> bool:
        self.last_reload = {
            "ok": done,
            "message": message if done else f"{message}; {self.current.version} stays",
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        for tell in self.on_reload:
            tell(done, self.last_reload["message"])
        return done


def _try(loaded: Loaded) -> None:
    """Asks the model once before others do: what cannot answer must not be swapped in."""
    first = loaded.catalog.item_ids[0]
    loaded.retriever.recommend([[first]], k=1, exclude_seen=False)
