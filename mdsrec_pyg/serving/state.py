"""What is served: loaded as a whole, swapped as a whole."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from mdsrec_pyg.datasets import FolderDataset
from mdsrec_pyg.nn.models.saving.folder import CONFIG, check_files, model_folder, read_config
from mdsrec_pyg.retrieval import Retriever, read_history_file
from mdsrec_pyg.retrieval.mapped import key_of
from mdsrec_pyg.serving.catalog import Catalog, KnownUsers
from mdsrec_pyg.serving.config import ServiceConfig
from mdsrec_pyg.serving.snapshots import forget_others, serve_from, served, snapshot
from mdsrec_pyg.training.run_texts import read_texts

__all__ = ["Loaded", "State", "load"]


@dataclass(frozen=True, eq=False)
class Loaded:
    """One model with all that belongs to it; nothing in it changes.

    Args:
        retriever: Answers.
        catalog: Its items, for people.
        histories: Users that are known by name, if any are.
        version: Class of the model and the first digits of the hash of what was saved.
        name: What people call it: the name of its folder.
        copy: What of it is mapped, where workers share it.
    """

    retriever: Retriever
    catalog: Catalog
    histories: KnownUsers | None
    version: str
    name: str
    copy: Path | None = None

    @property
    def modalities(self) -> list[str]:
        """Names of the model's modalities, none for a model without."""
        return list(getattr(self.retriever.model, "modalities", ()))


def load(
    folder: Path, config: ServiceConfig, scratch: Path | None = None, copy: Path | None = None
) -> Loaded:
    """Reads a saved model, its texts, and what ``config`` names.

    Args:
        folder: Folder of a run or of a saved model.
        config: Names data set, histories and pictures.
        scratch: Folder in which workers share a copy of the model, whose tables they map; without,
            they are this process's own.
        copy: A copy there that is taken instead of one of ``folder`` as it is now.

    Raises:
        ValueError: A file is missing, damaged, or of another model.
    """
    if scratch is None:
        place, texts_in = model_folder(folder), folder
    else:
        place = texts_in = copy = copy or snapshot(folder, scratch)
    try:
        key = key_of(place)
        retriever = Retriever.from_folder(place, mmap=copy is not None)
        texts = read_texts(texts_in, retriever.model.num_items)
        if key_of(place) != key:
            raise ValueError(f"{str(place)!r} must not be written while it is read")
    except ValueError:
        if copy is not None:  # it is mended under the same name, if at all
            shutil.rmtree(copy, ignore_errors=True)
        raise
    version = f"{type(retriever.model).__name__}-{key[:12]}"
    found = _with_people(retriever, config, version, folder.resolve().name, texts)
    return replace(found, copy=copy)


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
            # A worker in place of one that died serves what the others do, whatever the folder
            # holds by now.
            copy = None if scratch is None else served(scratch)
            self.current = load(Path(source), config, scratch, copy)
            if self.current.copy is not None and copy is None:
                serve_from(self.current.copy)
        self.last_reload: dict[str, Any] | None = None
        self._lock = threading.Lock()
        #: Called where others must reload, too: the other workers.
        self.tell_others: Callable[[], None] | None = None
        #: Called after each reload with its outcome.
        self.on_reload: list[Callable[[bool, str], None]] = []

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
            if old.copy is not None and new.copy is not None:
                serve_from(new.copy)
                forget_others({old.copy, new.copy})  # another worker may still be at the old one
            return self._say(True, f"{new.version} answers now")

    def reload_all(self) -> bool:
        """The same, and where it is done the other workers are told to."""
        done = self.reload()
        if done and self.tell_others is not None:
            self.tell_others()
        return done

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
