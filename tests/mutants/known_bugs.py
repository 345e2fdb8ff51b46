#!/usr/bin/env python3
"""Makes docs/known_bugs.md from registry.py.

Usage: known_bugs.py [--write]   (without it the text goes to standard output)
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from registry import API_MUTANTS, MUTANTS, OPEN, REFERENCES  # noqa: E402

PATH = Path(__file__).resolve().parents[2] / "docs/known_bugs.md"

_HEAD = """\
# Known bugs

Faults that real replicated stores had, planted in cairn to test its tests. Each stands in the
shipped code where cairn does the same thing, behind `CAIRN_MUTANT(name)` (base/mutant.h): the
constant false in every shipped program, and a switch in programs that only tests build. The tests
`museum_test` switch on one after the other and fail when what is named here does not find it.

`CAIRN_MUTANT=<mutant> build/dev/tests/mutants/cairn_sim_mutants --seed <n>` shows one by itself;
the other programs of that folder (target `mutant_programs`) know theirs alike.

This file is made by `tests/mutants/known_bugs.py --write` from tests/mutants/registry.py, and a
test holds it to that. The rows' numbers are those of the list of bug classes at the end.

## Consensus, log, state machine, replica

*Seeds*: the most that the search may take; 1 where one run of a test decides.

| row | mutant | fault | found by | seeds |
|---|---|---|---|---:|
"""
_OPEN = """
## Open

Planted, and no finder is named yet: `museum.py --explore` tries the programs on them. Where none
finds one, that is a hole in the tests.

| row | mutant | fault |
|---|---|---|
"""
_API = """
## The API

Found by the differential suite (tests/diff), which asks `cairnd_mutants` and a real etcd the same
requests until an answer differs: seeded random steps first, then the scripted cases.

| mutant | fault |
|---|---|
"""


def text() -> str:
    """The whole file."""
    rows = "".join(f"| {one.reference} | `{one.name}` | {one.fault} | {one.finder()} "
                   f"| {one.seeds} |\n" for one in MUTANTS)
    still = _OPEN + "".join(f"| {one.reference} | `{one.name}` | {one.fault} |\n" for one in OPEN)
    api = "".join(f"| `{name}` | {fault} |\n" for name, fault in API_MUTANTS.items())
    references = "\n## The bug classes\n\n| row | seen in |\n|---:|---|\n" + "".join(
        f"| {row} | {seen} |\n" for row, seen in REFERENCES.items())
    return _HEAD + rows + (still if OPEN else "") + _API + api + references


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PATH.write_text(text(), encoding="utf-8")
    else:
        sys.stdout.write(text())
