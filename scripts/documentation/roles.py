"""Roles that link to the pages of concepts: {probe}`sharpness, spectrum`, {figure}`edge_of_stability`, ..."""

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from atml_exp.commands.catalogue import KINDS

__all__ = ["GROUPS", "setup"]

GROUPS = {group.rpartition("/")[2]: group for group in KINDS.values()}
"""The config group that each role links into."""


class ConceptRole(SphinxRole):
    """Names with commas between them; one that has no page is a warning, which fails the build."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        made: list[nodes.Node] = []
        for name in self.text.split(","):
            made += [nodes.Text(", ")] if made else []
            made.append(self._link(name.strip()))
        return made, []

    def _link(self, name: str) -> nodes.Node:
        named = self.folder != "/tutorials"  # those go by their titles
        options = {"refdomain": "std", "reftype": "doc", "refexplicit": named, "refwarn": True}
        link = addnodes.pending_xref("", reftarget=f"{self.folder}/{name}", **options)
        link["refdoc"] = self.env.current_document.docname
        self.set_source_info(link)
        link += nodes.literal(name, name, classes=["xref"])
        return link


def setup(app: Sphinx) -> dict[str, bool]:
    for role, group in GROUPS.items():
        app.add_role(role, ConceptRole(f"/concepts/{group}"))
    app.add_role("tutorial", ConceptRole("/tutorials"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
