"""What ``mdsrec doctor`` looks at: each check says what is, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch_geometric.typing import SparseTensor

from mdsrec_pyg.nn.conv import LightGraphConv
from mdsrec_pyg.nn.conv._propagate import KERNELS
from mdsrec_pyg.showing import counted
from mdsrec_pyg.version import __version__

__all__ = ["Check", "all_checks"]

OK, NOTE, PROBLEM = "ok", "note", "problem"

#: Needed libraries, and the extras with what each is for.
NEEDED = (
    *("torch", "torch-geometric", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy"),
    *("safetensors", "jsonargparse", "shtab", "tqdm"),
)
EXTRAS = {
    "plot": (("matplotlib",), "pictures of mdsrec inspect"),
    "ann": (("faiss-cpu",), "approximate search in large catalogs"),
    "export": (("onnx", "onnxscript", "onnxruntime"), "programs for ONNX Runtime"),
    "encode": (
        ("transformers", "sentence-transformers", "pillow", "httpx"),
        "features from texts and images, downloads",
    ),
    "timm": (("timm",), "image models of timm"),
    "serve": (("fastapi", "uvicorn", "prometheus-client"), "mdsrec serve"),
    "tensorboard": (("tensorboard",), "metrics of training in TensorBoard"),
    "mlflow": (("mlflow",), "metrics of training in MLflow"),
    "hub": (("huggingface-hub",), "models to and from the Hugging Face hub"),
    "testing": (("pytest",), "contract tests of your own models and layers"),
    "wandb": (("wandb",), "metrics of training in Weights & Biases"),
    "sparse": (("torch-sparse", "torch-scatter"), "SparseTensor as a graph; nothing else needs it"),
}
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What.
        state: ``'ok'``, ``'note'`` (works, could be better) or ``'problem'`` (does not work).
        found: What was found.
        advice: What to do; empty where nothing has to be done.
    """

    name: str
    state: str
    found: str
    advice: str = ""


def all_checks() -> Iterator[Check]:
    """Every check, one after the other."""
    yield from check_versions()
    yield from check_extras()
    yield check_sparse()
    yield check_processor()
    yield check_gpu()
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        yield from check_kernels(device)
    yield check_huge_pages()
    yield from check_folders()


