"""Settings of the documentation: ``make docs``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # extensions of our own: mathml and others

from mdsrec_pyg import __version__

project = "mdsrec_pyg"
author = "mdsrec_pyg contributors"
release = version = __version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_copybutton",
    "docstrings",
    "mathml",
    "public_names",
    "root_pages",
]
# They stand in pages that include them.
exclude_patterns = ["attacks_table.md", "layers_table.md"]
templates_path = ["_templates"]
nitpicky = True  # a reference to a name that has moved fails the build
nitpick_ignore_regex = [
    # Of other libraries: their inventories would have to be downloaded.
    (
        "py:.*",
        r"(torch|torch_geometric|numpy|np|pandas|pd|scipy|sp|sklearn|PIL|httpx|os|torch_sparse|datetime|Path)\b.*",
    ),
    ("py:.*", r"(list|dict)\[.*"),  # annotations that Sphinx cuts in two
    ("py:.*", r"(collections|pathlib|typing|types|dataclasses|contextlib)\..*"),
]

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 90
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Shapes"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "mdsrec_pyg"
html_static_path = ["_static"]
html_css_files = ["mdsrec.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_math_renderer = "mathml"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
