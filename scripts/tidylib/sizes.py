"""Sizes: lines, files, functions, parameters, nesting; and braces, which clang-format 14 lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tidylib.source import Finding, Source, closing

LINE_MAX = 100
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 5
NESTING_MAX = 3
FILE_LINES_MAX = {".cc": 600, ".h": 300, ".py": 650}

_CONTROL = re.compile(r"\b(if|for|while)\b(\s*constexpr)?\s*\(")
_SCOPE = re.compile(r"\b(namespace|class|struct|union|enum)\b|\bextern\s+\"")
_NAME = re.compile(r"(?P<name>operator\s*(?:\(\)|\[\]|[^\s\w(]+)|[~\w:]+)\s*\(")
_NOT_NAMES = frozenset({"decltype", "noexcept", "requires", "alignas", "explicit", "if", "for",
                        "while", "switch", "catch", "return", "sizeof", "static_assert"})
_BLOCK = re.compile(r"^\s*(?:(?:case\b(?:[^:]|::)*|default\s*):(?!:)\s*)*"
                    r"(if|for|while|switch|do|try|else|catch)\b")
_TABLE_ROW = re.compile(r"^[ \t]*case\b(?:[^:;{}?]|::)*:\s*return\b[^;]*;[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Function:
    """A function with a body, or a declaration (then `lines` is 0)."""

    name: str
    line: int
    lines: int
    parameters: int
    nesting: int


def _split_count(arguments: str) -> int:
    """How many parameters a parameter list has."""
    stripped = re.sub(r"<[^<>()]*>", "", re.sub(r"<[^<>()]*>", "", arguments)).strip()
    if not stripped or stripped == "void":
        return 0
    depth = count = 0
    for char in stripped:
        depth += (char in "([{<") - (char in ")]}>")
        count += char == "," and depth <= 0
    return count + 1


def _signature(head: str) -> tuple[str, int] | None:
    """Name and number of parameters of the function whose text before the body is `head`."""
    for match in _NAME.finditer(head):
        name = match.group("name").strip()
        if name in _NOT_NAMES:
            continue
        opening = match.end() - 1
        if name == "operator":
            continue
        return name, _split_count(head[opening + 1:closing(head, opening)])
    return None


def _without_templates(head: str) -> str:
    """`template <...>` and attributes hide the name: drop them, keeping line breaks."""
    head = re.sub(r"\[\[[^\]]*\]\]", "", head)
    while match := re.search(r"\btemplate\s*<", head):
        depth, position = 1, match.end()
        while position < len(head) and depth:
            depth += (head[position] == "<") - (head[position] == ">")
            position += 1
        head = head[:match.start()] + head[position:]
    return re.sub(r"^\s*(public|private|protected)\s*:", "", head)


def _nesting(body: str) -> int:
    """The deepest stack of control blocks in a function's body."""
    deepest, stack, begin = 0, [], 0
    parentheses = 0
    for offset, char in enumerate(body):
        parentheses += (char == "(") - (char == ")")
        if char == "{":
            stack.append(bool(_BLOCK.search(body[begin:offset])))
            deepest = max(deepest, sum(stack))
        elif char == "}" and stack:
            stack.pop()
        if char in "{}" or (char == ";" and parentheses == 0):
            begin = offset + 1
    return deepest


def functions(source: Source) -> Iterator[Function]:
    """Every function of a file, found by its braces (an approximation that needs no compiler)."""
    code = source.statements
    position = begin = 0
    while position < len(code):
        char = code[position]
        if char == "(":
            position = closing(code, position)
        elif char == ";":
            yield from _declaration(source, begin, position)
            begin = position + 1
        elif char == "}":
            begin = position + 1
        elif char == "{":
            head = _without_templates(code[begin:position])
            end = closing(code, position)
            signature = _signature(head)
            is_scope = _SCOPE.search(re.sub(r"\([^()]*\)", "", head)) and not (
                signature and head.rstrip().endswith((")", "const", "override", "noexcept")))
            if is_scope:
                begin = position + 1
            elif signature and not re.search(r"=\s*$", head):
                end = _body_end(code, position, end)
                yield _definition(source, signature, begin, end)
                position, begin = end, end + 1
            else:
                position = end  # an initialiser in braces
        position += 1


