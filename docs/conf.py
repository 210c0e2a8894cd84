"""The documentation site: Markdown, notebooks that are executed when it is built, and a reference from docstrings."""

from snellen import __version__

project = "snellen"
version = release = __version__
author = copyright = "the snellen developers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["images"]
html_theme = "furo"
html_title = f"snellen {__version__}"
html_show_sphinx = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
napoleon_google_docstring = True
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
maximum_signature_line_length = 80
add_module_names = False
default_role = "code"


def inside(_app, _docname, source):
    """The policy of the repository's root is a page of its own here."""
    source[0] = source[0].replace("](../SECURITY.md)", "](security.md)")


def plain(_app, _what, _name, _object, _options, lines):
    """Docstrings are plain text with code in backticks: stars and bars mean themselves."""
    lines[:] = [line.replace("*", r"\*").replace("|", r"\|") for line in lines]


def setup(app):
    app.connect("source-read", inside)
    app.connect("autodoc-process-docstring", plain)
