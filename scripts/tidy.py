#!/usr/bin/env python3
"""Holds the tree to the house rules: layers, bans, sizes, dead files, headers that stand alone.

Usage: scripts/tidy.py [--build build/dev] [--headers] [--update-ratchet] [path...]

Prints one line for each broken rule and exits with 1 if there is any. The sizes in
scripts/tidy_ratchet.json are what is still over a limit; they may only shrink.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tidylib import bans, layers, reach, sizes  # noqa: E402
from tidylib.source import Finding, Source  # noqa: E402

RATCHET = "scripts/tidy_ratchet.json"
_TEXT = (".cc", ".h", ".py", ".sh", ".cmake", ".md", ".txt", ".json", ".proto", ".yml", ".yaml")


def list_files(root: Path) -> list[str]:
    """What git tracks or would add; without git, everything but build folders."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == 0 and result.stdout:
        names = result.stdout.splitlines()
    else:
        names = [str(path.relative_to(root)) for path in root.rglob("*")
                 if path.is_file() and not {".git", "build"} & set(path.relative_to(root).parts)]
    return sorted(name for name in set(names) if (root / name).is_file())


def is_text(root: Path, name: str) -> bool:
    """Files by suffix, and scripts by their first line."""
    if name.endswith(_TEXT):
        return True
    if "." in name.rpartition("/")[2]:
        return False
    with (root / name).open("rb") as file:
        return file.read(2) == b"#!"


def check_file(source: Source) -> Iterable[Finding]:
    """Every rule that looks at one file."""
    yield from bans.check_words(source)
    yield from sizes.check_lines(source)
    if source.is_cpp:
        yield from layers.check_layers(source)
        yield from layers.check_include_order(source)
        yield from bans.check_bans(source)
        yield from bans.check_macros(source)
        yield from bans.check_coroutines(source)
        yield from sizes.check_braces(source)
        yield from sizes.check_header_form(source)


def measured(sources: Iterable[Source]) -> dict[str, tuple[str, int, int, int]]:
    """What is over its limit: name -> (path, line, size, limit)."""
    over: dict[str, tuple[str, int, int, int]] = {}
    for source in sources:
        for name, line, size, limit in sizes.measure(source):
            if size > limit and size > over.get(name, ("", 0, 0, 0))[2]:
                over[name] = (source.path, line, size, limit)
    return over


def check_ratchet(over: dict[str, tuple[str, int, int, int]],
                  ratchet: dict[str, int]) -> Iterable[Finding]:
    """Nothing is over its limit but what the ratchet holds, and the ratchet holds no slack."""
    for name, (path, line, size, limit) in over.items():
        allowed = max(limit, ratchet.get(name, 0))
        if size > allowed:
            yield Finding(path, line, "size", f"{name}: {size}, {allowed} allowed")
    for name, held in ratchet.items():
        size = over.get(name, ("", 0, 0, 0))[2]
        if size < held:
            yield Finding(RATCHET, 0, "ratchet",
                          f"{name} holds {held} but is {size or 'within its limit'}: "
                          "run scripts/tidy.py --update-ratchet")


def check_ratchet_shrinks(root: Path, ratchet: dict[str, int]) -> Iterable[Finding]:
    """Against the last commit: no new entry, no higher number."""
    command = ["git", "-C", str(root), "show", f"HEAD:{RATCHET}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        return
    before = json.loads(result.stdout)
    for name, held in ratchet.items():
        if held > before.get(name, 0):
            yield Finding(RATCHET, 0, "ratchet",
                          f"{name}: {before.get(name, 0)} may not grow to {held}")


def run(root: Path, options: argparse.Namespace) -> list[Finding]:
    """All findings, sorted; with --update-ratchet the file is lowered first."""
    sources = [Source.load(root, name) for name in list_files(root) if is_text(root, name)]
    build = Path(options.build).resolve() if options.build else None
    if options.headers:
        if build is None or not build.is_dir():
            raise SystemExit("tidy: --headers needs --build with a configured build folder")
        return sorted(reach.check_headers(sources, root, build, options.jobs))
    ratchet_file = root / RATCHET
    ratchet = json.loads(ratchet_file.read_text()) if ratchet_file.exists() else {}
    over = measured(sources)
    if options.update_ratchet:
        ratchet = {name: min(held, over[name][2]) for name, held in ratchet.items() if name in over}
        ratchet_file.write_text(json.dumps(ratchet, indent=2, sort_keys=True) + "\n")
    findings = [finding for source in sources for finding in check_file(source)]
    findings += layers.check_single_users(sources)
    findings += check_ratchet(over, ratchet)
    findings += check_ratchet_shrinks(root, ratchet)
    findings += reach.check_dead(sources, build, root)
    return sorted(findings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", default=Path(__file__).resolve().parent.parent, type=Path)
    parser.add_argument("--build", help="a configured build folder, for dead files and --headers")
    parser.add_argument("--headers", action="store_true", help="compile each header alone")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--update-ratchet", action="store_true", help="lower what has shrunk")
    parser.add_argument("paths", nargs="*", help="show only findings under these paths")
    options = parser.parse_args()
    findings = run(options.root.resolve(), options)
    if options.paths:
        prefixes = tuple(path.rstrip("/") for path in options.paths)
        findings = [finding for finding in findings
                    if any(finding.path == prefix or finding.path.startswith(prefix + "/")
                           for prefix in prefixes)]
    for finding in findings:
        print(finding)
    if findings:
        print(f"tidy: {len(findings)} broken rules", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
