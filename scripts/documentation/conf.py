"""Sphinx' settings. The site needs no network: formulas are MathML, fonts the reader's own."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "atml_exp"
author = "the authors of atml_exp"
project_copyright = author
release = metadata.version("atml_exp")
language = "en_GB"

extensions = ["myst_nb", "sphinx_design", "formulas", "roles"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are stored executed; tests execute them
nb_merge_streams = True
html_math_renderer = "mathml"
suppress_warnings = ["ref.python"]  # a type in a signature that two modules define

nitpicky = True
nitpick_ignore_regex = [("py:class", ".*")]  # types in signatures, most of which other packages document
add_module_names = False
python_maximum_signature_line_length = 90
python_use_unqualified_type_names = True
exclude_patterns = ["**/.ipynb_checkpoints"]

html_theme = "furo"
html_title = "atml_exp"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
linkcheck_timeout = 20
linkcheck_anchors = False
