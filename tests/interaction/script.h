// The scripts of the interaction tests: commands, each followed by what it must print.
//
//   script  := { comment | block }
//   block   := command-line { command-line } "----" newline { output-line } blank-line
//   command := word { word | key "=" value }
//
// With CAIRN_REWRITE=1 in the environment the expected output is written anew.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cairn::raft::testing {

struct Command {
    std::string text;  // the whole line
    std::string name;
    std::vector<std::string> words;           // without the name
    std::map<std::string, std::string> keys;  // key=value words

    [[nodiscard]] std::uint64_t number(std::size_t word) const;
    [[nodiscard]] std::uint64_t number_of(const std::string& key,
                                          std::uint64_t otherwise = 0) const;
    [[nodiscard]] std::string text_of(const std::string& key) const;
};

struct Block {
    std::vector<std::string> comments;  // lines before it, as they are
    std::vector<Command> commands;
    std::string expected;
};

Command parse_command(const std::string& line);
std::vector<Block> parse_script(const std::string& text);
std::string format_script(const std::vector<Block>& blocks);

// "a,b,c" at commas; "" gives nothing.
std::vector<std::string> split(const std::string& text, char separator);

}  // namespace cairn::raft::testing
