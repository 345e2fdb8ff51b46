// Runs the scripts of testdata/ and holds them to visit every cell of the core's dispatch table.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "interaction/harness.h"

namespace cairn::raft::testing {
namespace {

std::vector<std::filesystem::path> scripts() {
    std::vector<std::filesystem::path> paths;
    for (const auto& file : std::filesystem::directory_iterator(CAIRN_INTERACTION_DATA)) {
        if (file.path().extension() == ".txt") {
            paths.push_back(file.path());
        }
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::string run_block(Harness& harness, const Block& block) {
    std::string shown;
    for (const Command& command : block.commands) {
        if (block.commands.size() > 1) {
            shown += "> " + command.text + "\n";
        }
        shown += harness.run(command);
    }
    return shown;
}

void run_script(const std::filesystem::path& path, Coverage& coverage, bool rewrite) {
    std::vector<Block> blocks = parse_script(read_file(path));
    REQUIRE_FALSE(blocks.empty());
    Harness harness(coverage);
    for (Block& block : blocks) {
        INFO(path.filename().string() << ": " << block.commands.front().text);
        const std::string shown = run_block(harness, block);
        if (rewrite) {
            block.expected = shown;
        }
        REQUIRE(shown == block.expected);
    }
    if (rewrite) {
        std::ofstream(path) << format_script(blocks);
    }
}

}  // namespace

TEST_CASE("the interaction scripts print what they say, and visit every cell",
          "[raft][interaction]") {
    const bool rewrite = std::getenv("CAIRN_REWRITE") != nullptr;
    Coverage coverage;
    const auto paths = scripts();
    REQUIRE(paths.size() >= 10);
    for (const auto& path : paths) {
        run_script(path, coverage, rewrite);
    }
    for (std::uint8_t kind = 0; kind < kMessageKindCount; ++kind) {
        const auto message = static_cast<MessageKind>(kind);
        for (std::uint8_t number = 0; number < kRoleCount; ++number) {
            const auto role = static_cast<Role>(number);
            INFO("no script has sent a " << describe(message) << " to a " << describe(role));
            CHECK(coverage.cells.count({role, message}) == 1);
        }
        INFO("no script has sent a " << describe(message) << " of a lower and of a higher term");
        CHECK(coverage.gate.count({Coverage::Gate::kLower, message}) == 1);
        CHECK(coverage.gate.count({Coverage::Gate::kHigher, message}) == 1);
    }
}

TEST_CASE("a script is written as it was read", "[raft][interaction]") {
    const std::string text = "# What for.\ncluster 3\n----\nok\n\ntick 1 3\nstatus\n----\nok\n\n";
    REQUIRE(format_script(parse_script(text)) == text);
    const Command command = parse_command("inject 2->1 Append term=5 prev=1/2");
    REQUIRE(command.words == std::vector<std::string>{"2->1", "Append"});
    REQUIRE(command.number_of("term") == 5);
    REQUIRE(parse_message(command) == message(2, 1, 5, Append{{Term{1}, Index{2}}, {}, {}}));
}

}  // namespace cairn::raft::testing
