"""Executes tutorials and stores their outputs, without times, progress bars or counters that differ each time."""

import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

TUTORIALS = Path(__file__).parent / "tutorials"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def execute(notebook: Any, folder: str) -> Any:
    """The notebook with fresh outputs, of a kernel of this interpreter that works in a folder."""
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", record_timing=False, resources={"metadata": {"path": folder}}
    )
    client.execute()
    return tidied(notebook)


def tidied(notebook: Any) -> Any:
    """Without what differs from one execution to the next."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number:02d}", nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_progress(output)]
    return notebook


def is_progress(output: Any) -> bool:
    """Whether an output is the bar of a training."""
    return "<progress " in output.get("data", {}).get("text/html", "")


def main(names: list[str]) -> int:
    """Executes those whose names begin so, or all; 1 where there is none."""
    paths = [p for p in sorted(TUTORIALS.glob("*.ipynb")) if not names or p.name.startswith(tuple(names))]
    for path in paths:
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(nbformat.read(path, 4), folder)
        nbformat.write(notebook, path)
        seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        print(f"{path.name}: {seconds:.0f} s of processor, {path.stat().st_size // 1024} KB")
    return int(not paths)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
