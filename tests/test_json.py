"""No JSON with NaN in it leaves the repository's code: it is no JSON for other programs."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Calls that write no numbers: keys of dictionaries, hashes, single words, lines between our own
#: processes (which are written anew by json_text).
WITHOUT_NUMBERS = {
    "benchmarks/accuracy_rows.py",
    "benchmarks/figures.py",
    "benchmarks/interaction_files.py",
    "benchmarks/peers/environments.py",
    "benchmarks/peers/histories.py",
    "benchmarks/peers/worker.py",
    "mdsrec_pyg/cli/parser.py",
    "mdsrec_pyg/encoders/_blocks.py",
    "mdsrec_pyg/encoders/image.py",
    "mdsrec_pyg/encoders/text.py",
    "mdsrec_pyg/graphs/cache.py",
    "mdsrec_pyg/nn/models/saving/card.py",
    "mdsrec_pyg/nn/models/saving/folder.py",
    "mdsrec_pyg/retrieval/faiss_index.py",
    "mdsrec_pyg/retrieval/mapped.py",
    "mdsrec_pyg/serving/connections.py",
}


def test_every_call_that_writes_json_refuses_nan() -> None:
    found = set()
    for folder in ("mdsrec_pyg", "benchmarks", "examples", "scripts", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                if ast.unparse(node.func) not in ("json.dumps", "json.dump"):
                    continue
                own = name.startswith("mdsrec_pyg/io")  # what all others call, tested there
                if not own and not any(word.arg == "allow_nan" for word in node.keywords):
                    found.add(name)
    assert found <= WITHOUT_NUMBERS, "json_text, or allow_nan=False"
