"""The slow look at a file of JSON lines that Arrow could not read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def explain_jsonl(path: Path, names: Sequence[str], failure: Exception | None) -> str:
    """Which line Arrow could not read, and why."""
    allowed: dict[str, tuple[type, ...]] = {"item": (int,), "raw_id": (str, int)}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                record = json.loads(line.decode())
            except UnicodeDecodeError as error:
                return f"{where}: expected UTF-8 text ({error})"
            except json.JSONDecodeError as error:
                return f"{where}: expected a JSON object, got text that is not JSON ({error})"
            if not isinstance(record, dict):
                return f"{where}: expected a JSON object, got {line.decode().strip()[:80]}"
            for name in names:
                types, value = allowed.get(name, (str,)), record.get(name)
                if value is None:
                    continue
                if isinstance(value, bool) or not isinstance(value, types):
                    kinds = " or ".join({int: "an integer", str: "a string"}[t] for t in types)
                    return f"{where}, column '{name}': expected {kinds}, got {value!r}"
                if name == "raw_id":
                    allowed[name] = (type(value),)
    return f"{path}: {failure}"
