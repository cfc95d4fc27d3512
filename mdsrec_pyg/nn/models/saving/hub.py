"""Models on the Hugging Face Hub, by the mixin of ``huggingface_hub`` (the extra ``hub``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["on_hub"]

_FILES = ("config.json", "model.safetensors", "growing.safetensors", "items.json", "README.md")


def on_hub(kind: Any) -> Any:
    """A class with ``save_pretrained``, ``push_to_hub`` and ``from_pretrained`` for a model.

    It is made when it is first asked for, so that importing this library does not import
    ``huggingface_hub``. It holds the model instead of being its base class: a model stays a plain
    module.

    Args:
        kind: Class of the model, which answers ``save`` and ``load``.

    Raises:
        ImportError: ``huggingface_hub`` is not installed.
    """
    try:
        from huggingface_hub import ModelHubMixin, snapshot_download
    except ImportError as error:
        raise ImportError(
            "models on a hub need huggingface_hub: pip install 'mdsrec_pyg[hub]'"
        ) from error

    class HubModel(ModelHubMixin, library_name="mdsrec_pyg"):
        def __init__(self, model: Any, options: Any = None) -> None:
            self.model, self.options = model, options or {}

        def _save_pretrained(self, save_directory: Path) -> None:
            self.model.save(save_directory, **self.options)

        @classmethod
        def _from_pretrained(
            cls,
            *,
            model_id: str,
            revision: str | None,
            cache_dir: str | Path | None,
            force_download: bool,
            local_files_only: bool,
            token: str | bool | None,
            **own: Any,
        ) -> Any:
            folder = model_id
            if not Path(model_id).is_dir():
                folder = snapshot_download(
                    model_id,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                    allow_patterns=list(_FILES),
                )
            return cls(kind.load(folder, **own))

    return HubModel
