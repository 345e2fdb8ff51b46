"""`cairn` as people and scripts use it, against one cairnd: on a terminal and off it, with files,
variables and several endpoints, without a server, and what it teaches the shells and man."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

CAIRN = os.environ.get("CAIRN", "")
CAIRND = os.environ.get("CAIRND", "")
RED, GREEN, CYAN, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cairn(*arguments: str, given: bytes = b"", **environment: str) -> tuple[int, str, str]:
    done = subprocess.run([CAIRN, *arguments], input=given, capture_output=True, check=False,
                          timeout=30, env=environment)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def on_terminal(streams: str, *arguments: str, typed: str = "", **environment: str) -> str:
    """What a terminal shows that is connected to these streams (i, o, e)."""
    master, slave = pty.openpty()
    terminal = {"env": {"TERM": "xterm", **environment}}
    process = subprocess.Popen([CAIRN, *arguments],
                               stdin=slave if "i" in streams else subprocess.DEVNULL,
                               stdout=slave if "o" in streams else subprocess.DEVNULL,
                               stderr=slave if "e" in streams else subprocess.DEVNULL, **terminal)
    os.close(slave)
    os.write(master, typed.encode())
    shown = b""
    until = time.monotonic() + 20
    while time.monotonic() < until and select.select([master], [], [], 20)[0]:
        try:
            shown += os.read(master, 65536)
        except OSError:  # how Linux reports that the other side is closed
            break
    process.wait(timeout=20)
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


class UseTest(unittest.TestCase):
    folder: tempfile.TemporaryDirectory
    endpoint: str
    server: subprocess.Popen

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory(prefix="cairn-use-")
        cls.endpoint = f"127.0.0.1:{free_port()}"
        peer = f"http://127.0.0.1:{free_port()}"
        cls.server = subprocess.Popen(
            [CAIRND, "--data-dir", cls.folder.name + "/data", "--log-level=error",
             f"--listen-client-urls=http://{cls.endpoint}",
             f"--advertise-client-urls=http://{cls.endpoint}", f"--listen-peer-urls={peer}",
             f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"])
        until = time.monotonic() + 20
        while cls.ask("endpoint", "health")[0] != 0:
            if cls.server.poll() is not None or time.monotonic() > until:
                raise RuntimeError("cairnd does not serve")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.terminate()
        cls.server.wait()
        cls.folder.cleanup()

    @classmethod
    def ask(cls, *arguments: str, given: bytes = b"", **environment: str) -> tuple[int, str, str]:
        return cairn("--endpoints", cls.endpoint, *arguments, given=given, **environment)

    def file(self, content: bytes) -> str:
        path = Path(self.folder.name) / f"file-{time.monotonic_ns()}"
        path.write_bytes(content)
        return str(path)

    # Terminals.

    def test_colours_on_a_terminal_alone(self) -> None:
        self.ask("put", "colour", "value")
        get = ("--endpoints", self.endpoint, "get", "colour")
        self.assertEqual(on_terminal("o", *get), f"{CYAN}colour{PLAIN}\nvalue\n")
        self.assertEqual(on_terminal("o", *get, "-w", "json").count("\x1b"), 0)
        for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
            self.assertEqual(on_terminal("o", *get, **plain), "colour\nvalue\n")
        self.assertEqual(self.ask("get", "colour", TERM="xterm")[1], "colour\nvalue\n")
        # A terminal for errors does not make the output coloured.
        self.assertEqual(on_terminal("e", *get), "")
        put = on_terminal("o", "--endpoints", self.endpoint, "put", "colour", "b")
        self.assertEqual(put, f"{GREEN}OK{PLAIN}\n")
        health = on_terminal("o", "--endpoints", self.endpoint, "endpoint", "health")
        self.assertIn(f" is {GREEN}healthy{PLAIN}: ", health)
        table = on_terminal("o", "--endpoints", self.endpoint, "member", "list", "-w", "table")
        self.assertIn("\x1b[1mSTATUS\x1b[0m", table)
        plain = self.ask("member", "list", "-w", "table")[1]
        self.assertEqual(re.sub(r"\x1b\[\d+m", "", table), plain)
        self.assertIn("\x1b[1mUsage:\x1b[0m\n", on_terminal("o", "get", "--help"))
        error = on_terminal("e", "get")
        self.assertTrue(error.startswith(f"{RED}Error:{PLAIN} get command needs"), error)

    def test_what_is_typed_on_a_terminal(self) -> None:
        put = ("--endpoints", self.endpoint, "put", "typed")
        shown = on_terminal("ie", *put, typed="by hand\n\x04")
        self.assertIn("The value, up to Ctrl-D:\n", shown)
        self.assertEqual(self.ask("get", "typed", "--print-value-only")[1], "by hand\n\n")
        txn = ("--endpoints", self.endpoint, "txn")
        shown = on_terminal("ioe", *txn, typed="\nput typed t\n\n\n")
        self.assertIn("compares:\n", shown)
        self.assertIn(f"{GREEN}SUCCESS{PLAIN}\n\n{GREEN}OK{PLAIN}\n", shown)
        # A mistake is said at once, not when the part is closed.
        shown = on_terminal("ioe", *txn, "-i", typed="modx(\"a\") = \"0\"\n")
        self.assertIn("unknown target modx", shown)
        self.assertEqual(self.ask("txn", given=b"\nput typed t\n\n\n")[2], "")

    def test_progress_on_a_terminal_alone(self) -> None:
        slow = ("--endpoints", self.endpoint, "--command-timeout", "1500ms")
        self.server.send_signal(signal.SIGSTOP)
        try:
            shown = on_terminal("e", *slow, "get", "a")
            quiet = cairn(*slow, "get", "a", TERM="xterm")[2]
            hash_shown = on_terminal("e", *slow, "endpoint", "hashkv")
        finally:
            self.server.send_signal(signal.SIGCONT)
        self.assertRegex(shown, r"\r\x1b\[Kget: 0\.[5-9] s\r\x1b\[Kget: ")
        self.assertRegex(shown, rf"\r\x1b\[K{re.escape(RED)}Error:.* context deadline exceeded\n$")
        self.assertEqual(quiet, "Error: context deadline exceeded\n")
        self.assertIn(f"\x1b[Khash of {self.endpoint}, endpoint 1 of 1: ", hash_shown)
        # Quick answers come without.
        self.assertEqual(on_terminal("e", "--endpoints", self.endpoint, "get", "nokey"), "")

    def test_bars_of_snapshots(self) -> None:
        for number in range(3):
            put = self.ask("put", f"large/{number}", given=os.urandom(700_000).hex().encode())
            self.assertEqual(put[0], 0, put)
        saved = f"{self.folder.name}/bars.snapshot"
        self.assertEqual(self.ask("snapshot", "save", saved)[0], 0)
        slow = {"LD_PRELOAD": os.environ["SLOW_READS"], "SLOW_READS_WHILE": saved,
                "SLOW_READS_OF": ".snapshot", "SLOW_READS_MS": "150"}
        bar = r"\r\x1b\[Ksnapshot {}: \[#[# ]{{29}}\] +\d+ % of [0-9.]+ MB \d\.\d s\r"
        for name, arguments in (("status", []),
                                ("restore", ["--data-dir", f"{self.folder.name}/restored"])):
            shown = on_terminal("e", "snapshot", name, saved, *arguments, **slow)
            self.assertRegex(shown, bar.format(name))
            self.assertTrue(shown.endswith("\r\x1b[K"), shown)
            parts = [int(part) for part in re.findall(r"(\d+) % of", shown)]
            self.assertEqual(parts, sorted(parts))
            self.assertGreater(parts[-1], 50)
        # What is not read does not keep it.
        shown = on_terminal("e", "snapshot", "restore", saved, "--skip-hash-check", "--data-dir",
                            f"{self.folder.name}/unchecked", **slow)
        self.assertRegex(shown, r"% of [0-9.]+ MB \d\.\d s\r\x1b\[Ksnapshot restore: \d\.\d s\r")
        # Who saves sees it, too.
        self.assertIn("snapshot save: [", self.save_from_a_slow_server(saved))

    def save_from_a_slow_server(self, saved: str) -> str:
        """What a terminal shows meanwhile."""
        folder = f"{self.folder.name}/slow"
        os.mkdir(folder)
        endpoint, peer = f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        slow = {"LD_PRELOAD": os.environ["SLOW_READS"], "SLOW_READS_WHILE": f"{folder}/slow",
                "SLOW_READS_MS": "20"}
        made = cairn("snapshot", "restore", saved, "--data-dir", f"{folder}/data",
                     "--initial-cluster", f"default={peer}",
                     "--initial-advertise-peer-urls", peer)
        self.assertEqual(made[0], 0, made)
        with subprocess.Popen(
                [CAIRND, "--data-dir", f"{folder}/data", "--log-level=error",
                 f"--listen-client-urls=http://{endpoint}", f"--listen-peer-urls={peer}",
                 f"--advertise-client-urls=http://{endpoint}",
                 f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"],
                env=slow) as server:
            try:
                until = time.monotonic() + 20
                while cairn("--endpoints", endpoint, "get", "a")[0] != 0:
                    self.assertLess(time.monotonic(), until)
                    self.assertIsNone(server.poll())
                Path(f"{folder}/slow").touch()
                return on_terminal("e", "--endpoints", endpoint, "snapshot", "save",
                                   f"{folder}/saved")
            finally:
                Path(f"{folder}/slow").unlink(missing_ok=True)
                server.terminate()

    # Files and streams.

    def test_a_value_from_a_file(self) -> None:
        for content in (b"", b"\x00\xff\n", b"two\nlines\n", os.urandom(1_000_000)):
            self.assertEqual(self.ask("put", "file", "--file", self.file(content))[1], "OK\n")
            done = subprocess.run([CAIRN, "--endpoints", self.endpoint, "get", "file",
                                   "--print-value-only"], capture_output=True, check=True, env={})
            self.assertEqual(done.stdout, content + b"\n")
        self.assertEqual(self.ask("put", "file", "-f", "-", given=b"")[1], "OK\n")
        self.assertEqual(self.ask("get", "file", "--print-value-only")[1], "\n")
        for arguments, code, text in (
                (["-f", "/no/such/file"], 6, "open /no/such/file: No such file or directory"),
                (["-f", self.folder.name], 6, f"open {self.folder.name}: Is a directory"),
                (["-f", ""], 1, 'invalid argument "" for "-f, --file" flag: no file is called so'),
                (["value", "-f", "x"], 128, "--file and a value exclude each other"),
                (["-f", "x", "--ignore-value"], 128,
                 "put command needs only 1 argument when 'ignore-value' is set")):
            got, out, error = self.ask("put", "file", *arguments)
            self.assertEqual((got, out, error.splitlines()[0]), (code, "", "Error: " + text))

    def test_a_transaction_from_a_file(self) -> None:
        self.ask("del", "t/", "--prefix")
        value = self.file(b"\x00from a file\n")
        whole = f'mod("t/a") = "0"\n\nput t/a 1\nput t/b --file {value}\n\nget t/a\n'
        self.assertEqual(self.ask("txn", "--file", self.file(whole.encode()))[1],
                         "SUCCESS\n\nOK\n\nOK\n")
        self.assertEqual(self.ask("get", "t/b", "--print-value-only")[1], "\x00from a file\n\n")
        # The last line needs no end, either.
        self.assertEqual(self.ask("txn", "-f", self.file(whole.encode().rstrip()))[1],
                         "FAILURE\n\nt/a\n1\n")
        # From standard input the same is an error: who wrote it may have been cut off.
        code, _, error = self.ask("txn", "-f", "-", given=whole.encode())
        self.assertEqual((code, error), (3, "Error: EOF\n"))
        self.assertEqual(self.ask("txn", "-f", "/no/file")[0], 6)
        self.assertEqual(self.ask("txn", "-f", self.folder.name)[0], 6)
        self.assertEqual(self.ask("txn", "-i", "-f", self.file(b""))[0], 128)
        self.assertEqual(self.ask("txn", "-f", self.file(b""))[1], "SUCCESS\n")

    def test_an_answer_that_no_table_can_show(self) -> None:
        """etcdctl writes first and complains then."""
        self.ask("put", "table", "before")
        for arguments, given in ((["put", "table", "after"], b""), (["del", "table"], b""),
                                 (["txn"], b"\nput table after\n\n\n")):
            self.assertEqual(self.ask(*arguments, "-w", "table", given=given),
                             (4, "", "Error: table not supported as output format\n"))
        self.assertEqual(self.ask("get", "table")[1], "table\nbefore\n")

    def test_output_that_cannot_be_written(self) -> None:
        self.ask("put", "full", "value")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([CAIRN, "--endpoints", self.endpoint, "get", "full"], stdout=full,
                                  stderr=subprocess.PIPE, check=False, env={})
        self.assertEqual((done.returncode, done.stderr),
                         (6, b"Error: the output could not be written\n"))

    # Endpoints and variables.

    def test_endpoints(self) -> None:
        self.ask("put", "e", "1")
        dead = f"127.0.0.1:{free_port()}"
        for endpoints in (f"http://{self.endpoint}", f"{dead},{self.endpoint}",
                          f" {self.endpoint} , {dead} "):
            self.assertEqual(cairn("--endpoints", endpoints, "get", "e"), (0, "e\n1\n", ""))
        self.assertEqual(cairn("--endpoints", dead, "--endpoints", self.endpoint, "get", "e")[0], 0)
        code, out, error = cairn("--endpoints", f"{dead},{self.endpoint}", "endpoint", "status",
                                 "--dial-timeout", "200ms")
        self.assertEqual((code, out.count("\n")), (1, 1))
        self.assertEqual(error, f"Failed to get the status of endpoint {dead} (connection error: "
                                f"dial tcp {dead}: connection refused)\n")
        for arguments in (["get", "e"], ["put", "e", "2"], ["member", "list"], ["compaction", "1"],
                          ["endpoint", "status", "--cluster"], ["endpoint", "health"]):
            begin = time.monotonic()
            code, out, error = cairn("--endpoints", dead, "--dial-timeout", "200ms", *arguments)
            self.assertEqual((code, out), (1, ""), arguments)
            self.assertIn("connection refused", error)
            self.assertLess(time.monotonic() - begin, 4)
        for endpoints, text in (
                ("", "no endpoints"), (",", "no endpoints"),
                ("a", 'endpoint "a": must be host:port'),
                ("https://a:1", 'endpoint "https://a:1": TLS is not supported yet')):
            code, _, error = cairn("--endpoints", endpoints, "get", "e")
            self.assertEqual((code, error), (2, f"Error: {text}\n"))

    def test_variables(self) -> None:
        self.ask("put", "v", "1")
        here, nowhere = self.endpoint, f"127.0.0.1:{free_port()}"
        get = ("get", "v", "--print-value-only", "--dial-timeout", "100ms")
        self.assertEqual(cairn(*get, ETCDCTL_ENDPOINTS=here)[1], "1\n")
        self.assertEqual(cairn(*get, CAIRN_ENDPOINTS=here, ETCDCTL_ENDPOINTS=nowhere)[1], "1\n")
        self.assertEqual(cairn(*get, CAIRN_ENDPOINTS=nowhere, ETCDCTL_ENDPOINTS=here)[0], 1)
        self.assertEqual(cairn(*get, "--endpoints", here, CAIRN_ENDPOINTS=nowhere)[1], "1\n")
        self.assertEqual(self.ask("get", "v", ETCDCTL_HEX="true")[1], "\\x76\n\\x31\n")
        self.assertEqual(self.ask("get", "v", CAIRN_OUTPUT="json")[1][:10], '{"header":')
        self.assertEqual(self.ask("get", "v", ETCDCTL_API="2", CAIRN_NO_SUCH="x")[1], "v\n1\n")
        self.assertEqual(self.ask("get", "v", CAIRN_HEX="x")[0], 1)
        self.assertEqual(self.ask("get", "v", ETCDCTL_CACERT="/ca.pem")[::2],
                         (128, "Error: --cacert: TLS is not supported yet\n"))
        shown = self.ask("--debug", "--user", "u:secret", "get", "v")[2]
        self.assertIn(f"CAIRN_ENDPOINTS={here}\n", shown)
        self.assertNotIn("secret", shown)

    # What it says about itself.

    def test_commands_that_are_not_here(self) -> None:
        for command in ("watch", "lease", "user", "role", "lock"):
            code, out, error = self.ask(command, "foo")
            self.assertEqual((code, out), (1, ""))
            self.assertIn(f'Error: unknown command "{command}" for "cairn"\n', error)
            self.assertIn("There is: alarm, compaction, completion, del, endpoint, get,", error)
        self.assertIn('unknown command "expel" for "cairn member"\n'
                      "There is: add, list, promote, remove, update.\n",
                      self.ask("member", "expel", "x")[2])

    def test_help(self) -> None:
        listed = re.findall(r"^  ([\w-]+(?: \w+)?)  +[A-Z]", cairn("help")[1], re.M)
        self.assertEqual(len(listed), 21, listed)
        for command in listed:
            code, text, error = cairn(*command.split(), "--help")
            self.assertEqual((code, error), (0, ""))
            self.assertIn(f"Usage:\n  cairn {command} ", text)
            self.assertEqual(cairn("help", *command.split())[1], text)
        # Help and version need no server, whatever the variables say.
        self.assertEqual(cairn("version", CAIRN_CACERT="/ca.pem")[0], 0)

    def test_completion_in_bash(self) -> None:
        def completed(*words: str) -> set[str]:
            script = ('source <("$CAIRN" completion bash); COMP_WORDS=("$@"); '
                      'COMP_CWORD=$(($# - 1)); _cairn; printf "%s\\n" "${COMPREPLY[@]}"')
            done = subprocess.run(["bash", "-uc", script, "bash", *words], text=True, check=True,
                                  capture_output=True, env={**os.environ, "CAIRN": CAIRN})
            self.assertEqual(done.stderr, "")
            return set(done.stdout.split())

        self.check_completion(completed)
        self.assertEqual(completed("cairn", "get", "a", "--output", "="),
                         {"simple", "table", "json", "fields", "protobuf"})
        self.assertEqual(completed("cairn", "get", "a", "--output", "=", "js"), {"json"})

    def test_completion_in_fish(self) -> None:
        self.assertIsNotNone(shutil.which("fish"), "scripts/setup installs it")

        def completed(*words: str) -> set[str]:
            script = '"$CAIRN" completion fish | source; complete -C "$argv"'
            done = subprocess.run(["fish", "--no-config", "-c", script, " ".join(words)], text=True,
                                  check=True, capture_output=True,
                                  env={**os.environ, "CAIRN": CAIRN, "HOME": self.folder.name})
            self.assertEqual(done.stderr, "")
            return {line.split("\t")[0] for line in done.stdout.splitlines()}

        self.check_completion(completed)

    def test_completion_in_zsh(self) -> None:
        self.assertIsNotNone(shutil.which("zsh"), "scripts/setup installs it")

        def completed(*words: str) -> set[str]:
            # compadd and _describe say what they were asked to add.
            script = ('compdef() { :; }; source <("$CAIRN" completion zsh); '
                      'compadd() { shift; print -l -- "$@"; }; _files() { :; }; '
                      '_describe() { print -l -- ${found%%:*}; }; '
                      'words=("$@"); CURRENT=$#; _cairn')
            done = subprocess.run(["zsh", "-fec", script, "zsh", *words], text=True, check=True,
                                  capture_output=True, env={**os.environ, "CAIRN": CAIRN})
            self.assertEqual(done.stderr, "")
            return {word for word in done.stdout.split() if word.startswith(words[-1])}

        self.check_completion(completed)

    def check_completion(self, completed) -> None:
        commands = {"alarm", "compaction", "completion", "del", "endpoint", "get", "manual",
                    "member", "put", "txn", "version"}
        self.assertEqual(completed("cairn", "") & commands, commands)
        self.assertEqual(completed("cairn", "comp"), {"compaction", "completion"})
        self.assertEqual({word for word in completed("cairn", "endpoint", "")
                          if not word.startswith("-")}, {"hashkv", "health", "status"})
        self.assertEqual(completed("cairn", "endpoint", "hashkv", "--re"), {"--rev"})
        self.assertEqual(completed("cairn", "endpoint", "status", "--re"), set())
        self.assertEqual(completed("cairn", "get", "a", "--pr"), {"--prefix", "--print-value-only"})
        self.assertIn("--endpoints", completed("cairn", "get", "--endp"))
        self.assertEqual(completed("cairn", "get", "a", "--sort-by", ""),
                         {"CREATE", "KEY", "MODIFY", "VALUE", "VERSION"})
        self.assertEqual(completed("cairn", "-w", "t"), {"table"})
        self.assertEqual(completed("cairn", "completion", "z"), {"zsh"})

    def test_manual_page(self) -> None:
        self.assertIsNotNone(shutil.which("groff"), "scripts/setup installs it")
        page = cairn("manual")[1]
        done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-Kutf8"],
                              input=page, text=True, capture_output=True, check=True)
        self.assertEqual(done.stderr, "")
        for text in ("cairn endpoint hashkv", "--print-value-only", "EXIT STATUS",
                     "CAIRN_DIAL_TIMEOUT", 'target("key") op "operand"',
                     "cairn put -- -key -value"):
            self.assertIn(text, re.sub(r"\s+", " ", done.stdout))


if __name__ == "__main__":
    if not os.access(CAIRN, os.X_OK) or not os.access(CAIRND, os.X_OK):
        sys.exit("set CAIRN and CAIRND to the programs to test")
    unittest.main(verbosity=1)