def _body_end(code: str, opening: int, end: int) -> int:
    """Skips braces of a constructor's initialiser list: the body is the last group in a row."""
    while match := re.compile(r"\s*(,[^;{}]*|)\{").match(code, end + 1):
        if not match.group(0).strip(" \n{") and "}" != code[end]:
            break
        end = closing(code, match.end() - 1)
    return end


def _declaration(source: Source, begin: int, end: int) -> Iterator[Function]:
    head = _without_templates(source.statements[begin:end])
    signature = _signature(head)
    if not source.is_header or signature is None or "=" in head.partition("(")[0]:
        return  # a variable, or a definition elsewhere
    if signature[1] > PARAMETERS_MAX:
        yield Function(signature[0], source.line_of(end), 0, signature[1], 0)


def _definition(source: Source, signature: tuple[str, int], begin: int, end: int) -> Function:
    code = source.statements
    first = begin + len(code[begin:end]) - len(code[begin:end].lstrip())
    first_line, last_line = source.line_of(first), source.line_of(end)
    # A row of a table that happens to be a switch costs a reader nothing.
    rows = sum(match.group(0).count("\n") + 1 for match in _TABLE_ROW.finditer(code, first, end))
    name, parameters = signature
    if re.fullmatch(r"[A-Z]+_[A-Z_]+", name):  # a macro such as TEST_CASE
        parameters = 0
    body = code[code.find("{", first):end]
    lines = last_line - first_line + 1 - rows
    return Function(name, first_line, lines, parameters, _nesting(body[1:]))


def check_lines(source: Source) -> Iterable[Finding]:
    """No line is longer than a page is wide; no blanks at its end; the file ends with a newline."""
    for number, line in enumerate(source.lines, 1):
        if len(line) > LINE_MAX and not source.path.endswith((".md", ".txt", ".json", ".cmake")) \
                and not source.path.endswith("CMakeLists.txt"):
            yield source.finding(number, "line", f"{len(line)} columns, {LINE_MAX} allowed")
        if line != line.rstrip() and not source.path.endswith((".md", ".txt")):
            yield source.finding(number, "trailing-space", "blanks at the end of the line")
    if source.text and not source.text.endswith("\n"):
        yield source.finding(len(source.lines), "last-newline", "the last line has no end")


def measure(source: Source) -> Iterator[tuple[str, int, int, int]]:
    """(what, line, size, allowed) for everything a ratchet may hold."""
    for suffix, limit in FILE_LINES_MAX.items():
        if source.path.endswith(suffix):
            yield f"file {source.path}", 0, len(source.lines), limit
    if not source.is_cpp:
        return
    for function in functions(source):
        place = f"{source.path}:{function.name}"
        yield f"function {place}", function.line, function.lines, FUNCTION_LINES_MAX
        yield f"parameters {place}", function.line, function.parameters, PARAMETERS_MAX
        yield f"nesting {place}", function.line, function.nesting, NESTING_MAX


def check_braces(source: Source) -> Iterable[Finding]:
    """if, else, for, while always have braces."""
    code = source.code.replace("\\\n", " \n")
    for match in _CONTROL.finditer(code):
        after = closing(code, match.end() - 1) + 1
        rest = re.compile(r"\s*(\[\[\w+\]\])?\s*").match(code, after)
        following = code[rest.end() if rest else after:][:1]
        ends_do = match.group(1) == "while" and (
            following == ";" or code[match.end():after - 1].strip() in ("0", "false"))
        if following != "{" and not ends_do and not _in_directive(code, match.start()):
            yield source.finding(source.line_of(match.start()), "braces",
                                 f"{match.group(1)} without braces")
    for match in re.finditer(r"\belse\b(?!\s*(\{|if\b|\[\[))", code):
        if not _in_directive(code, match.start()):
            yield source.finding(source.line_of(match.start()), "braces", "else without braces")


def _in_directive(code: str, position: int) -> bool:
    line = code[code.rfind("\n", 0, position) + 1:position].lstrip()
    return line.startswith("#") and not line.startswith("#define")


def check_header_form(source: Source) -> Iterable[Finding]:
    """A header says what it is in its first line and is included once."""
    if not source.is_header:
        return
    if not source.lines or not re.match(r"^// \S", source.lines[0]):
        yield source.finding(1, "header-comment", "the first line says what the header is")
    if "#pragma once" not in source.lines:
        yield source.finding(1, "pragma-once", "#pragma once is missing")
