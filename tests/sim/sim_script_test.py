"""scripts/sim tells by its exit status what became of its seeds, and how to see a failure again.

Usage: sim_script_test.py CAIRN_SIM
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import io
import sys
import tempfile
import unittest
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = Path()
FIRST = 500
LINE = "seed {} trace 00 events {} ops 9 done 600 faults 9 kinds 5 entries 9 virtual ms 9"


def load() -> ModuleType:
    """The script, which has no suffix."""
    loader = importlib.machinery.SourceFileLoader("sim_script", str(ROOT / "scripts/sim"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # its dataclasses look themselves up
    loader.exec_module(module)
    return module


class Script(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.script = load()
        self.script.ROOT = self.folder
        self.script.POLL_SECONDS = 0.01

    def run_with(self, body: str) -> tuple[int, str]:
        """Status and output of one block of seeds, by a program in place of cairn_sim."""
        program = self.folder / "program"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = self.script.run(program, self.folder / "named", FIRST, 0.0001, 1)
        return status, out.getvalue()

    def lines(self, count: int, events: int = 40_000) -> str:
        return "\n".join(f"echo '{LINE.format(FIRST + at, events)}'" for at in range(count))

    def test_nothing_failed(self) -> None:
        status, output = self.run_with(self.lines(10))
        self.assertEqual(status, 0, output)
        self.assertIn("| no failure |", output)

    def test_runs_too_small(self) -> None:
        status, output = self.run_with(self.lines(10, events=10))
        self.assertEqual(status, 1, output)
        self.assertIn("FAILED: the median seed has fewer than", output)

    def test_a_failure_of_the_real_program(self) -> None:
        status, output = self.run_with(f'exec {PROGRAM} "$@" --events 5000 --sabotage skip-apply')
        self.assertEqual(status, 1, output)
        self.assertRegex(output, r"FAILED seed 50\d: ")
        self.assertRegex(output, r"again: \S+/named --seed 50\d --shrink --events 5000 "
                                 r"--sabotage skip-apply\n$")

    def test_a_crash(self) -> None:
        last = "echo 'FAILED seed 502: assertion'"
        status, output = self.run_with(f"{self.lines(2)}\n{last}\nexit 134")
        self.assertEqual(status, 1, output)
        self.assertRegex(output, r"again: \S+/named --seed 502\n$")

    def test_a_death_without_a_word(self) -> None:
        status, output = self.run_with("exit 139")
        self.assertEqual(status, 1, output)
        self.assertIn("--seeds 500..509 ", output)

    def test_a_seed_without_an_end(self) -> None:
        self.script.STALL_SECONDS = 0.3
        status, output = self.run_with(f"{self.lines(3)}\nexec sleep 60")
        self.assertEqual(status, 1, output)
        self.assertIn("FAILED seed 503: no end within 0.3 s, of seeds 500..509\n", output)
        self.assertRegex(output, r"again: \S+/named --seed 503\n$")


if __name__ == "__main__":
    PROGRAM = Path(sys.argv.pop())
    unittest.main()
