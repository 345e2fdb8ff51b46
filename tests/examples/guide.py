"""Makes a program of the C++ of docs/client.md, which is then only compiled: every block becomes a
function with a `client`, a coroutine if it awaits. Usage: guide.py GUIDE OUTPUT"""

import re
import sys
from pathlib import Path

HEAD = """#include <future>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include "client/async.h"

using namespace cairn::client;
"""


def function(number: int, text: str) -> str:
    result = "boost::asio::awaitable<void>" if "co_await" in text else "void"
    client = "" if re.search(r"^Client client\b", text, re.MULTILINE) else "Client client"
    return f"\n{result} block_{number}({client});\n{result} block_{number}({client}) {{\n{text}}}\n"


if __name__ == "__main__":
    guide, output = sys.argv[1:]
    blocks = re.findall(r"^```cpp\n(.*?)^```$", Path(guide).read_text(), re.MULTILINE | re.DOTALL)
    code = [block for block in blocks if not block.startswith("#include")]
    assert len(code) >= 7, f"{len(code)} blocks of C++ in {guide}"
    Path(output).write_text(HEAD + "".join(map(function, range(len(code)), code)))
