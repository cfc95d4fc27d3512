"""The house: which folder may import from which, no circle, no file that grows without end."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mdsrec_pyg"

#: From the ground up: a folder imports from those before it only. Modules of the root that hold no
#: folder's work (configs, memory, seed, showing, version) are the ground.
FLOORS = (
    "ground",
    "io",
    "data",
    "datasets",
    "encoders",
    "graphs",
    "inspection",
    "export",
    "nn",
    "evaluation",
    "training",
    "retrieval",
    "serving",
    "testing",
    "cli",
)
#: Folders that must not know each other, though one stands below the other.
APART = {("graphs", "datasets"), ("nn", "datasets"), ("nn", "encoders"), ("nn", "inspection")}
GROUND = {"configs", "memory", "seed", "showing", "version"}
MOST_LINES = 300


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(name: str) -> set[str]:
    """Modules of the library that a module names in an import anywhere, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative imports hide which folder is meant"
            module = node.module or ""
            parts = {f"{module}.{alias.name}" for alias in node.names}
            found |= {part if part in MODULES else module for part in parts}
    return {module for module in found if module in MODULES and module != name}


def floor_of(module: str) -> str | None:
    """The folder of a module; ``None`` for the entrances, which import from everywhere."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] == "__main__":
        return None
    return "ground" if parts[1] in GROUND else parts[1]


@pytest.mark.parametrize("name", MODULES)
def test_a_folder_imports_from_below_only(name: str) -> None:
    own = floor_of(name)
    if own is None:
        return
    assert own in FLOORS, f"{name}: a new folder needs its place in FLOORS"
    for module in imports(name):
        other = floor_of(module)
        assert other is not None, f"{name} imports {module}, the entrance of all"
        assert FLOORS.index(other) <= FLOORS.index(own), f"{name} imports {module} from above"
        assert (own, other) not in APART, f"{name} imports {module}"


def test_no_import_circle() -> None:
    graph = {name: imports(name) for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise AssertionError("circle: " + " -> ".join([*path[path.index(name) :], name]))
        if name not in done:
            for module in sorted(graph[name]):
                visit(module, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_files_stay_short() -> None:
    folders = ("mdsrec_pyg", "benchmarks", "docs", "examples", "scripts", "tests")
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines"


def test_functions_stay_short() -> None:
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.body:
                first = node.body[0]
                documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                start = first.end_lineno if documented and len(node.body) > 1 else first.lineno - 1
                assert (node.end_lineno or 0) - (start or 0) <= 50, f"{name}.{node.name}"


def test_the_root_holds_entrances_and_ground_only() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    assert modules <= {"__init__", "__main__", *GROUND}
    assert len(modules) <= 7
