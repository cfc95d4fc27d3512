"""References to where a name is written lead to the page of where it is imported from.

A class is documented as ``mdsrec_pyg.nn.MDSRec``. Annotations and docstrings also call it
``mdsrec_pyg.nn.models.mdsrec.MDSRec``, ``mdsrec_pyg.MDSRec``, or only ``MDSRec`` in its own file.
A name that exists without being public is shown, not linked; one that does not exist is left to
Sphinx, which fails the build.
"""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import suppress
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import mdsrec_pyg

ROOT = mdsrec_pyg.__name__


def public_names() -> tuple[dict[str, str], set[str]]:
    """Names that lead to a page, each with the name of the page; and all names that exist."""
    public: dict[str, str] = {}
    existing: set[str] = set()
    found = list(pkgutil.walk_packages(mdsrec_pyg.__path__, f"{ROOT}."))
    folders = sorted((info.name for info in found if info.ispkg), key=lambda name: name.count("."))
    for module in [*folders, ROOT]:
        members = importlib.import_module(module)
        for name in getattr(members, "__all__", ()):
            written = getattr(getattr(members, name), "__module__", None)
            if isinstance(written, str) and written.startswith(ROOT):
                page = public.setdefault(f"{written}.{name}", f"{module}.{name}")
                public[f"{module}.{name}"] = public[f"{ROOT}.{name}"] = page
    for info in found:
        if info.ispkg or info.name.endswith("__main__"):
            continue
        with suppress(ModuleNotFoundError):  # kernels of a GPU need triton
            for name in vars(importlib.import_module(info.name)):
                existing |= {name, f"{info.name}.{name}"}
    return public, existing


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """A reference that Sphinx did not find, under the name of its page."""
    if node.get("refdomain") != "py":
        return None
    public, existing = app.config["public_names"]
    target = node["reftarget"]
    for candidate in (target, f"{node.get('py:module')}.{target}", f"{ROOT}.{target}"):
        head, rest = candidate, ""
        while head and head not in public:  # a method is found by its class
            head, _, last = head.rpartition(".")
            rest = f".{last}{rest}"
        if head:
            domain = env.get_domain("py")
            link: Any = domain.resolve_xref(
                env, node["refdoc"], app.builder, "obj", public[head] + rest, node, content
            )
            if link is not None:
                return link
    return content if target in existing else None


def fill(app: Sphinx) -> None:
    """Imports every module once."""
    app.config["public_names"] = public_names()


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the search for names."""
    app.add_config_value("public_names", None, "")
    app.connect("builder-inited", fill)
    app.connect("missing-reference", resolve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
