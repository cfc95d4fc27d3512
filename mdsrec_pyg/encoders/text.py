"""Text to features."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.encoders._extra import (
    choose_device,
    choose_dtype,
    load_model,
    loading,
    local_folder,
    model_version,
    pooled,
    require,
)

__all__ = ["TextEncoder"]

LIBRARIES = ("sentence_transformers", "transformers")
# What models without a stated limit (tokenizers say 10^30) were trained with.
DEFAULT_LENGTH = 512


class TextEncoder:
    """Encodes texts with a pretrained model (extra ``encode``).

    A sentence model is run by `sentence-transformers <https://arxiv.org/abs/1908.10084>`_, with the
    pooling and normalization it was trained with. Of any other model of transformers the text
    projection is taken where there is one (CLIP, SigLIP), else the mean of the last hidden states
    over the tokens.

    Shapes:
        - **input:** *B* texts
        - **output:** features :math:`(B, F)`, float32, on the CPU

    Example:
        >>> encode = TextEncoder("sentence-transformers/all-MiniLM-L6-v2")
        >>> encode(["oak chair", "steel lamp"]).shape
        torch.Size([2, 384])

    Args:
        model: A name on the Hugging Face hub, or a local folder.
        library: ``'sentence_transformers'`` or ``'transformers'``. Default: the first if the model
            has a ``modules.json``, as sentence models do.
        device: Where it runs. Default: the GPU if there is one.
        dtype: ``'float32'``, ``'float16'`` or ``'bfloat16'``. Default: float16 on a GPU, else
            float32.
        max_length: Tokens after which a text is cut. Default: what the model says.
        prompt: Put before each text, as some models ask for (``'passage: '`` for E5).
        revision: Branch, tag or commit on the hub.

    Raises:
        ImportError: The library is not installed.
        ValueError: An option has an unknown value, or ``model`` is a path without a folder.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        library: str | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        max_length: int | None = None,
        prompt: str = "",
        revision: str | None = None,
    ) -> None:
        if library is not None and library not in LIBRARIES:
            raise ValueError(f"'library' must be one of {', '.join(LIBRARIES)} (got {library!r})")
        if max_length is not None and max_length < 1:
            raise ValueError(f"'max_length' must be at least 1 (got {max_length})")
        self.model_name = str(model)
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.prompt = prompt
        self.revision = revision
        self.model: Any
        self.tokenizer: Any = None
        with loading(model):
            self.library = library or _library(model, revision)
            self.max_length, config = self._load(model, max_length)
        self.model.to(self.device, self.dtype).eval()
        self._version = model_version(model, config)

    def _load(self, model: str | os.PathLike[str], max_length: int | None) -> tuple[int, Any]:
        """Loads model and tokenizer; the most tokens that they read, and the configuration."""
        if self.library == "sentence_transformers":
            module = require("sentence_transformers")
            self.model = module.SentenceTransformer(
                self.model_name, device=str(self.device), revision=self.revision
            )
            if max_length is not None:
                self.model.max_seq_length = max_length
            return self.model.max_seq_length, getattr(self.model[0], "config", None)
        module = require("transformers", "AutoTokenizer")
        self.tokenizer = module.AutoTokenizer.from_pretrained(model, revision=self.revision)
        self.model, _ = load_model(model, self.revision)
        config = self.model.config
        return max_length or _max_length(self.tokenizer, config), config

    def __repr__(self) -> str:
        """Model and settings."""
        dtype = str(self.dtype).removeprefix("torch.")
        prompt = f", prompt {self.prompt!r}" if self.prompt else ""
        return (
            f"TextEncoder({self.model_name}, {self.library}, {self.device}, {dtype}, "
            f"at most {self.max_length} tokens{prompt})"
        )

    @property
    def key(self) -> str:
        """Text that changes with everything that changes the features."""
        return json.dumps(
            {
                "model": self.model_name,
                "version": self._version,
                "revision": self.revision,
                "library": self.library,
                "library_version": require(self.library).__version__,
                "dtype": str(self.dtype),
                "max_length": self.max_length,
                "prompt": self.prompt,
            }
        )

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Features ``[B, F]`` of one batch of texts."""
        if self.tokenizer is not None:
            return self._transformers(texts)
        features = self.model.encode(
            list(texts),
            prompt=self.prompt or None,
            batch_size=max(len(texts), 1),
            convert_to_tensor=True,
            show_progress_bar=False,
        )
        return features.float().cpu()

    def _transformers(self, texts: Sequence[str]) -> Tensor:
        # SigLIP was trained on texts padded to the full length, without a mask.
        siglip = str(self.model.config.model_type).startswith("siglip")
        tokens = self.tokenizer(
            [self.prompt + text for text in texts],
            padding="max_length" if siglip else True,
            truncation=True,
            max_length=self.max_length,
            return_tensors="pt",
        ).to(self.device)
        if hasattr(self.model, "get_text_features"):
            names = ("input_ids", "attention_mask")
            tokens = {name: tokens[name] for name in names if name in tokens}
            return pooled(self.model.get_text_features(**tokens)).float().cpu()
        hidden = self.model(**tokens).last_hidden_state.float()  # [B, L, F]
        mask = tokens["attention_mask"][..., None].float()
        return ((hidden * mask).sum(1) / mask.sum(1).clamp(min=1)).cpu()


def _library(model: str | os.PathLike[str], revision: str | None) -> str:
    folder = local_folder(model)
    if folder is not None:
        sentence_model = (folder / "modules.json").is_file()
    else:
        util = require("sentence_transformers.util")
        sentence_model = util.is_sentence_transformer_model(str(model), revision=revision)
    return LIBRARIES[0] if sentence_model else LIBRARIES[1]


def _max_length(tokenizer: Any, config: Any) -> int:
    if str(config.model_type).startswith("siglip"):
        return int(config.text_config.max_position_embeddings)
    text = getattr(config, "text_config", config)
    limit = getattr(text, "max_position_embeddings", None) or DEFAULT_LENGTH
    return int(min(tokenizer.model_max_length, limit))
