#include "interaction/script.h"

#include <cstdlib>
#include <sstream>

#include "catch.h"

namespace cairn::raft::testing {

std::uint64_t Command::number(std::size_t word) const {
    INFO(text);
    REQUIRE(word < words.size());
    return std::strtoull(words[word].c_str(), nullptr, 10);
}

std::uint64_t Command::number_of(const std::string& key, std::uint64_t otherwise) const {
    const auto found = keys.find(key);
    return found == keys.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
}

std::string Command::text_of(const std::string& key) const {
    const auto found = keys.find(key);
    return found == keys.end() ? "" : found->second;
}

Command parse_command(const std::string& line) {
    Command command;
    command.text = line;
    std::istringstream in(line);
    in >> command.name;
    for (std::string word; in >> word;) {
        const auto equals = word.find('=');
        if (equals == std::string::npos) {
            command.words.push_back(word);
        } else {
            command.keys[word.substr(0, equals)] = word.substr(equals + 1);
        }
    }
    return command;
}

std::vector<Block> parse_script(const std::string& text) {
    std::vector<Block> blocks;
    Block block;
    bool in_output = false;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        if (in_output && line.empty()) {
            blocks.push_back(std::move(block));
            block = {};
            in_output = false;
        } else if (in_output) {
            block.expected += line + "\n";
        } else if (line == "----") {
            in_output = true;
        } else if (line.empty() || line[0] == '#') {
            block.comments.push_back(line);
        } else {
            block.commands.push_back(parse_command(line));
        }
    }
    if (!block.commands.empty()) {
        blocks.push_back(std::move(block));
    }
    return blocks;
}

std::string format_script(const std::vector<Block>& blocks) {
    std::string text;
    for (const Block& block : blocks) {
        for (const std::string& comment : block.comments) {
            text += comment + "\n";
        }
        for (const Command& command : block.commands) {
            text += command.text + "\n";
        }
        text += "----\n" + block.expected + "\n";
    }
    return text;
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, separator);) {
        parts.push_back(part);
    }
    return parts;
}

}  // namespace cairn::raft::testing
