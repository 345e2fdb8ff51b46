"""Dead files, and headers that do not stand alone."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tidylib.source import Finding, Source

# Built only by clang, in the preset fuzz.
_OTHER_BUILDS = ("tests/fuzz/",)
_FLAGS = ("-std=c++20", "-fsyntax-only", "-DBOOST_ASIO_NO_DEPRECATED", "-DCAIRN_DCHECKS", "-Wall",
          "-Wextra", "-Wno-unused", "-Wno-pragma-once-outside-header")


def _resolve(source: Source, name: str, paths: Iterable[str]) -> str | None:
    """The file of the tree that a quoted include means: from the root, its folder, or tests/."""
    for candidate in (name, f"{source.folder}/{name}", f"tests/{name}"):
        if candidate in paths:
            return candidate
    return None


def check_dead(sources: list[Source], build: Path | None, root: Path) -> Iterable[Finding]:
    """Each .cc is compiled by some target, each .h included by somebody."""
    cpp = {source.path: source for source in sources if source.is_cpp}
    included = {_resolve(source, include.name, cpp)
                for source in cpp.values() for include in source.includes if include.quoted}
    for path in sorted(cpp):
        if path.endswith(".h") and path not in included:
            yield Finding(path, 0, "dead-file", "no file includes it")
    database = build / "compile_commands.json" if build else None
    if database is None or not database.exists():
        return
    compiled = {str(Path(entry["file"])) for entry in json.loads(database.read_text())}
    for path in sorted(cpp):
        if path.endswith(".cc") and not path.startswith(_OTHER_BUILDS) \
                and str(root / path) not in compiled:
            yield Finding(path, 0, "dead-file", "no target compiles it")


def _closure(source: Source, cpp: dict[str, Source]) -> list[str]:
    """The header and all of ours that it reaches, in a fixed order."""
    reached, todo = set(), [source.path]
    while todo:
        path = todo.pop()
        if path in reached:
            continue
        reached.add(path)
        for include in cpp[path].includes:
            target = _resolve(cpp[path], include.name, cpp) if include.quoted else None
            if target:
                todo.append(target)
    return sorted(reached)


def lone_headers(sources: list[Source]) -> list[Source]:
    """Headers that the build does not already prove alone: those no .cc includes first."""
    paths = {source.path for source in sources}
    first = {_resolve(source, source.includes[0].name, paths) for source in sources
             if source.path.endswith(".cc") and source.includes and source.includes[0].quoted}
    return [source for source in sources if source.is_header and source.path not in first]


def check_headers(sources: list[Source], root: Path, build: Path, jobs: int) -> Iterable[Finding]:
    """Compiles each lone header by itself; a header that passed is remembered by its contents."""
    cpp = {source.path: source for source in sources if source.is_cpp}
    compiler = "g++"
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    cache_file = build / "tidy_headers.json"
    passed = set(json.loads(cache_file.read_text())) if cache_file.exists() else set()

    def digest(source: Source) -> str:
        parts = [version.stdout, " ".join(_FLAGS)]
        parts += [f"{path}\n{cpp[path].text}" for path in _closure(source, cpp)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def compile_alone(source: Source) -> tuple[str, Finding | None]:
        key = digest(source)
        if key in passed:
            return key, None
        command = [compiler, *_FLAGS, f"-I{root}", f"-I{root}/tests",
                   "-isystem", str(build / "proto" / "gen"), "-x", "c++", str(root / source.path)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return key, None
        errors = [line for line in result.stderr.splitlines() if "error" in line] or ["?"]
        return "", source.finding(0, "header-alone", errors[0])

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(compile_alone, lone_headers(sources)))
    cache_file.write_text(json.dumps(sorted({key for key, _ in results if key})))
    yield from (finding for _, finding in results if finding)
