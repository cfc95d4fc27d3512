"""From histories to recommendations."""

from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from mdsrec_pyg.retrieval.files import (
    explain_row,
    read_history_file,
    user_histories,
    write_recommendations,
)
from mdsrec_pyg.retrieval.recommendations import recommend
from mdsrec_pyg.retrieval.retriever import Retriever
from mdsrec_pyg.retrieval.topk import top_items

__all__ = [
    "FaissIndex",
    "Retriever",
    "explain_row",
    "read_history_file",
    "recommend",
    "top_items",
    "user_histories",
    "write_recommendations",
]
