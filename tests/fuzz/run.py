#!/usr/bin/env python3
"""Runs one libFuzzer program of the preset fuzz for a while, from the inputs in the tree.
Here the programs are those of build/fuzz/tests/fuzz:

  run.py peer_fuzz                  30 seconds, or $CAIRN_FUZZ_SECONDS
  run.py --seconds 3600 peer_fuzz   an hour
  run.py --replay FILE peer_fuzz    one input, as found by a run

Inputs that reach new code are kept beside the program, in NAME.work/corpus, and the next run there
goes on from them; the tree is never written to. What crashes the program is kept in
NAME.work/crashes. CAIRN_SEED repeats the choices of a run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"
MEMORY_MB_MAX = 2048
INPUT_SECONDS_MAX = 10
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
LIMITS = [f"-timeout={INPUT_SECONDS_MAX}", f"-rss_limit_mb={MEMORY_MB_MAX}"]


def shown(path: Path) -> str:
    return os.path.relpath(path, Path.cwd())


def call(program: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(program), *arguments], env={**os.environ, **ENVIRONMENT}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                          check=False)


def search(program: Path, work: Path, seconds: int) -> tuple[int, str, list[Path]]:
    """Exit status and output of a run, and the inputs that it says are at fault."""
    grown, crashes = work / "corpus", work / "crashes"
    for folder in (grown, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    begin = time.time_ns()
    ended = call(program, [
        f"-max_total_time={seconds}", *LIMITS, "-print_final_stats=1", "-verbosity=1",
        f"-seed={os.environ.get('CAIRN_SEED', '0')}",  # 0: drawn, and printed
        f"-artifact_prefix={crashes}/", str(grown), str(CORPUS / program.name)])
    # Another run with the same fault writes the same name again.
    found = [path for path in sorted(crashes.iterdir()) if path.stat().st_mtime_ns >= begin]
    return ended.returncode, ended.stdout, found


def last_lines(output: str, count: int) -> str:
    return "\n".join(output.splitlines()[-count:])


def said(output: str, word: str) -> str:
    lines = [line for line in output.splitlines() if word in line]
    return lines[-1].strip() if lines else f"(no line about {word})"


def run(program: Path, seconds: int) -> int:
    status, output, found = search(program, program.with_name(program.name + ".work"), seconds)
    print(said(output, "INFO: Seed:"))
    if status == 0 and not found:
        print(said(output, "DONE"))
        print(said(output, "stat::number_of_executed_units:"))
        return 0
    print(last_lines(output, 100))
    print(f"\n{program.name} FAILED with exit status {status}. To see it again:")
    script = shown(Path(__file__).resolve())
    for path in found:
        print(f"  {script} --replay {shown(path)} {shown(program)}")
    print(f"Once mended, add the input to {shown(CORPUS / program.name)}/ under a name that says "
          "what it is.")
    return 1


def expect_crash(program: Path, seconds: int) -> int:
    """Of the planted fault: the run fails, and the input that it kept shows the fault again."""
    with tempfile.TemporaryDirectory() as folder:
        status, output, found = search(program, Path(folder), seconds)
        if status == 0 or len(found) != 1:
            print(last_lines(output, 30))
            print(f"the planted fault was not found in {seconds} s (exit status {status})")
            return 1
        if replay(program, found[0]) == 0:
            print(f"the planted fault does not show again with {found[0].read_bytes()!r}")
            return 1
        print(f"the planted fault was found: {found[0].read_bytes()!r}")
        return 0


def replay(program: Path, path: Path) -> int:
    ended = call(program, [*LIMITS, str(path)])
    print(ended.stdout, end="")
    return ended.returncode


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--seconds", type=int,
                        default=int(os.environ.get("CAIRN_FUZZ_SECONDS", "30")))
    parser.add_argument("--replay", type=Path, metavar="FILE")
    parser.add_argument("--expect-crash", action="store_true",
                        help="fail when nothing is found: for the target with a planted fault")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    if arguments.replay is not None:
        return replay(program, arguments.replay)
    if arguments.expect_crash:
        return expect_crash(program, arguments.seconds)
    return run(program, arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
