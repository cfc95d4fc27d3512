"""The two forms in which a program is written, and how each is run again."""

from __future__ import annotations

import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mdsrec_pyg.export.program import Program

__all__ = [
    "FORMATS",
    "NEEDED",
    "OPSET",
    "PROGRAMS",
    "Answer",
    "NotExportableError",
    "check_format",
    "load",
    "write",
]

#: File of the program, by format.
PROGRAMS = {"onnx": "program.onnx", "torch": "program.pt2"}
FORMATS = tuple(PROGRAMS)
#: The first with all operators that are needed (the largest of scattered values).
OPSET = 18
#: Constants in bytes from which they get a file of their own: a file of ONNX ends at 2 GiB.
LARGE = 2**30
#: Packages that each format needs, by the extra.
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch": ()}

INPUTS, OUTPUTS = ("item_id", "mask"), ("item", "score")

#: From item ids ``[B, L]`` and mask ``[B, L]`` to items ``[B, k]`` and scores ``[B, k]``.
Answer = Callable[[NDArray[np.int64], NDArray[np.bool_]], tuple[NDArray[Any], NDArray[Any]]]


class NotExportableError(ValueError):
    """A module has an operator that an exporter does not know, or looks at what it computes."""


def check_format(name: str) -> None:
    """Raises an error where a format is unknown or cannot be written here.

    Raises:
        ValueError: The format is unknown.
        ImportError: It needs a package that is not installed; the extra is named.
    """
    if name not in FORMATS:
        raise ValueError(f"'format' must be one of {FORMATS} (got {name!r})")
    for package in NEEDED[name]:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(
                f"format={name!r} needs {package}: pip install 'mdsrec_pyg[export]' ({error})"
            ) from error


def trace(program: Program) -> torch.export.ExportedProgram:
    """The program as a graph over batches and lengths of any size, with nothing it does not use."""
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=1)
    example = torch.zeros(3, 7, dtype=torch.long), torch.ones(3, 7, dtype=torch.bool)
    with torch.no_grad():
        _forget_unread(program, example)
        traced = torch.export.export(
            program,
            example,
            dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
        )
    for node in traced.graph.nodes:  # lines of source files, with their paths on this machine
        node.meta.pop("stack_trace", None)
    return traced


class _Reads(TorchDispatchMode):
    """Takes down where in memory all tensors begin that operators read."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [part for part in tree_leaves((args, kwargs)) if isinstance(part, torch.Tensor)]
        self.places |= {tensor.untyped_storage().data_ptr() for tensor in tensors}
        return func(*args, **(kwargs or {}))


def _forget_unread(program: Program, example: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Takes parameters and tables out of the program that it never reads.

    What item vectors are made of would be written with every program otherwise.
    """
    with _Reads() as reads:
        program(*example)
    for module in program.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                if tensor is not None and tensor.untyped_storage().data_ptr() not in reads.places:
                    table[name] = None


def write(program: Program, format: str, folder: Path) -> None:
    """Writes the program into a folder.

    Args:
        program: In evaluation mode, on the CPU; what it does not use is taken out of it.
        format: ``'onnx'`` or ``'torch'``.
        folder: Gets :data:`PROGRAMS` of the format, and one more file where ONNX's is large.

    Raises:
        NotExportableError: It cannot be traced, or ONNX lacks one of its operators.
    """
    path = folder / PROGRAMS[format]
    program.stable_topk = format == "onnx"
    with _quiet():
        try:
            traced = trace(program)
            made = _to_onnx(traced) if format == "onnx" else None
        except MemoryError:
            raise
        except Exception as error:  # each release of PyTorch has kinds of its own
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise NotExportableError((lines or [type(error).__name__])[0]) from error
        if made is None:
            # Its own writer aborts the whole process where the disk is full.
            buffer = io.BytesIO()
            torch.export.save(traced, buffer)
            path.write_bytes(buffer.getbuffer())
        else:
            tensors = [*traced.state_dict.values(), *traced.constants.values()]
            size = sum(part.nbytes for part in tensors if isinstance(part, torch.Tensor))
            made.save(path, external_data=size >= LARGE)


def _to_onnx(traced: torch.export.ExportedProgram) -> Any:
    """The same as a graph of ONNX."""
    names = ({0: "batch", 1: "length"}, {0: "batch", 1: "length"})
    made = torch.onnx.export(
        traced,
        dynamo=True,
        opset_version=OPSET,
        input_names=INPUTS,
        output_names=OUTPUTS,
        dynamic_shapes=names,
        external_data=False,
        verbose=False,
    )
    assert made is not None
    _forget_origins(made.model)
    return made


def _forget_origins(model: Any) -> None:
    """Takes out of what each operator was made, which is longer than a small program itself."""
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        graph.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            value.metadata_props.clear()
        for node in graph.all_nodes():
            node.metadata_props.clear()
            for value in node.outputs:
                value.metadata_props.clear()
    model.metadata_props.clear()


def load(path: Path, format: str, threads: int | None = None) -> Answer:
    """The program of a file as a function over NumPy arrays.

    Args:
        path: What :func:`write` wrote.
        format: Its format.
        threads: Of ONNX Runtime. (default: its own)
    """
    if format == "torch":
        with _quiet():
            module = torch.export.load(path).module()

        def by_torch(item_id: NDArray[np.int64], mask: NDArray[np.bool_]) -> Any:
            with torch.no_grad():
                found = module(torch.from_numpy(item_id), torch.from_numpy(mask))
            return tuple(part.numpy() for part in found)

        return by_torch
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def by_onnx(item_id: NDArray[np.int64], mask: NDArray[np.bool_]) -> Any:
        return tuple(session.run(list(OUTPUTS), {"item_id": item_id, "mask": mask}))

    return by_onnx


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of exporters about themselves: nobody who exports can heed them."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
