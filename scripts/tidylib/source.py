"""A source file as the rules see it: raw lines, and code with comments and literals blanked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_TOKEN = re.compile(
    r"""
      (?P<line_comment> //[^\n]* )
    | (?P<block_comment> /\*.*?\*/ )
    | (?P<raw> R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)" )
    | (?P<string> "(?:\\.|[^"\\\n])*" )
    | (?P<number> \b\d[\w.']* )
    | (?P<char> '(?:\\.|[^'\\\n])+' )
    """,
    re.VERBOSE | re.DOTALL,
)
_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule. `line` counts from 1; 0 means the whole file."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: [{self.rule}] {self.message}"


@dataclass(frozen=True)
class Include:
    """One #include line; `quoted` tells "x.h" from <x.h>."""

    line: int
    quoted: bool
    name: str


def _blank(match: re.Match[str]) -> str:
    text = match.group(0)
    if match.lastgroup == "number":
        return text.replace("'", "0")  # a digit separator must not open a character literal
    if match.lastgroup in ("line_comment", "block_comment"):
        return re.sub(r"[^\n]", " ", text)
    return text[0] + re.sub(r"[^\n]", " ", text[1:-1]) + text[-1]


class Source:
    """A file of the tree; `path` is relative to its root, with forward slashes."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        if self.lines and self.lines[-1] == "":
            self.lines.pop()

    @classmethod
    def load(cls, root: Path, path: str) -> Source:
        return cls(path, (root / path).read_text(encoding="utf-8"))

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def is_header(self) -> bool:
        return self.path.endswith(".h")

    @property
    def is_cpp(self) -> bool:
        return self.path.endswith((".h", ".cc"))

    @cached_property
    def code(self) -> str:
        """The text with comments and the inside of literals replaced by spaces, same offsets."""
        return _TOKEN.sub(_blank, self.text)

    @cached_property
    def statements(self) -> str:
        """`code` without preprocessor lines (their continuations included), same offsets."""
        return re.sub(
            r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
            lambda match: re.sub(r"[^\n]", " ", match.group(0)),
            self.code,
            flags=re.MULTILINE,
        )

    @cached_property
    def includes(self) -> list[Include]:
        found = []
        for number, line in enumerate(self.lines, 1):
            match = _INCLUDE.match(line)
            if match:
                found.append(Include(number, match.group(1) == '"', match.group(2)))
        return found

    def line_of(self, offset: int) -> int:
        return self.text.count("\n", 0, offset) + 1

    def finding(self, line: int, rule: str, message: str) -> Finding:
        return Finding(self.path, line, rule, message)


def closing(code: str, opening: int) -> int:
    """The offset of the bracket that closes the one at `opening`; len(code) if there is none."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    opener = code[opening]
    closer = pairs[opener]
    depth = 0
    for match in re.compile(re.escape(opener) + "|" + re.escape(closer)).finditer(code, opening):
        depth += 1 if match.group(0) == opener else -1
        if depth == 0:
            return match.start()
    return len(code)
