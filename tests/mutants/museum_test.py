#!/usr/bin/env python3
"""The museum's own rules: one list, nothing of it shipped, and failures are reported.

Usage: museum_test.py SOURCE_DIR CAIRND CAIRND_MUTANTS NAME=PATH   (a program of mutants)
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import unittest
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import known_bugs  # noqa: E402
import museum  # noqa: E402
from registry import API_MUTANTS, MUTANTS, OPEN, REFERENCES, Mutant  # noqa: E402

_PLANT = re.compile(r"CAIRN_MUTANT\((\w+)\)")
PLACES_MAX = 2  # a fault is a line or two
SOURCE, CAIRND, CAIRND_MUTANTS, PROGRAM = (Path(), Path(), Path(), "")


def planted() -> Counter[str]:
    """Names in the shipped code, with how many places each has."""
    return Counter(name for folder in ("base", "raft", "storage", "server")
                   for path in (SOURCE / folder).rglob("*.cc")
                   for name in _PLANT.findall(path.read_text(encoding="utf-8")))


class Registry(unittest.TestCase):
    def test_is_what_the_code_has(self) -> None:
        names = [mutant.name for mutant in (*MUTANTS, *OPEN)] + list(API_MUTANTS)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(set(planted()), set(names))
        self.assertEqual([name for name, count in planted().items() if count > PLACES_MAX], [])

    def test_rows_have_references(self) -> None:
        rows = {int(row) for mutant in (*MUTANTS, *OPEN) for row in mutant.reference.split(", ")}
        self.assertEqual(rows, set(REFERENCES))

    def test_document_is_fresh(self) -> None:
        self.assertEqual(known_bugs.PATH.read_text(encoding="utf-8"), known_bugs.text(),
                         "run tests/mutants/known_bugs.py --write")


class Shipped(unittest.TestCase):
    def test_has_nothing_of_mutants(self) -> None:
        words = [b"MutantSite", b"mutant reached", *(name.encode() for name in planted())]
        shipped, other = CAIRND.read_bytes(), CAIRND_MUTANTS.read_bytes()
        self.assertEqual([word for word in words if word in shipped], [])
        for word in (b"MutantSite", b"mutant reached", *(name.encode() for name in API_MUTANTS)):
            self.assertIn(word, other)


class Failures(unittest.TestCase):
    """Canaries: what the museum must not take for found."""

    def report(self, name: str) -> str:
        program, path = PROGRAM.split("=", 1)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            missed = museum.check_all([Mutant(name, "", "", program, seeds=1)], {program: path})
        self.assertEqual(missed, 1)
        return printed.getvalue()

    def test_not_found(self) -> None:
        self.assertIn("MISSED: not found", self.report("canary_harmless"))

    def test_never_reached(self) -> None:
        self.assertIn("MISSED: never reached", self.report("canary_unreached"))

    def test_unknown(self) -> None:
        self.assertIn("MISSED: unknown to", self.report("no_such_mutant"))


if __name__ == "__main__":
    SOURCE, CAIRND, CAIRND_MUTANTS = map(Path, sys.argv[1:4])
    PROGRAM = sys.argv[4]
    unittest.main(argv=sys.argv[:1])
