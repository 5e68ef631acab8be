"""Builds the documentation: python scripts/documentation/build_documentation.py [FOLDER] [--figures FOLDER]

The pages written by hand (beside this file) and those made from docstrings, configs and figures are put together in
a folder for the time of the build, and Sphinx makes a site of them; a warning is an error. The site takes the place
of the one that was there only when it is complete.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MARK = ".buildinfo"
"""Which Sphinx leaves in a site: a folder without it isn't ours to replace."""


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, 1 where a page is faulty, 2 where the folder isn't ours."""
    options = _options(arguments)
    target = options.folder.resolve()
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / MARK).exists())):
        print(f"{options.folder} holds something else than this site: name another folder", file=sys.stderr)
        return 2
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".documentation-") as work:
        sources, site = Path(work) / "scripts" / "documentation", Path(work) / "site"
        assemble(sources, options.figures)
        if build(options.builder, sources, site, Path(work) / "doctrees"):
            return 1
        if options.builder == "html":
            shutil.rmtree(target, ignore_errors=True)
            site.rename(target)
            print(target / "index.html")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="docs", description="Builds the documentation as a folder of HTML pages.")
    outputs = Path("outputs")
    parser.add_argument("folder", nargs="?", type=Path, default=outputs / "documentation", help="where it goes")
    parser.add_argument("--figures", type=Path, default=outputs / "figures", help="the figures that are shown")
    parser.add_argument(
        "--builder", choices=("html", "linkcheck"), default="html", help="linkcheck: looks up links to elsewhere"
    )
    return parser.parse_args(arguments)


def assemble(sources: Path, figures: Path) -> None:
    """Puts all sources into a new folder, beside the code as here, which pages include."""
    sys.path.insert(0, str(HERE))
    from library import Library
    from pages import write_pages

    ignored = shutil.ignore_patterns("*.py", "__pycache__", ".ipynb_checkpoints")
    shutil.copytree(HERE, sources, ignore=ignored)
    for name in ("atml_exp", "configs", "tests"):
        (sources.parent.parent / name).symlink_to(ROOT / name, target_is_directory=True)
    shutil.copytree(ROOT / ".github", sources / "pictures", ignore=shutil.ignore_patterns("[!rf]*"))
    write_pages(Library(ROOT), figures, sources)


def build(builder: str, sources: Path, site: Path, doctrees: Path) -> int:
    """Runs Sphinx: warnings, broken references among them, are errors."""
    from sphinx.cmd.build import build_main

    strict = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
    folders = ["-c", str(HERE), "-d", str(doctrees), str(sources), str(site)]
    return build_main(["-b", builder, "-j", "2", *strict, *folders])


if __name__ == "__main__":
    sys.exit(main())
