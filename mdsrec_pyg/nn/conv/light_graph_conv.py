"""Light graph convolution with a fast path on the CPU."""

# TorchScript and the templates of PyG read this module: annotations are objects, not strings, and
# no __all__ keeps its names from a star import.
from typing import Any, Union

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch_geometric import EdgeIndex
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj, OptPairTensor, OptTensor, Size, SparseTensor
from torch_geometric.utils import spmm

from mdsrec_pyg.nn.conv._adjacency import Adjacency, of_edges
from mdsrec_pyg.nn.conv._cache import Calls, TensorCache
from mdsrec_pyg.nn.conv._ops import check_weight
from mdsrec_pyg.nn.conv._ops import propagate as propagate_op
from mdsrec_pyg.nn.conv._propagate import KERNELS, fastest_kernel, propagate, result_types

_LAYOUTS = (torch.strided, torch.sparse_csr)
_MESSAGES = ("message", "aggregate", "update", "message_and_aggregate")
_HOOKS = [
    f"_{name}_forward_{kind}"
    for name in ("propagate", "message", "aggregate", "message_and_aggregate")
    for kind in ("pre_hooks", "hooks")
]


class LightGraphConv(MessagePassing):
    r"""Sums the neighbors, weighted, and does nothing else.

    The light graph convolution of `"LightGCN: Simplifying and Powering Graph Convolution Network
    for Recommendation" <https://arxiv.org/abs/2002.02126>`_ over a graph that is normalized
    already; the same as :class:`torch_geometric.nn.conv.LGConv` with ``normalize=False``.

    .. math::
        \mathbf{x}^{\prime}_i = \sum_{j \in \mathcal{N}(i)} e_{j,i} \, \mathbf{x}_j

    What it needs of a graph (the CSR form and its transpose) is kept as long as ``edge_index`` and
    ``edge_weight`` are the same unchanged tensors: pass the same ones at every step. Float16 and
    bfloat16 inputs are summed in float32. Weights that need a gradient may change at every step:
    they are put in the transpose's order each time, and their gradient costs one more product
    (benchmarks/README.md has the figures). What ``torch.compile`` and ``torch.export`` trace holds
    one operator, ``mdsrec_pyg::propagate``, and no graph break; TorchScript compiles PyG's way.

    Args:
        kernel: ``'embedding_bag'`` (CPU), ``'sparse_csr'`` (CPU and CUDA), ``'triton'`` (CUDA,
            needs triton, which comes with torch there) or ``'message_passing'``, PyG's own.
            Default: the fastest that is right for the input, see :meth:`path`.
        **kwargs: Arguments of :class:`torch_geometric.nn.conv.MessagePassing`.

    Shapes:
        - **input:** node features :math:`(N, D)`, edge indices :math:`(2, E)`, edge weights
          :math:`(E)` *(optional)*; instead of indices and weights, the transposed adjacency matrix
          :math:`(N, N)` as a CSR tensor of torch or a ``SparseTensor`` of torch-sparse; of a
          bipartite graph :math:`((N_s, D), (N_t, D))` or :math:`((N_s, D), None)` and its ``size``
          :math:`(N_s, N_t)` *(optional)*
        - **output:** node features :math:`(N, D)` or :math:`(N_t, D)`

    Raises:
        ValueError: An unknown ``kernel`` or one that cannot take the input, indices outside of
            ``x``, weights that do not fit the edges, or ``edge_weight`` beside a matrix, which has
            its own.
    """

    def __init__(self, kernel: str | None = None, **kwargs: Any) -> None:
        """Takes the arguments of MessagePassing."""
        names = [*KERNELS, "message_passing"]
        if kernel is not None and kernel not in names:
            raise ValueError(f"'kernel' must be one of {names} or None (got {kernel!r})")
        kwargs.setdefault("aggr", "add")
        super().__init__(**kwargs)
        if "propagate" not in vars(type(self)):
            # PyG could not make the template of a subclass: ours would leave out its arguments.
            type(self).propagate = type(self)._orig_propagate = MessagePassing.propagate
        self.kernel = kernel
        self._graphs = TensorCache()
        self._calls = Calls()

    def forward(
        self,
        x: Union[Tensor, OptPairTensor],  # noqa: UP007 (read by TorchScript)
        edge_index: Adj,
        edge_weight: OptTensor = None,
        size: Size = None,
    ) -> Tensor:
        """Propagates once."""
        if torch.jit.is_scripting():
            assert isinstance(x, Tensor)
        else:
            if size is None and not torch.compiler.is_compiling() and self._is_plain_call():
                known = self._calls.get(x, edge_index, edge_weight, self._settings())
                if known is not None:
                    return _multiply_again(x, *known)
            path = self.path(x, edge_index, edge_weight)
            if path != "message_passing":
                return self._multiply(x, edge_index, edge_weight, size, path)
        # propagate_type: (x: Tensor, edge_weight: OptTensor)
        return self.propagate(edge_index, x=x, edge_weight=edge_weight, size=size)

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        """Weighs a neighbor."""
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(self, adj_t: Adj, x: Tensor) -> Tensor:
        """Sums the weighted neighbors at once."""
        return spmm(adj_t, x if isinstance(x, Tensor) else x[0], reduce=self.aggr)

    def path(
        self, x: Tensor | OptPairTensor, edge_index: Adj, edge_weight: OptTensor = None
    ) -> str:
        """Says which implementation :meth:`forward` takes for this input.

        Returns:
            The ``kernel`` that was asked for. By default ``'embedding_bag'`` on the CPU,
            ``'triton'`` on a GPU where Triton runs, else ``'sparse_csr'``: no buffer of one row an
            edge, the transpose is kept for the gradient. ``'message_passing'``, PyG's own, where
            messages are looked at or changed (hooks, explanations, a subclass with its own
            ``message``), and for other aggregations, inputs of other than two dimensions, integers
            and complex numbers, sparse layouts other than CSR, a matrix in what ``torch.compile``
            or ``torch.export`` traces, and all that ``torch.jit``, ``torch.func``,
            ``torch.autograd.forward_ad`` and the device ``meta`` do.
        """
        matrix = _is_matrix(edge_index)
        if matrix and edge_weight is not None:
            raise ValueError("'edge_weight' must be None beside a matrix, whose values are used")
        forth = self.flow == "source_to_target"
        source = x if isinstance(x, Tensor) else x[0]
        plain = (
            source.dim() == 2
            and source.is_floating_point()
            and not (edge_weight is not None and edge_weight.is_complex())
            and self.aggr in ("add", "sum")
            and self.node_dim in (-2, 0)
            and self.decomposed_layers == 1
            and (forth or not (matrix or isinstance(x, tuple)))
            and (isinstance(edge_index, SparseTensor) or edge_index.layout in _LAYOUTS)
            and not self._is_watched()
        )
        device = source.device.type
        if self.kernel in KERNELS and (not plain or device not in KERNELS[self.kernel]):
            raise ValueError(
                f"kernel={self.kernel!r} must get a plain sum over a two-dimensional real input on "
                f"{' or '.join(KERNELS[self.kernel])} (got aggr={self.aggr!r}, 'x' of shape "
                f"{list(source.shape)} on {device}, or messages that are looked at)"
            )
        if not plain or device == "meta" or torch.jit.is_tracing():
            return "message_passing"
        if matrix if torch.compiler.is_compiling() else _in_functional_transform():
            return "message_passing"
        return self.kernel or fastest_kernel(device, source.device.index)

    def _is_watched(self) -> bool:
        changed = any(getattr(type(self), n) is not getattr(LightGraphConv, n) for n in _MESSAGES)
        return changed or self._is_hooked()

    def _is_hooked(self) -> bool:
        return any(map(self.__dict__.get, _HOOKS)) or bool(self.explain)

    def _is_plain_call(self) -> bool:
        """Whether a call may be like one before: what can change beside settings and inputs."""
        watched = type(self) is not LightGraphConv or self._is_hooked()
        return not (watched or torch.jit.is_tracing() or _in_functional_transform())

    def _settings(self) -> tuple[Any, ...]:
        return self.flow, self.aggr, self.node_dim, self.decomposed_layers, self.kernel

    def _multiply(
        self,
        x: Tensor | OptPairTensor,
        edge_index: Adj,
        edge_weight: OptTensor,
        size: Size,
        kernel: str,
    ) -> Tensor:
        source, num_rows = self._sizes(x, edge_index, size)
        if torch.compiler.is_compiling():
            reverse = self.flow != "source_to_target"
            options = (num_rows, source.size(0), reverse, False, kernel)
            return propagate_op(source, _as_tensor(edge_index), edge_weight, *options)
        return self._multiply_eagerly(source, num_rows, edge_index, edge_weight, kernel)

    @torch.compiler.disable
    def _multiply_eagerly(
        self, source: Tensor, num_rows: int, edge_index: Adj, edge_weight: OptTensor, kernel: str
    ) -> Tensor:
        adj, weight, key = self._adjacency(source, num_rows, edge_index, edge_weight)
        out_dtype, dtype = result_types(source, weight)
        if weight is not None and weight.requires_grad and torch.is_grad_enabled():
            trained = weight.to(dtype) if adj.perm is None else weight.to(dtype)[adj.perm]
            return propagate(source, trained, None, adj, kernel, out_dtype)
        fixed = None if weight is None else adj.weight(weight, key, dtype)
        if self._is_plain_call() and isinstance(edge_index, Tensor) and num_rows == source.size(0):
            kept = (fixed, adj, kernel, out_dtype)
            self._calls.put(source, edge_index, edge_weight, self._settings(), kept)
        return propagate(source, None, fixed, adj, kernel, out_dtype)

    def _sizes(self, x: Tensor | OptPairTensor, edge_index: Adj, size: Size) -> tuple[Tensor, int]:
        """The table that is summed and the number of rows of the result, as PyG counts them."""
        strided = type(edge_index) is Tensor and edge_index.layout == torch.strided
        if strided and size is None and isinstance(x, Tensor):
            return x, x.size(0)
        source, target = (x, None) if isinstance(x, Tensor) else x
        given: list[int | None] = [None, None]
        if _is_matrix(edge_index):
            given = [int(edge_index.size(1)), int(edge_index.size(0))]
        elif isinstance(edge_index, EdgeIndex):
            given = list(edge_index.sparse_size())
        elif size is not None:
            given = list(size)
        if self.flow != "source_to_target":
            given.reverse()
        for name, table, expected in (("x", source, given[0]), ("x[1]", target, given[1])):
            if table is not None and expected is not None and table.size(0) != expected:
                raise ValueError(
                    f"{name!r} must have one row a node that the edges may name (a column or row "
                    f"of the matrix, or 'size'; expected {expected}, got {table.size(0)})"
                )
        rows = given[1]
        if rows is None:
            rows = source.size(0) if target is None else target.size(0)
        return source, rows

    def _adjacency(
        self, x: Tensor, num_rows: int, edge_index: Adj, edge_weight: OptTensor
    ) -> tuple[Adjacency, OptTensor, Tensor]:
        """The structure, the weights in the order of the input, and what they are kept under."""
        if isinstance(edge_index, SparseTensor):
            rowptr, col, value = edge_index.csr()
            sizes = edge_index.sparse_sizes()
            # Both arrays decide: another matrix may share one of them.
            graphs = self._graphs.get(col, None, TensorCache)
            adj = graphs.get(rowptr, sizes, lambda: Adjacency(rowptr, col, None, sizes[1]))
            return adj, value, col if value is None else value
        if edge_index.layout == torch.sparse_csr:
            parts = edge_index.crow_indices(), edge_index.col_indices()
            adj = self._graphs.get(edge_index, None, lambda: Adjacency(*parts, None, x.size(0)))
            return adj, edge_index.values(), edge_index
        plain = _as_tensor(edge_index)
        reverse = self.flow != "source_to_target"
        adj = of_edges(self._graphs, plain, num_rows, x.size(0), reverse)
        if edge_weight is None:
            return adj, None, plain
        check_weight(edge_weight, adj)
        return adj, edge_weight.reshape(-1), edge_weight


@torch.compiler.disable
def _multiply_again(x: Tensor, fixed: Any, adj: Adjacency, kernel: str, dtype: Any) -> Tensor:
    return propagate(x, None, fixed, adj, kernel, dtype)


def _in_functional_transform() -> bool:
    """Whether ``torch.func`` or forward mode looks on, which an own gradient cannot take."""
    return bool(torch._C._are_functorch_transforms_active()) or forward_ad._current_level >= 0


def _is_matrix(edge_index: Adj) -> bool:
    return isinstance(edge_index, SparseTensor) or edge_index.layout != torch.strided


def _as_tensor(edge_index: Tensor) -> Tensor:
    return edge_index.as_tensor() if isinstance(edge_index, EdgeIndex) else edge_index
