"""Words and forms that may not appear, each with its reason (architecture: house rules)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tidylib.source import Finding, Source, closing

_PURE = ("raft/", "storage/", "server/replica/", "server/api/", "server/peer/", "proto/wire/")
_SHIPPED = ("base/", "raft/", "storage/", "server/", "client/", "proto/")


@dataclass(frozen=True)
class Ban:
    """`pattern` may not match the code of files under `where`, unless under `except_in`."""

    rule: str
    pattern: re.Pattern[str]
    reason: str
    where: tuple[str, ...] = ("",)
    except_in: tuple[str, ...] = field(default=())

    def applies(self, path: str) -> bool:
        return path.startswith(self.where) and not (
            self.except_in and path.startswith(self.except_in))


BANS = (
    Ban("unordered", re.compile(r"\bunordered_\w+"),
        "its order would reach an output: use a sorted vector or std::map",
        ("raft/", "storage/mvcc/", "server/replica/")),
    Ban("clock", re.compile(r"\b\w*_clock::now\b|\bclock_gettime\b|\bgettimeofday\b"),
        "time enters pure code as a value",
        except_in=("base/host_lookup.cc", "server/net/", "server/node.cc", "server/flusher.",
                   "client/",
                   "tests/unit/net/", "tests/process/", "tests/bench/", "scripts/")),
    Ban("random", re.compile(r"\bstd::random_device\b|\bstd::mt19937\w*|(?<![\w:])s?rand\s*\("),
        "randomness comes from base/prng.h with a seed somebody can print", _PURE + ("tests/",)),
    Ban("detached", re.compile(r"\basio::detached\b|\bdetached_t\b"),
        "it discards the exception: use spawn() of net/task.h"),
    Ban("awaitable-operators", re.compile(r"\bawaitable_operators\b"),
        "no per-operation cancellation: a watchdog closes the socket"),
    Ban("parallel-group", re.compile(r"\b(make_)?parallel_group\b"),
        "no per-operation cancellation: a watchdog closes the socket"),
    Ban("outcome", re.compile(r"\bboost::outcome\w*|\bBOOST_OUTCOME_\w+"),
        "use Result, CAIRN_TRY and CAIRN_CO_TRY", except_in=("base/result.h",)),
    Ban("source-location", re.compile(r"\bstd::source_location\b"),
        "clang 14 has none: use __FILE__ and __LINE__"),
    Ban("assert", re.compile(r"(?<![\w.])assert\s*\("),
        "use CAIRN_ASSERT, which is always on", _SHIPPED),
    Ban("exception", re.compile(r"\b(throw|try|catch)\b"),
        "errors of pure code are values", _PURE, ("storage/rocks_engine.cc",)),
    Ban("rtti", re.compile(r"\bdynamic_cast\b|\btypeid\b"),
        "pure code knows its types: use a variant or a virtual call", _PURE),
    Ban("floating-point", re.compile(r"\b(float|double)\b"),
        "its rounding depends on flags: use integers and ratios",
        ("raft/", "storage/", "server/replica/")),
    Ban("print", re.compile(r"\bstd::(cout|cerr|clog)\b|(?<![\w.:])printf\s*\("),
        "pure code reports through its output value", _PURE),
    Ban("logging", re.compile(r"\bspdlog::"),
        "pure code fills TraceEvents; others use base/log.h", except_in=("base/log.cc",)),
    Ban("sleep", re.compile(r"\bsleep_(for|until)\b|\b(u|nano)sleep\s*\("),
        "a test waits for a condition, not for a time", ("tests/",), ("tests/process/",)),
)

# The closed list of what the shipped code may define, each where it stands; the reason is why no
# function can do it.
_MACROS = {
    "CAIRN_ASSERT": ("base/assert.h", "says the condition and its place"),
    "CAIRN_DCHECK": ("base/assert.h", "its condition costs nothing where it is off"),
    "CAIRN_UNREACHABLE": ("base/assert.h", "says its place"),
    "CAIRN_TRY": ("base/result.h", "returns from its caller"),
    "CAIRN_CO_TRY": ("base/result.h", "returns from its caller"),
    "CAIRN_MUTANT": ("base/mutant.h", "leaves nothing of its name in a shipped program"),
    "CAIRN_BUGGIFY": ("base/buggify.h", "leaves nothing of its name in a shipped program"),
    "CAIRN_PROBE": ("base/probe.h", "one counter for each place, and nothing where it is off"),
    "XXH_STATIC_LINKING_ONLY": ("storage/wal_format.cc", "a switch of the library's header"),
}
_DEFINE = re.compile(r"^\s*#\s*define\s+(?P<name>\w+)", re.MULTILINE)
_MUTANT = re.compile(r"\bCAIRN_MUTANTS?\b")

_USING_NAMESPACE = re.compile(r"\busing\s+namespace\b")
_TODO = re.compile(r"\bTODO\b(?!\((?:ADR-\d{4}|issue-\d+|#\d+)\))")
_FIXME = re.compile(r"\bFIXME\b|\bXXX\b")
# Split so that this file passes its own check.
_MACHINE = re.compile(r"(?<![\w.~-])/wo" r"rk/|/tm" r"p/(?:b-|brief|cc-slot)")
_LAMBDA = re.compile(r"(?<![\w)\]>])\[(?P<captures>[^\[\]]*)\]\s*(?=[({<]|mutable\b|->)")
_COROUTINE = re.compile(r"\bco_(await|return|yield)\b")
_HEADER_TAIL = re.compile(r"[^;{}]*?\{")
_CATCH = re.compile(r"\bcatch\s*\(")
_CALL = re.compile(r"(?P<callee>[\w:]+)\s*\(")
_NOT_CALLS = frozenset({"if", "while", "for", "switch", "return", "co_return", "sizeof"})


def check_bans(source: Source) -> Iterable[Finding]:
    """The table of forbidden names."""
    for ban in BANS:
        if not ban.applies(source.path):
            continue
        for match in ban.pattern.finditer(source.code):
            yield source.finding(source.line_of(match.start()), ban.rule,
                                 f"{match.group(0).strip()}: {ban.reason}")
    if source.is_header:
        for match in _USING_NAMESPACE.finditer(source.code):
            yield source.finding(source.line_of(match.start()), "using-namespace", "in a header")


def check_macros(source: Source) -> Iterable[Finding]:
    """Macros are a closed list; mutants stay out of headers, which objects of both kinds have."""
    if not source.path.startswith(_SHIPPED):
        return
    for match in _DEFINE.finditer(source.code):
        name = match.group("name")
        if _MACROS.get(name, ("",))[0] != source.path:
            yield source.finding(source.line_of(match.start("name")), "macro",
                                 f"{name}: not in the closed list of macros")
    if source.is_header and source.path != "base/mutant.h":
        for match in _MUTANT.finditer(source.code):
            yield source.finding(source.line_of(match.start()), "mutant-in-header",
                                 "a mutant stands in a .cc file")


def check_words(source: Source) -> Iterable[Finding]:
    """For every text file: no bare to-do marks, no paths of one machine."""
    prose = source.path.endswith((".md", ".txt", ".json")) or source.path.startswith(
        ("scripts/tidylib/", "tests/tidy/"))
    for number, line in enumerate(source.lines, 1):
        if _MACHINE.search(line):
            yield source.finding(number, "machine-path", "a path of one machine")
        if prose:
            continue
        if _TODO.search(line):
            yield source.finding(number, "todo", "say what it waits for: TODO(ADR-0001), TODO(#12)")
        if _FIXME.search(line):
            yield source.finding(number, "fixme", "finish it or file it")


@dataclass(frozen=True)
class _Lambda:
    begin: int
    body: int
    end: int
    captures: str


def _lambdas(code: str) -> Iterator[_Lambda]:
    for match in _LAMBDA.finditer(code):
        position = match.end()
        if code[position] == "(":
            position = closing(code, position) + 1
        tail = _HEADER_TAIL.match(code, position)
        if tail:
            body = tail.end() - 1
            yield _Lambda(match.start(), body, closing(code, body), match.group("captures").strip())


def _statement(code: str, position: int) -> tuple[int, int]:
    """The full expression around `position`: from the last ; { } to the next ; at its depth."""
    begin = max(code.rfind(mark, 0, position) for mark in ";{}") + 1
    end = position
    while end < len(code) and code[end] not in ";}":
        end = closing(code, end) + 1 if code[end] in "({[" else end + 1
    return begin, end


def check_coroutines(source: Source) -> Iterable[Finding]:
    """Forms that GCC 12 miscompiles or that outlive what they refer to."""
    code = source.statements
    if not _COROUTINE.search(code):
        return
    for found in _lambdas(code):
        if found.captures and _COROUTINE.search(code, found.body, found.end):
            yield source.finding(source.line_of(found.begin), "lambda-coroutine",
                                 "a capturing lambda is no coroutine: its captures die first")
    for match in re.finditer(r"\bco_await\b", code):
        line = source.line_of(match.start())
        begin, end = _statement(code, match.start())
        expression = code[begin:end]
        # `if (`, `for (` ... whose condition holds the co_await are cut off by their parenthesis.
        if any(True for _ in _lambdas(expression)) or _LAMBDA.search(expression):
            yield source.finding(line, "lambda-in-await",
                                 "hoist the lambda to a local: GCC 12 destroys it twice")
        if "?" in expression:
            yield source.finding(line, "await-in-conditional", "no co_await inside ?:")
        if _shares_arguments(code, begin, match.start()):
            yield source.finding(line, "await-in-arguments",
                                 "await into a local first, then call")
    for match in _CATCH.finditer(code):
        opening = code.find("{", closing(code, match.end() - 1))
        inside = re.compile(r"\bco_await\b").search(code, opening, closing(code, opening))
        if inside:
            yield source.finding(source.line_of(inside.start()), "await-in-catch",
                                 "no co_await inside a catch")


def _shares_arguments(code: str, begin: int, position: int) -> bool:
    """Whether the co_await is one of several arguments of a call."""
    for call in _CALL.finditer(code, begin, position):
        callee = call.group("callee")
        opening = call.end() - 1
        end = closing(code, opening)
        if end < position or callee in _NOT_CALLS or callee.startswith("CAIRN_"):
            continue
        depth = 0
        for offset in range(opening + 1, end):
            char = code[offset]
            depth += (char in "([{") - (char in ")]}")
            if char == "," and depth == 0:
                return True
    return False