def version_of(library: str) -> str | None:
    """The installed version; ``None`` where there is none."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_versions() -> Iterator[Check]:
    """This library, Python, and what it needs."""
    yield Check("mdsrec_pyg", OK, __version__)
    version = platform.python_version()
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        yield Check("python", OK, version)
    else:
        yield Check("python", NOTE, version, "it is tested with 3.10 to 3.13")
    for library in NEEDED:
        found = version_of(library)
        if found is None:
            yield Check(library, PROBLEM, "not installed", f"pip install {library}")
        elif library == "torch":
            found = torch.__version__
            short = tuple(int(part) for part in found.split("+")[0].split(".")[:2])
            fits = (2, 11) <= short <= (2, 13)
            advice = "" if fits else "pip install 'torch>=2.11,<2.14'"
            yield Check(library, OK if fits else NOTE, found, advice)
        else:
            yield Check(library, OK, found)


def check_extras() -> Iterator[Check]:
    """The optional libraries: present, or how to install them."""
    for extra, (libraries, use) in EXTRAS.items():
        found = {library: version_of(library) for library in libraries}
        absent = [library for library, version in found.items() if version is None]
        if not absent:
            text = ", ".join(f"{library} {version}" for library, version in found.items())
            yield Check(f"extra {extra}", OK, text)
            continue
        build = "--no-build-isolation " if extra == "sparse" else ""  # its sources import torch
        yield Check(
            f"extra {extra}",
            NOTE,
            f"without {', '.join(absent)}: {use}",
            f"if you want that: pip install {build}'mdsrec_pyg[{extra}]'",
        )


def check_sparse() -> Check:
    """Whether torch-sparse and torch-scatter, compiled against one torch, import and know CUDA."""
    name, parts = "torch-sparse", ("torch_scatter", "torch_sparse")
    there = [part for part in parts if importlib.util.find_spec(part) is not None]
    if not there:
        return Check(name, OK, "not installed, not needed")
    try:
        for part in there:
            importlib.import_module(part)
        values = torch.tensor([1.0, 2.0])
        if len(there) == 2:
            row, col = torch.tensor([0, 1]), torch.tensor([1, 0])
            product = SparseTensor(row=row, col=col, value=values) @ torch.eye(2)
            assert torch.equal(product, torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
    except Exception as error:
        return Check(
            name,
            PROBLEM,
            f"installed for another torch: {str(error).splitlines()[0]}",
            "pip uninstall torch-sparse torch-scatter, or build them anew: pip install "
            "--no-build-isolation --no-cache-dir --force-reinstall --no-deps torch-scatter "
            "torch-sparse",
        )
    cuda = [part for part in there if getattr(torch.ops, part).cuda_version() >= 0]
    text = f"{', '.join(there)} import, {'with' if len(cuda) == len(there) else 'without'} CUDA"
    if torch.cuda.is_available() and len(cuda) < len(there):
        return Check(name, NOTE, text, "SparseTensor on the GPU needs a build with CUDA's compiler")
    return Check(name, OK, text)


def processor() -> str:
    """Name of the processor, as far as the system says it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def check_processor() -> Check:
    """Cores, threads and vector instructions."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads, vectors = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    cores = "cores" if allowed is None else counted(allowed, "core")
    text = f"{processor()}, {cores} allowed, {counted(threads, 'thread')}, {vectors}"
    if allowed is not None and threads > allowed:
        return Check("cpu", NOTE, text, f"more threads than cores: OMP_NUM_THREADS={allowed}")
    if allowed is not None and threads < allowed // 2:
        return Check("cpu", NOTE, text, f"cores lie idle: OMP_NUM_THREADS={allowed}")
    return Check("cpu", OK, text)


def check_gpu() -> Check:
    """Whether there is a GPU and whether training uses it."""
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        text = f"{', '.join(names)}; training uses cuda:0, {memory:.0f} GiB"
        return Check("gpu", OK, text)
    there = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()
    if not there:
        return Check("gpu", OK, "none found; everything runs on the CPU")
    if torch.version.cuda is None:
        advice = "install torch for CUDA, see pytorch.org/get-started"
        return Check("gpu", NOTE, "there is a driver, but torch is built for the CPU", advice)
    return Check(
        "gpu",
        NOTE,
        f"there is a driver, but torch (CUDA {torch.version.cuda}) finds no GPU",
        "look at nvidia-smi and CUDA_VISIBLE_DEVICES; the driver may be too old for this torch",
    )


def check_kernels(device: str) -> Iterator[Check]:
    """What LightGraphConv takes on a device, and that every kernel agrees with slow sums."""
    edge_index = torch.tensor([[1, 2, 0, 3, 1, 4], [0, 0, 1, 2, 3, 3]])
    weight = torch.tensor([0.5, 2.0, -1.0, 0.25, 3.0, 1.5])
    x = torch.arange(15.0).reshape(5, 3)
    expected, gradient = torch.zeros(5, 3), torch.zeros(5, 3)
    for source, target, value in zip(*edge_index.tolist(), weight.tolist(), strict=True):
        expected[target] += value * x[source]
        gradient[source] += value * x[target]
    chosen = LightGraphConv().path(x.to(device), edge_index.to(device), weight.to(device))
    for kernel in [name for name, devices in KERNELS.items() if device in devices]:
        name = f"kernel {kernel}"
        used = f"{device}: chosen" if kernel == chosen else f"{device}: available"
        try:
            # A copy: the gradients of kernels must not add up.
            inputs = x.clone().to(device).requires_grad_()
            conv = LightGraphConv(kernel)
            found = conv(inputs, edge_index.to(device), weight.to(device))
            found.backward(x.to(device))
            grad = inputs.grad
            assert grad is not None
            right = torch.allclose(found.detach().cpu(), expected) and torch.allclose(
                grad.cpu(), gradient
            )
        except Exception as error:
            state = PROBLEM if kernel == chosen else NOTE
            text = f"{device}: does not run: {str(error).splitlines()[0]}"
            yield Check(name, state, text, "LightGraphConv('message_passing') is PyG's own")
            continue
        if right:
            yield Check(name, OK, f"{used}, agrees with slow sums, gradient too")
        else:
            advice = "please report it with this output; LightGraphConv('message_passing') is right"
            yield Check(name, PROBLEM, f"{used}, disagrees with slow sums", advice)


def check_huge_pages() -> Check:
    """Whether large tensors get huge pages (Linux)."""
    name = "huge pages"
    if not HUGE_PAGES.exists():
        return Check(name, OK, "not a setting of this system")
    text = HUGE_PAGES.read_text(encoding="utf-8")
    mode = text[text.index("[") + 1 : text.index("]")] if "[" in text else text.strip()
    asked = os.environ.get("THP_MEM_ALLOC_ENABLE") == "1"
    if mode == "always" or (mode == "madvise" and asked):
        return Check(name, OK, f"{mode}{', asked for' if asked else ''}")
    if mode == "never":
        return Check(name, OK, "never: the system gives none")
    return Check(
        name,
        NOTE,
        f"{mode}, not asked for",
        "for large catalogs on the CPU: THP_MEM_ALLOC_ENABLE=1, or "
        "mdsrec_pyg.memory.use_huge_pages() before the first tensor",
    )


def check_folders() -> Iterator[Check]:
    """Where runs, temporary files and pretrained models go."""
    home = os.environ.get("HF_HOME") or str(Path.home() / ".cache" / "huggingface")
    places = {
        "folder of runs": (
            Path.cwd(),
            PROBLEM,
            "go to a folder that you may write, or --directory",
        ),
        "temporary files": (Path(tempfile.gettempdir()), PROBLEM, "set TMPDIR"),
        "cache of models": (Path(home), NOTE, "for mdsrec encode: set HF_HOME to another folder"),
    }
    for name, (path, state, advice) in places.items():
        if can_write(path):
            yield Check(name, OK, f"{path} may be written")
        else:
            yield Check(name, state, f"{path} may not be written", advice)


def can_write(folder: Path) -> bool:
    """Whether a file can be made in a folder, or in the nearest one that exists above it."""
    while not folder.is_dir():
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            return True
    except OSError:
        return False
