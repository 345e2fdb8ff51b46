#include "tests/api/script.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "catch.h"

namespace cairn::server::api {

namespace {

struct Block {
    std::string comments;
    std::vector<std::string> input;
    std::string expected;
    int line = 0;
};

std::vector<Block> read_blocks(const std::string& path) {
    std::ifstream file(path);
    REQUIRE(file.is_open());
    std::vector<Block> blocks(1);
    bool in_output = false;
    int number = 0;
    for (std::string line; std::getline(file, line);) {
        ++number;
        Block& block = blocks.back();
        if (line.empty()) {
            in_output = false;
            if (!block.input.empty()) {
                blocks.emplace_back();
            } else if (!block.comments.empty()) {
                block.comments += "\n";
            }
        } else if (in_output) {
            block.expected += line + "\n";
        } else if (line == "----") {
            in_output = true;
        } else if (line[0] == '#') {
            block.comments += line + "\n";
        } else {
            block.line = block.line == 0 ? number : block.line;
            block.input.push_back(line);
        }
    }
    if (blocks.back().input.empty()) {
        blocks.pop_back();
    }
    return blocks;
}

}  // namespace

void run_script(const std::string& path,
                const std::function<std::string(const std::vector<std::string>&)>& run) {
    const bool rewrite = std::getenv("CAIRN_REWRITE") != nullptr;
    const auto blocks = read_blocks(path);
    REQUIRE(!blocks.empty());
    std::ostringstream rewritten;
    for (const auto& block : blocks) {
        INFO(path << ":" << block.line << ": " << block.input.front());
        const std::string actual = run(block.input);
        rewritten << (rewritten.str().empty() ? "" : "\n") << block.comments;
        for (const auto& line : block.input) {
            rewritten << line << "\n";
        }
        rewritten << "----\n" << actual;
        if (!rewrite) {
            CHECK(actual == block.expected);
        }
    }
    if (rewrite) {
        std::ofstream(path) << rewritten.str();
        WARN("rewrote " << path);
    }
}

}  // namespace cairn::server::api
