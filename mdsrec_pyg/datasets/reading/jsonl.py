"""JSON lines: read by Arrow, and what it cannot say about them or must not see."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json

# Where it cannot be part of an object.
BARE_NULL = re.compile(rb"\}\s*null")


def safe_for_arrow(data: bytes) -> bool:
    """False if a ``null`` may stand where an object belongs: Arrow's reader dies of it.

    Up to version 26 at least: ``pyarrow.json.read_json`` of a line ``null`` is a segmentation
    fault, no exception. The text ``}null`` within a string says False, too; such data go the slow
    way.
    """
    return data.lstrip().startswith(b"{") and BARE_NULL.search(data) is None


def explain_jsonl(path: Path, names: Sequence[str]) -> str | None:
    """Which line Arrow could not read, and why; ``None`` if all are as they should be."""
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
    return None


def fields_of_jsonl(path: Path, lines: int = 100) -> list[str]:
    """Names that stand in the first objects of a file, in the order of their first one."""
    found: dict[str, None] = {}
    with path.open("rb") as stream:
        for line, _ in zip(stream, range(lines), strict=False):
            try:
                found |= dict.fromkeys(json.loads(line))
            except (ValueError, TypeError):  # said by those who read the values
                continue
    return list(found)


def read_jsonl(path: Path, names: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Columns of an items file, in pieces, and the names that stand in its first lines."""
    failure: Exception | None = None
    if not safe_for_arrow(path.read_bytes()) and (problem := explain_jsonl(path, names)):
        raise ValueError(problem)
    for raw_id in (pa.string(), pa.int64()):
        types = {"item": pa.int64(), "raw_id": raw_id}
        schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
        options = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        try:
            table = pa.json.read_json(path, parse_options=options)
        except pa.ArrowInvalid as error:
            failure = error
        else:
            return {name: table[name] for name in names}, fields_of_jsonl(path)
    raise ValueError(explain_jsonl(path, names) or f"{path}: {failure}") from failure
