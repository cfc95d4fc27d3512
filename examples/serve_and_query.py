"""Serves a model over HTTP and asks it: recommendations, why, similar items, search, figures.

    python examples/serve_and_query.py                       # synthetic data, trained for a moment
    python examples/serve_and_query.py --directory runs/shop --history item-3,item-141

The service runs in a thread of this script; ``mdsrec serve RUN`` runs the same one for good, with
several processes if wanted. It needs the extra serve: pip install -e '.[serve]'.

What to expect: half a minute without --directory, most of it training. What is asked and what is
answered is printed as JSON, a mistake in a request too.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdsrec_pyg import Retriever, SyntheticDataset, Trainer, build_mdsrec, leave_last_out
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.serving import create_app
from mdsrec_pyg.serving.start import require_extra


def train(num_users: int, num_items: int, epochs: int) -> Retriever:
    """A retriever over a model of synthetic data; the items it knows are item-0, item-1, ..."""
    dataset = SyntheticDataset(num_users, num_items, seed=0)
    split = leave_last_out(dataset.interactions)
    model = build_mdsrec(dataset.features, split.train)
    Trainer(model, epochs=epochs, progress=False).fit(split.train, split.val)
    counts = split.train.item_counts()
    return Retriever(model, dataset.item_ids, item_counts=counts)


def serve(app: Any) -> tuple[Any, threading.Thread, str]:
    """Runs an app at a free port of this machine; the server, its thread and its address."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.05)
    return server, thread, f"http://127.0.0.1:{listener.getsockname()[1]}"


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """What is answered to a body, or without one to a plain request; an error is an answer, too."""
    data = None if body is None else json.dumps(body, allow_nan=False).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def show(url: str, path: str, body: dict[str, Any] | None = None) -> None:
    """Asks, and prints what was asked and answered."""
    asked = "" if body is None else f" {json.dumps(body, allow_nan=False)}"
    answer = json.dumps(ask(f"{url}{path}", body), indent=2, allow_nan=False)
    print(f"\n{'GET' if body is None else 'POST'} {path}{asked}\n{answer}")


def main(argv: Sequence[str] | None = None) -> None:
    """Trains or reads, serves, asks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--directory", type=Path, help="a run or a saved model")
    parser.add_argument("--history", default="item-3,item-141", help="items, oldest first")
    parser.add_argument("-k", type=int, default=3, help="items recommended")
    parser.add_argument("--users", type=int, default=300, help="of the synthetic data")
    parser.add_argument("--items", type=int, default=300, help="of the synthetic data")
    parser.add_argument("--epochs", type=int, default=1, help="of the training")
    args = parser.parse_args(argv)

    require_extra()  # said before a model is trained
    source = args.directory or train(args.users, args.items, args.epochs)
    server, thread, url = serve(create_app(source, max_k=50))
    history = args.history.split(",")
    try:
        show(url, "/health")
        show(url, "/recommend", {"history": history, "k": args.k, "explain": True})
        show(
            url,
            "/recommend",
            {"history": [*history, "no-such-item"], "k": 1, "exclude": history[:1]},
        )
        show(url, "/recommend", {"history": history, "k": 0})
        show(url, "/items?query=1&limit=2")
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    sys.exit(run_script(main))  # a mistake in the options or the data ends in one line
