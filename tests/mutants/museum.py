#!/usr/bin/env python3
"""The bug museum: runs what must find each planted fault, with the fault switched on.

Usage: museum.py [--only NAME...] [--explore] --program NAME=PATH...

Prints a row for each mutant of registry.py: which finder, and the seeds it took. Fails when one is
not found within its seeds, when its place was never reached, when a program does not have it, or
when a finder fails without a mutant.
--explore tries every program on each mutant, the open ones too, and prints all that find it, for
whoever adds a row.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from registry import MUTANTS, OPEN, Mutant  # noqa: E402

UNKNOWN_MUTANT = 70  # tests/mutants/switch.h
TIME_LIMIT_S = 240
_SEED = re.compile(r"FAILED seed (\d+)|CAIRN_SEED=(\d+)")
_FAILED_TEST = re.compile(r"^-{10,}\n(?P<name>.+(?:\n(?! *-{10,}).+)*)\n-{10,}$", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    """What became of one run of a finder over a mutant."""

    found: bool
    note: str  # the seed that found it, or why it was not found
    output: str = ""
    seconds: float = 0


def command_of(program: str, path: str, test: str, seeds: int) -> tuple[list[str], dict[str, str]]:
    """How a program is made to look for a fault in `seeds` seeds."""
    if program == "cairn_sim":
        return [path, "--seeds", f"1..{seeds}"], {}
    # As a name of a test, whatever it holds; a fatal signal is reported with the seed.
    return [path, test.replace(",", "\\,")] if test else [path], {"CAIRN_SEEDS": str(seeds)}


def run(name: str, path: str, command: tuple[list[str], dict[str, str]]) -> Verdict:
    """Found is a failure of a program in which the mutant was reached."""
    arguments, more = command
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CAIRN_")}
    environment |= more | {"CAIRN_MUTANT": name}
    begun = time.monotonic()
    try:
        done = subprocess.run(arguments, env=environment, timeout=TIME_LIMIT_S, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              encoding="utf-8", errors="replace")
    except subprocess.TimeoutExpired:
        return Verdict(False, "no end in time", seconds=time.monotonic() - begun)
    seconds = time.monotonic() - begun
    if done.returncode == UNKNOWN_MUTANT and "no such mutant" in done.stdout:
        return Verdict(False, f"unknown to {Path(path).name}", done.stdout, seconds)
    if name and f"mutant reached: {name}" not in done.stdout:
        return Verdict(False, "never reached", done.stdout, seconds)
    if done.returncode == 0:
        return Verdict(False, "not found", done.stdout, seconds)
    seed = _SEED.search(done.stdout)
    return Verdict(True, next(filter(None, seed.groups())) if seed else "", done.stdout, seconds)


def check(mutant: Mutant, programs: dict[str, str]) -> Verdict:
    """Runs the finder that the registry names."""
    path = programs[mutant.program]
    verdict = run(mutant.name, path,
                  command_of(mutant.program, path, mutant.test, mutant.seeds))
    if verdict.found and mutant.seeds > 1 and not verdict.note:
        # The search as a whole failed, by what it demands of its seeds together.
        return Verdict(False, "a failure without a seed", verdict.output, verdict.seconds)
    return verdict


def check_controls(mutants: Iterable[Mutant], programs: dict[str, str]) -> int:
    """Runs every finder once without a mutant: a failure that is always there finds nothing."""
    commands: dict[tuple[str, str], int] = {}
    for mutant in mutants:
        key = (mutant.program, mutant.test)
        commands[key] = max(mutant.seeds, commands.get(key, 0))

    def fails(item: tuple[tuple[str, str], int]) -> str:
        (program, test), seeds = item
        path = programs[program]
        verdict = run("", path, command_of(program, path, test, seeds))
        return "" if verdict.note == "not found" else f"{program} {test}: {verdict.output[-2000:]}"

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        failures = [text for text in pool.map(fails, commands.items()) if text]
    print(f"{len(commands)} finders without a mutant, {len(failures)} failed", *failures, sep="\n")
    return len(failures)


def check_all(mutants: Iterable[Mutant], programs: dict[str, str]) -> int:
    """Prints the table; the number of mutants that were not found."""
    chosen = list(mutants)
    missed = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        verdicts = pool.map(lambda mutant: check(mutant, programs), chosen)
        for mutant, verdict in zip(chosen, verdicts):
            missed += not verdict.found
            state = f"seed {verdict.note}" if verdict.found and verdict.note else (
                "found" if verdict.found else f"MISSED: {verdict.note}")
            print(f"{mutant.name:32} {mutant.reference:12} {mutant.finder():60.60} "
                  f"{state} of {mutant.seeds} ({verdict.seconds:.1f} s)", flush=True)
    print(f"{len(chosen)} mutants, {missed} not found")
    return missed


def explore(mutants: Iterable[Mutant], programs: dict[str, str]) -> None:
    """For whoever adds a row: what finds it at all."""
    chosen = list(mutants)
    jobs = [(mutant, program) for mutant in chosen for program in programs]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        def one(job: tuple[Mutant, str]) -> Verdict:
            mutant, program = job
            path = programs[program]
            return run(mutant.name, path, command_of(program, path, "", mutant.seeds))
        for (mutant, program), verdict in zip(jobs, pool.map(one, jobs)):
            if verdict.note.startswith("unknown"):
                continue
            tests = sorted({" ".join(match["name"].split())
                            for match in _FAILED_TEST.finditer(verdict.output)})
            print(f"{mutant.name} | {program} | {'FOUND' if verdict.found else '-'} | "
                  f"{verdict.note} | {verdict.seconds:.0f} s | {tests}", flush=True)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--explore", action="store_true")
    parser.add_argument("--program", action="append", default=[], metavar="NAME=PATH")
    options = parser.parse_args()
    programs = dict(item.split("=", 1) for item in options.program)
    known = MUTANTS + (OPEN if options.explore else ())
    mutants = [mutant for mutant in known
               if not options.only or mutant.name in options.only]
    unknown = set(options.only) - {mutant.name for mutant in known}
    if unknown:
        parser.error(f"not in the registry: {', '.join(sorted(unknown))}")
    if options.explore:
        explore(mutants, programs)
        return 0
    missed = check_all(mutants, programs)
    return 1 if check_controls(mutants, programs) + missed else 0


if __name__ == "__main__":
    sys.exit(main())
