"""Progress in a Jupyter notebook: one bar that is redrawn in place, without widgets."""

import sys
from html import escape
from typing import Any

__all__ = ["NotebookBar", "in_jupyter"]


def in_jupyter() -> bool:
    """Whether a Jupyter kernel runs this code. Imports nothing: where there is a kernel, IPython has been."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A `<progress>` element with a line of text, as one output of the cell; without HTML, the text alone.

    total: what `done` counts up to.
    """

    def __init__(self, description: str, total: int) -> None:
        self._description, self._total = description, max(total, 1)
        self._handle: Any = None

    def draw(self, done: int, text: str) -> None:
        """Shows the bar at first, and replaces it from then on."""
        from IPython.display import DisplayHandle

        shown = " · ".join(text.strip().splitlines())
        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(self._bundle(done, shown), raw=True)
        else:
            self._handle.update(self._bundle(done, shown), raw=True)

    def stop(self) -> None:
        """Leaves the bar as it was drawn last."""

    def _bundle(self, done: int, text: str) -> dict[str, str]:
        bar = f'<progress value="{min(done, self._total)}" max="{self._total}" style="width:14em"></progress>'
        words = f'<span style="font-family:monospace;white-space:pre">{escape(text)}</span>'
        return {
            "text/html": f"{escape(self._description)} {bar} {words}",
            "text/plain": f"{self._description}  {text}",
        }
