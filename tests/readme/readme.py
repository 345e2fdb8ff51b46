"""The fenced blocks of README.md. As a program: readme.py LANGUAGE README OUTPUT writes the one
block of that language."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int  # of the fence, from 1


def blocks(page: str) -> list[Block]:
    return [Block(match[1], match[2], page.count("\n", 0, match.start()) + 1)
            for match in re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)]


if __name__ == "__main__":
    language, readme, output = sys.argv[1:]
    found = [block for block in blocks(Path(readme).read_text()) if block.language == language]
    assert len(found) == 1, f"{len(found)} blocks of {language}"
    Path(output).write_text(found[0].text)
