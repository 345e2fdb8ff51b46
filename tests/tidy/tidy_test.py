"""Each rule of scripts/tidy.py fires on a planted violation and is silent on the clean twin."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import tidy  # noqa: E402
from tidylib import layers, reach, sizes  # noqa: E402
from tidylib.source import Finding, Source  # noqa: E402

HEADER = "// What it is.\n#pragma once\n"


def rules(path: str, text: str) -> set[str]:
    """The rules that a file breaks by itself, sizes included."""
    source = Source(path, text)
    found = {finding.rule for finding in tidy.check_file(source)}
    return found | ({"size"} if tidy.measured([source]) else set())


class Layers(unittest.TestCase):
    def assert_include(self, path: str, include: str, allowed: bool) -> None:
        text = f"{HEADER if path.endswith('.h') else ''}#include {include}\n"
        found = rules(path, text)
        self.assertEqual(found, set() if allowed else {"layer"}, f"{path} {include}")

    def test_table(self) -> None:
        cases = [
            ("base/x.h", '"base/y.h"', True),
            ("base/x.h", '"raft/types.h"', False),
            ("base/x.h", "<spdlog/spdlog.h>", False),
            ("base/log.cc", "<spdlog/spdlog.h>", True),
            ("base/result.h", "<boost/outcome/try.hpp>", True),
            ("base/error.h", "<boost/outcome/try.hpp>", False),
            ("raft/raft.h", '"base/ids.h"', True),
            ("raft/raft.cc", '"proto/cairn/peer.pb.h"', False),
            ("raft/raft.cc", '"base/log.h"', False),
            ("raft/raft.cc", "<fmt/core.h>", False),
            ("raft/describe.cc", "<fmt/core.h>", True),
            ("raft/raft.cc", "<vector>", True),
            ("raft/raft.cc", "<mutex>", False),
            ("raft/raft.cc", "<thread>", False),
            ("raft/raft.cc", "<chrono>", False),
            ("raft/raft.cc", "<random>", False),
            ("raft/raft.cc", "<fstream>", False),
            ("raft/raft.cc", "<iostream>", False),
            ("proto/wire/h2_session.cc", "<nghttp2/nghttp2.h>", True),
            ("proto/wire/h2_session.cc", '"raft/types.h"', False),
            ("proto/wire/h2_session.cc", "<boost/asio.hpp>", False),
            ("storage/log_store.h", '"raft/persist.h"', True),
            ("storage/log_store.h", '"raft/types.h"', True),
            ("storage/log_store.h", '"raft/raft.h"', False),
            ("storage/log_store.cc", '"proto/cairn/command.pb.h"', True),
            ("storage/mvcc/hash.cc", '"server/replica/event.h"', False),
            ("storage/mvcc/hash.cc", "<rocksdb/db.h>", False),
            ("storage/rocks_engine.cc", "<rocksdb/db.h>", True),
            ("storage/rocks_engine.h", "<rocksdb/db.h>", False),
            ("server/replica/replica.cc", '"raft/raft.h"', True),
            ("server/replica/replica.cc", '"storage/state_machine.h"', True),
            ("server/replica/replica.cc", '"server/api/validate.h"', False),
            ("server/replica/replica.cc", '"storage/rocks_engine.h"', False),
            ("server/replica/replica.cc", "<chrono>", False),
            ("server/api/kv_api.cc", '"server/replica/intent.h"', True),
            ("server/api/kv_api.cc", '"server/replica/replica.h"', False),
            ("server/api/kv_api.cc", '"storage/engine.h"', False),
            ("server/peer/peer_codec.cc", '"raft/message.h"', True),
            ("server/peer/peer_codec.cc", '"raft/raft.h"', False),
            ("server/net/acceptor.cc", '"server/api/dispatcher.h"', True),
            ("server/net/acceptor.cc", "<boost/asio/ip/tcp.hpp>", True),
            ("server/net/acceptor.cc", '"server/config.h"', False),
            ("server/node.cc", '"server/net/acceptor.h"', True),
            ("server/node.cc", '"client/client.h"', False),
            ("client/client.h", '"base/result.h"', True),
            ("client/client.h", '"proto/wire/h2_session.h"', True),
            ("client/client.h", "<boost/asio/awaitable.hpp>", True),
            ("client/client.h", '"raft/types.h"', False),
            ("client/client.h", '"storage/engine.h"', False),
            ("client/client.h", '"server/config.h"', False),
            ("tests/unit/raft/x_test.cc", '"server/net/acceptor.h"', True),
        ]
        for path, include, allowed in cases:
            with self.subTest(path=path, include=include):
                self.assert_include(path, include, allowed)

    def test_nobody_below_the_server_root_includes_net(self) -> None:
        for folder in ("base", "raft", "proto/wire", "storage", "server/replica", "server/api",
                       "server/peer", "client"):
            self.assert_include(f"{folder}/x.cc", '"server/net/task.h"', False)

    def test_unknown_folder(self) -> None:
        self.assertEqual(rules("misc/x.cc", "int x;\n"), {"layer"})

    def test_commented_include_counts_as_none(self) -> None:
        self.assertEqual(rules("raft/raft.cc", "// #include <mutex>\n"), set())

    def test_nghttp2_in_one_file(self) -> None:
        include = "#include <nghttp2/nghttp2.h>\n"
        first, second = Source("proto/wire/a.cc", include), Source("proto/wire/b.cc", include)
        self.assertEqual(list(layers.check_single_users([first])), [])
        found = list(layers.check_single_users([first, second]))
        self.assertEqual([finding.path for finding in found], ["proto/wire/b.cc"])
        header = Source("proto/wire/c.h", HEADER + include)
        self.assertEqual(len(list(layers.check_single_users([header]))), 1)

    def test_own_header_first(self) -> None:
        own, other = '#include "raft/log.h"\n', '#include "base/ids.h"\n'
        self.assertEqual(rules("raft/log.cc", own + other), set())
        self.assertEqual(rules("raft/log.cc", other + own), {"own-header-first"})
        for own in ('#include "sim/world.h"\n', '#include "world.h"\n'):
            self.assertEqual(rules("tests/sim/world.cc", own + other), set())
            self.assertEqual(rules("tests/sim/world.cc", other + own), {"own-header-first"})


class Bans(unittest.TestCase):
    def assert_rule(self, rule: str, path: str, dirty: str, clean: str) -> None:
        self.assertEqual(rules(path, dirty + "\n"), {rule}, dirty)
        self.assertEqual(rules(path, clean + "\n"), set(), clean)

    def test_names(self) -> None:
        cases = [
            ("unordered", "raft/x.cc", "std::unordered_map<int, X> m;", "std::map<int, X> m;"),
            ("unordered", "storage/mvcc/x.cc", "unordered_set<int> s;", "// unordered_set\nint s;"),
            ("unordered", "server/replica/x.cc", "std::unordered_set<int> s;", "std::set<int> s;"),
            ("clock", "storage/x.cc", "auto t = steady_clock::now();", "auto t = now;"),
            ("clock", "tests/sim/x.cc", "auto t = Clock::time_point(); system_clock::now();",
             'auto t = "system_clock::now";'),
            ("random", "server/replica/x.cc", "std::random_device device;", "Prng prng(1);"),
            ("detached", "server/net/x.cc", "co_spawn(e, f(), asio::detached);",
             'spawn(e, f(), "f");'),
            ("awaitable-operators", "client/x.cc",
             "using asio::experimental::awaitable_operators::operator||;", "using A = int;"),
            ("parallel-group", "server/net/x.cc", "auto g = make_parallel_group(a, b);", "int g;"),
            ("outcome", "storage/x.cc", "boost::outcome_v2::result<int> r;", "Result<int> r;"),
            ("outcome", "storage/x.cc", "void f() { BOOST_OUTCOME_TRY(g()); }",
             "void f() { CAIRN_TRY(g()); }"),
            ("source-location", "base/x.cc", "auto l = std::source_location::current();",
             "int l;"),
            ("assert", "raft/x.cc", "void f() { assert(x); }", "void f() { static_assert(x); }"),
            ("exception", "raft/x.cc", "void f() { throw 1; }", "void f() { return_error(1); }"),
            ("exception", "storage/x.cc", "void f() {\ntry {\n} catch (...) {\n}\n}",
             "void f() { // try\n}"),
            ("rtti", "server/replica/x.cc", "auto* x = dynamic_cast<A*>(y);", "auto* x = y;"),
            ("floating-point", "raft/x.cc", "double x = 0;", "int double_x = 0;"),
            ("print", "raft/x.cc", "void f() { std::cout << 1; }", "void f() { out << 1; }"),
            ("logging", "server/node.cc", "void f() { spdlog::info(x); }", "void f() { log(x); }"),
            ("sleep", "tests/sim/x.cc", "void f() { std::this_thread::sleep_for(t); }",
             "void f() { wait_until_applied(t); }"),
        ]
        for rule, path, dirty, clean in cases:
            with self.subTest(rule=rule, path=path):
                self.assert_rule(rule, path, dirty, clean)

    def test_where_they_are_allowed(self) -> None:
        clock = "auto t = std::chrono::steady_clock::now();\n"
        for path in ("server/net/ticker.cc", "client/retry.cc", "tests/process/kill.cc"):
            self.assertEqual(rules(path, clock), set(), path)
        sleep = "void f() { std::this_thread::sleep_for(t); }\n"
        self.assertEqual(rules("tests/process/kill.cc", sleep), set())
        outcome = HEADER + "using R = boost::outcome_v2::x;\n"
        self.assertEqual(rules("base/result.h", outcome), set())

    def test_macros(self) -> None:
        define = "#define CAIRN_MINE(x) x\n"
        self.assertEqual(rules("raft/x.cc", define), {"macro"})
        self.assertEqual(rules("tests/sim/x.cc", define), set())
        known = "#define CAIRN_MUTANT(name) false\n"
        self.assertEqual(rules("base/mutant.h", HEADER + known), set())
        self.assertEqual(rules("raft/x.cc", known), {"macro"})
        self.assertEqual(rules("raft/x.cc", "bool f() { return CAIRN_MUTANT(a); }\n"), set())
        inline = "inline bool f() { return CAIRN_MUTANT(a); }\n"
        self.assertEqual(rules("raft/x.h", HEADER + inline), {"mutant-in-header"})

    def test_using_namespace_in_header(self) -> None:
        self.assertEqual(rules("raft/x.h", HEADER + "using namespace std;\n"), {"using-namespace"})
        self.assertEqual(rules("raft/x.cc", "using namespace std::literals;\n"), set())

    def test_words(self) -> None:
        todo, fixme = "TO" + "DO", "FIX" + "ME"
        self.assertEqual(rules("raft/x.cc", f"// {todo}: later\n"), {"todo"})
        self.assertEqual(rules("raft/x.cc", f"// {todo}(somebody): later\n"), {"todo"})
        self.assertEqual(rules("raft/x.cc", f"// {todo}(ADR-0003): later\n"), set())
        self.assertEqual(rules("raft/x.cc", f"// {todo}(#12): later\n"), set())
        self.assertEqual(rules("scripts/x.sh", f"# {todo}(issue-7): later\n"), set())
        self.assertEqual(rules("scripts/x.sh", f"# {fixme}\n"), {"fixme"})

    def test_machine_paths(self) -> None:
        place = "/wo" + "rk/main"
        self.assertEqual(rules("docs/x.md", f"see {place}\n"), {"machine-path"})
        self.assertEqual(rules("scripts/x.py", f"PATH = '{place}'\n"), {"machine-path"})
        self.assertEqual(rules("docs/x.md", "see /tm" + "p/b-raft\n"), {"machine-path"})
        self.assertEqual(rules("docs/x.md", "see ../network/main and net" + "work/x\n"), set())


class Coroutines(unittest.TestCase):
    def found(self, body: str) -> set[str]:
        return rules("server/net/x.cc", f"Task<> f() {{\n{body}\n}}\n")

    def test_capturing_lambda_coroutine(self) -> None:
        self.assertEqual(self.found("auto g = [this]() -> Task<> { co_return; };"),
                         {"lambda-coroutine"})
        self.assertEqual(self.found("auto g = [&, x] { co_await h(); };"), {"lambda-coroutine"})
        self.assertEqual(self.found("auto g = []() -> Task<> { co_return; };"), set())
        self.assertEqual(self.found("auto g = [this] { return 1; };\nco_return;"), set())

    def test_lambda_beside_await(self) -> None:
        self.assertEqual(self.found("co_await wait([](int x) { return x; });"), {"lambda-in-await"})
        self.assertEqual(self.found("auto p = [](int x) { return x; };\nco_await wait(p);"), set())
        self.assertEqual(self.found("auto [error, n] = co_await socket.read(buffers[0]);"), set())
        condition = "if (auto [error] = co_await wait(); error) {\n    co_return;\n}"
        self.assertEqual(self.found(condition), set())

    def test_conditional(self) -> None:
        self.assertEqual(self.found("int n = x ? co_await a() : 0;"), {"await-in-conditional"})
        self.assertEqual(self.found("int n = x ? 1 : 0;\nco_await wait(n);"), set())

    def test_arguments(self) -> None:
        self.assertEqual(self.found('use(name("x"), co_await a());'), {"await-in-arguments"})
        self.assertEqual(self.found("use(co_await a());"), set())
        self.assertEqual(self.found("CAIRN_CO_TRY(auto n, co_await a(1, 2));"), set())

    def test_catch(self) -> None:
        self.assertEqual(self.found("try {\n} catch (...) {\n    co_await a();\n}"),
                         {"await-in-catch"})
        outside = "try {\n    co_await a();\n} catch (...) {\n    b();\n}"
        self.assertEqual(self.found(outside), set())


class Sizes(unittest.TestCase):
    def test_line(self) -> None:
        self.assertEqual(rules("raft/x.cc", "// " + "x" * 97 + "\n"), set())
        self.assertEqual(rules("raft/x.cc", "// " + "x" * 98 + "\n"), {"line"})
        self.assertEqual(rules("docs/x.md", "x" * 300 + "\n"), set())

    def test_blanks_and_end(self) -> None:
        self.assertEqual(rules("raft/x.cc", "int x; \n"), {"trailing-space"})
        self.assertEqual(rules("raft/x.cc", "int x;"), {"last-newline"})

    def test_file(self) -> None:
        for path, limit, prefix in (("raft/x.cc", 600, ""), ("raft/x.h", 300, HEADER),
                                    ("scripts/x.py", 650, "")):
            lines = limit - prefix.count("\n")
            comment = "#\n" if path.endswith(".py") else "//\n"
            self.assertEqual(rules(path, prefix + comment * lines), set(), path)
            self.assertEqual(rules(path, prefix + comment * (lines + 1)), {"size"}, path)

    def test_function_length(self) -> None:
        self.assertEqual(rules("raft/x.cc", "void f() {\n" + "    g();\n" * 68 + "}\n"), set())
        self.assertEqual(rules("raft/x.cc", "void f() {\n" + "    g();\n" * 69 + "}\n"), {"size"})
        table = "".join(f"        case K::k{n}:\n            return {n};\n" for n in range(100))
        self.assertEqual(
            rules("raft/x.cc", f"int f(int n) {{\n    switch (n) {{\n{table}    }}\n}}\n"), set())

    def test_parameters(self) -> None:
        five = "int a, std::map<int, int> b, int c, int d, int e"
        self.assertEqual(rules("raft/x.cc", f"void f({five}) {{}}\n"), set())
        self.assertEqual(rules("raft/x.cc", f"void f({five}, int f) {{}}\n"), {"size"})
        self.assertEqual(rules("raft/x.cc", f"X::X({five}, int f) : a_(a), b_{{b}} {{}}\n"),
                         {"size"})
        for declaration in (f"virtual void f({five}, int f) = 0;", f"void f({five}, int f);"):
            text = f"{HEADER}struct X {{\n    {declaration}\n}};\n"
            self.assertEqual(rules("raft/x.h", text), {"size"}, declaration)

    def test_nesting(self) -> None:
        three = "void f() {\nif (a) {\nfor (;;) {\nwhile (b) {\ng();\n}\n}\n} else if (c) {\n}\n}\n"
        self.assertEqual(rules("raft/x.cc", three), set())
        four = three.replace("g();", "if (c) {\ng();\n}")
        self.assertEqual(rules("raft/x.cc", four), {"size"})
        labelled = three.replace("g();", "case K::kA: if (c) {\ng();\n}")
        self.assertEqual(rules("raft/x.cc", labelled), {"size"})

    def test_function_finder(self) -> None:
        text = """namespace cairn {
struct A {
    A(int x, int y) : x_(x), y_{y} {}
    int operator()(int z) const { return z; }
    bool operator==(const A&) const = default;
    [[nodiscard]] int get() const noexcept { return x_; }
    int x_ = 0;
    std::vector<int> list{1, 2, 3};
};
template <class T, class U = std::map<int, T>>
auto make(T t, U u) -> std::pair<T, U> {
    auto lambda = [](int a, int b) { return a + b; };
    return {t, u};
}
const char* const kText = "void g() { }";  // void h() {}
constexpr std::array<int, 2> kTable = {1, 2};
struct B* find(struct B* b) { return b; }
}  // namespace cairn
"""
        found = [(f.name, f.parameters) for f in sizes.functions(Source("raft/x.cc", text))]
        self.assertEqual(found, [("A", 2), ("operator()", 1), ("get", 0), ("make", 2), ("find", 1)])

    def test_braces(self) -> None:
        def body(text: str) -> set[str]:
            return rules("raft/x.cc", f"void f() {{\n    {text}\n}}\n")

        for dirty in ("if (a) b();", "for (;;) b();", "while (a) b();", "if (a) {\n} else b();",
                      "if constexpr (a) b();"):
            self.assertEqual(body(dirty), {"braces"}, dirty)
        for clean in ("if (a) {\n}", "do {\n} while (a);", "if (a) {\n} else if (b) {\n}",
                      "if (a) [[unlikely]] {\n}", "for (int x : {1, 2}) {\n}"):
            self.assertEqual(body(clean), set(), clean)
        self.assertEqual(rules("raft/x.cc", "#if (A)\nint x;\n#else\nint y;\n#endif\n"), set())

    def test_header_form(self) -> None:
        self.assertEqual(rules("raft/x.h", HEADER), set())
        self.assertEqual(rules("raft/x.h", "#pragma once\n"), {"header-comment"})
        self.assertEqual(rules("raft/x.h", "// What it is.\n"), {"pragma-once"})


class Tree(unittest.TestCase):
    """Rules that need more than one file, on a small tree of their own."""

    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name).resolve()
        self.build = self.root / "build" / "dev"
        self.build.mkdir(parents=True)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def run_tidy(self, **changed: object) -> list[Finding]:
        options = {"build": str(self.build), "headers": False, "jobs": 2, "update_ratchet": False}
        return tidy.run(self.root, argparse.Namespace(**(options | changed)))

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", "-C", str(self.root), "-c", "user.name=x", "-c", "user.email=x@x.x",
                        *arguments], check=True, capture_output=True)

    def test_dead_files(self) -> None:
        self.write("raft/a.h", HEADER)
        self.write("raft/a.cc", '#include "raft/a.h"\n')
        self.write("raft/dead.h", HEADER)
        self.write("raft/dead.cc", "int x;\n")
        self.write("tests/fuzz/x_fuzz.cc", "int x;\n")
        database = [{"file": str(self.root / "raft/a.cc")}]
        (self.build / "compile_commands.json").write_text(json.dumps(database))
        self.assertEqual([(finding.path, finding.rule) for finding in self.run_tidy()],
                         [("raft/dead.cc", "dead-file"), ("raft/dead.h", "dead-file")])

    def test_headers_alone(self) -> None:
        self.write("raft/good.h", HEADER + "#include <vector>\nusing Good = std::vector<int>;\n")
        self.write("raft/bad.h", HEADER + "using Bad = std::vector<int>;\n")
        self.write("raft/proven.h", HEADER + "using Proven = std::vector<int>;\n")
        self.write("raft/proven.cc", '#include "raft/proven.h"\n')
        found = self.run_tidy(headers=True)
        self.assertEqual([(finding.path, finding.rule) for finding in found],
                         [("raft/bad.h", "header-alone")])
        cached = json.loads((self.build / "tidy_headers.json").read_text())
        self.assertEqual(len(cached), 1)
        self.write("raft/good.h", HEADER + "using Good = std::vector<int>;\n")
        self.assertEqual(len(self.run_tidy(headers=True)), 2)

    def test_ratchet_holds_and_shrinks(self) -> None:
        def write_function(lines: int) -> None:
            self.write("raft/x.cc", "void f() {\n" + "    g();\n" * (lines - 2) + "}\n")

        name = "function raft/x.cc:f"
        ratchet = self.root / tidy.RATCHET
        write_function(90)
        self.write(tidy.RATCHET, json.dumps({name: 90}) + "\n")
        self.assertEqual(self.run_tidy(), [])
        write_function(91)
        self.assertEqual([finding.rule for finding in self.run_tidy()], ["size"])
        write_function(80)
        self.assertEqual([finding.rule for finding in self.run_tidy()], ["ratchet"])
        self.assertEqual(self.run_tidy(update_ratchet=True), [])
        self.assertEqual(json.loads(ratchet.read_text()), {name: 80})
        write_function(70)
        self.assertEqual(self.run_tidy(update_ratchet=True), [])
        self.assertEqual(json.loads(ratchet.read_text()), {})

    def test_ratchet_may_not_grow(self) -> None:
        self.write("raft/x.cc", "void f() {\n" + "    g();\n" * 98 + "}\n")
        self.write(tidy.RATCHET, "{}\n")
        self.git("init", "-q")
        self.git("add", "scripts")
        self.git("commit", "-q", "-m", "x")
        self.write(tidy.RATCHET, json.dumps({"function raft/x.cc:f": 100}) + "\n")
        self.assertEqual([finding.rule for finding in self.run_tidy()], ["ratchet"])

    def test_command_line(self) -> None:
        self.write("raft/x.cc", "void f() {\n    if (a) b();\n}\n")
        command = [sys.executable, str(ROOT / "scripts" / "tidy.py"), "--root", str(self.root)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "raft/x.cc:2: [braces] if without braces\n")
        elsewhere = subprocess.run([*command, "storage"], capture_output=True, check=False)
        self.assertEqual(elsewhere.returncode, 0)

    def test_lone_headers(self) -> None:
        proven = Source("raft/a.h", HEADER)
        user = Source("raft/a.cc", '#include "raft/a.h"\n')
        lone = Source("raft/b.h", HEADER)
        self.assertEqual(reach.lone_headers([proven, user, lone]), [lone])


if __name__ == "__main__":
    unittest.main()
