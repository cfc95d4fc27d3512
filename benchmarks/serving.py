"""Loads the service with bounded clients over large synthetic catalogs: throughput and latency.

python -m benchmarks.serving --sizes 10000 100000 1000000 --clients 1 16 64 --seconds 10

One process serves with threads, another one asks over real connections that stay open, each client
one request after the other. Models and histories are those of benchmarks.recommend; before the
load the service's answers are compared with the Retriever's. A row an append: the load of the
machine at that time stands in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.about import about
from benchmarks.harness import RESULTS, positive, table
from benchmarks.recommend import MODELS, make_histories, make_model
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.showing import json_text

CHECKED = 16  # answers compared with the Retriever's
COLUMNS = ("model", "items", "clients", "requests", "errors", "per_s", "p50_ms", "p99_ms", "cpu_ms")


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=positive, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--model", choices=MODELS, default="MDSRec")
    parser.add_argument("--clients", type=positive, nargs="+", default=[1, 16, 64])
    parser.add_argument(
        "--seconds", type=positive, default=4, help="of load, each number of clients"
    )
    parser.add_argument("--threads", type=positive, default=2, help="of the service")
    parser.add_argument("-k", type=positive, default=10)
    parser.add_argument("--length", type=positive, default=20, help="mean number of history items")
    parser.add_argument("--channels", type=positive, default=64, help="a modality")
    parser.add_argument("--edges", type=positive, default=100, help="votes of an item and modality")
    parser.add_argument("--most-edges", type=positive, default=20_000_000, help="of a modality")
    parser.add_argument("--spread", type=float, default=0.5, help="deviation inside a cluster")
    parser.add_argument("--note", help="kept in the rows, such as what else ran")
    parser.add_argument("--short", action="store_true", help="small: only shows that it runs")
    parser.add_argument("--out", type=Path, default=RESULTS / "serving.jsonl", help="rows go there")
    args = parser.parse_args()
    if args.short:
        args.sizes, args.clients, args.seconds = [500], [1, 4], 1
        args.channels, args.edges = 8, 10
    return args


def serve(args: argparse.Namespace, num_items: int, pipe: Connection) -> None:
    """The process that serves: a retriever over an untrained model, behind the service's server."""
    import uvicorn

    from mdsrec_pyg.retrieval import Retriever
    from mdsrec_pyg.serving import ServiceConfig, create_app
    from mdsrec_pyg.serving.connections import Listening

    torch.manual_seed(0)
    torch.set_num_threads(1)
    ids = np.array([f"item {i}" for i in range(num_items)], dtype=object)
    retriever = Retriever(make_model(args.model, num_items, args), ids)
    histories = [ids[h].tolist() for h in make_histories(num_items, 1000, args.length)]
    alone, answers = [], []
    for history in histories[:CHECKED]:
        start = time.perf_counter()
        found = retriever.recommend([history], args.k, exclude_seen=True)
        alone.append(time.perf_counter() - start)
        answers.append((found["item"].tolist(), found["score"].tolist()))
    config = ServiceConfig(threads=args.threads, timeout=60.0)
    app = create_app(retriever, config)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    pipe.send((listener.getsockname()[1], histories, answers, statistics.median(alone)))
    uvicorn.Server(Listening(app, config, log_level="warning")).run([listener])


class Client:
    """One connection that stays open: a request, its answer, the next request."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body of an answer."""
        data = b"" if body is None else json.dumps(body, allow_nan=False).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self.writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        (size,) = (int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        return int(lines[0].split()[1]), await self.reader.readexactly(size)


async def check(port: int, histories: list[list[str]], answers: list[Any], k: int) -> None:
    """The service answers as the Retriever does.

    Raises:
        ValueError: It does not.
    """
    async with Client(port) as client:
        for history, (items, scores) in zip(histories, answers, strict=False):
            status, body = await client.ask("POST", "/recommend", {"history": history, "k": k})
            found = json.loads(body).get("items", [])
            same = [item["item"] for item in found] == items
            near = same and np.allclose([item["score"] for item in found], scores, atol=1e-5)
            if status != 200 or not near:
                raise ValueError(f"the service must answer as the Retriever (got {body[:200]!r})")


async def load(
    port: int, histories: list[list[str]], clients: int, args: argparse.Namespace
) -> dict[str, Any]:
    """So many clients ask for so many seconds: requests, errors, and how long each took."""
    seconds: list[float] = []
    errors = 0
    end = time.perf_counter() + args.seconds

    async def one(number: int) -> None:
        nonlocal errors
        async with Client(port) as client:
            place = number * 17
            while (start := time.perf_counter()) < end:
                body = {"history": histories[place % len(histories)], "k": args.k}
                status, _ = await client.ask("POST", "/recommend", body)
                seconds.append(time.perf_counter() - start)
                errors += status != 200
                place += 1

    start = time.perf_counter()
    await asyncio.gather(*map(one, range(clients)))
    took = time.perf_counter() - start
    p50, p99 = np.quantile(seconds, [0.5, 0.99]) * 1e3
    return {
        "clients": clients,
        "requests": len(seconds),
        "errors": errors,
        "per_s": round(len(seconds) / took, 1),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
    }


async def batch_sizes(port: int) -> tuple[float, float]:
    """Requests and batches that the service has counted."""
    async with Client(port) as client:
        _, body = await client.ask("GET", "/metrics")
    lines = dict(line.rsplit(" ", 1) for line in body.decode().splitlines() if line[0] != "#")
    return (
        float(lines["mdsrec_batch_requests_sum"]),
        float(lines["mdsrec_batch_requests_count"]),
    )


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, on all cores."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


async def measure(
    args: argparse.Namespace, pid: int, port: int, histories: list[list[str]], answers: list[Any]
) -> list[dict[str, Any]]:
    """A row for each number of clients."""
    await check(port, histories, answers, args.k)
    rows = []
    for clients in args.clients:
        before = await batch_sizes(port)
        busy, cpu = os.getloadavg()[0], cpu_seconds(pid)
        row = await load(port, histories, clients, args)
        # Unlike the others, not a figure of what else the machine had to do.
        row["cpu_ms"] = round((cpu_seconds(pid) - cpu) / row["requests"] * 1e3, 2)
        asked, batches = (b - a for a, b in zip(before, await batch_sizes(port), strict=True))
        rows.append({**row, "per_batch": round(asked / batches, 1), "load_before": round(busy, 1)})
    return rows


def run(args: argparse.Namespace, num_items: int) -> list[dict[str, Any]]:
    """Serves a catalog, loads it, and ends the service."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(args, num_items, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        port, histories, answers, alone = ours.recv()
        assert process.pid is not None
        rows = asyncio.run(measure(args, process.pid, port, histories, answers))
    except EOFError as error:
        raise ValueError(f"the service of {num_items:,} items did not start") from error
    finally:
        process.terminate()
        process.join()
    fixed = {"model": args.model, "items": num_items, "k": args.k, "threads": args.threads}
    more = {"seconds": args.seconds, "retriever_ms": round(alone * 1e3, 2)}
    return [{**fixed, **row, **more} for row in rows]


def main() -> None:
    """Measures every size and appends the rows."""
    args = parse()
    source = about(args.threads)
    for num_items in args.sizes:
        rows = run(args, num_items)
        print(table(rows, [*COLUMNS, "per_batch", "retriever_ms", "load_before"]), flush=True)
        note = {} if args.note is None else {"note": args.note}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with args.out.open("a", encoding="utf-8") as file:
            file.writelines(json_text({**row, **note, **source}) + "\n" for row in rows)


if __name__ == "__main__":
    sys.exit(run_script(main))
