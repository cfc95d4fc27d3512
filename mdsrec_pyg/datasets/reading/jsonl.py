"""What Arrow cannot say about JSON lines, or must not see."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

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
