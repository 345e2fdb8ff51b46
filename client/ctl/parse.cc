#include "client/ctl/parse.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/go_syntax.h"

namespace cairn::client::ctl {
namespace {

const OptionSpec* find_in(std::span<const OptionSpec> options, std::string_view name, char letter) {
    for (const OptionSpec& option : options) {
        if (letter != 0 ? option.letter == letter : option.name == name) {
            return &option;
        }
    }
    return nullptr;
}

// An option of the command, or a global one. Without a command, an option of any command: only
// whether a value follows matters then.
const OptionSpec* find_option(const CommandSpec* command, std::string_view name, char letter) {
    if (const OptionSpec* found = find_in(global_options(), name, letter)) {
        return found;
    }
    if (command != nullptr) {
        return find_in(command->options, name, letter);
    }
    for (const CommandSpec& any : all_commands()) {
        if (const OptionSpec* found = find_in(any.options, name, letter)) {
            return found;
        }
    }
    return nullptr;
}

struct OptionToken {
    std::string_view name;  // as written, for messages: "--limit", "-w"
    const OptionSpec* option = nullptr;
    std::optional<std::string_view> value;
};

bool is_option(std::string_view token) { return token.size() > 1 && token.front() == '-'; }

OptionToken read_token(const CommandSpec* command, std::string_view token) {
    OptionToken result;
    const std::size_t equals = token.find('=');
    if (token.substr(0, 2) == "--") {
        result.name = token.substr(0, equals);
        result.option = find_option(command, result.name.substr(2), 0);
        if (equals != std::string_view::npos) {
            result.value = token.substr(equals + 1);
        }
        return result;
    }
    result.name = token.substr(0, 2);
    result.option = find_option(command, {}, token[1]);
    if (token.size() > 2) {
        result.value = token.substr(token[2] == '=' ? 3 : 2);
    }
    return result;
}

bool takes_next(const OptionToken& token) {
    return token.option != nullptr && token.option->type != OptionType::kBool && !token.value;
}

bool is_valid(OptionType type, std::string_view text) {
    switch (type) {
        case OptionType::kBool: return parse_go_bool(text).has_value();
        case OptionType::kInt: return parse_go_int(text, true).has_value();
        case OptionType::kDuration: return parse_go_duration(text).has_value();
        case OptionType::kString: return true;
    }
    return false;
}

std::string_view type_name(OptionType type) {
    switch (type) {
        case OptionType::kBool: return "true or false";
        case OptionType::kInt: return "a whole number";
        case OptionType::kDuration: return "a duration such as 5s or 100ms";
        case OptionType::kString: return "text";
    }
    return "?";
}

class LineParser {
  public:
    LineParser(const std::vector<std::string>& arguments,
               const std::map<std::string, std::string>& environment)
        : arguments_(arguments), environment_(environment) {}

    ParsedLine parse() {
        find_command_words();
        if (line_.kind == ParseKind::kRun) {
            set_defaults();
        }
        if (line_.kind == ParseKind::kRun) {
            read_options();
        }
        return std::move(line_);
    }

  private:
    // First pass: which tokens are the command's name.
    void find_command_words() {
        std::string path;
        for (std::size_t i = 0; i < arguments_.size() && command() == nullptr; ++i) {
            const std::string& token = arguments_[i];
            if (token == "--") {
                break;
            }
            if (is_option(token)) {
                i += takes_next(read_token(nullptr, token)) ? 1U : 0U;
                continue;
            }
            const std::string longer = path.empty() ? token : path + " " + token;
            line_.invocation.command = find_command(longer);
            if (command() == nullptr && !is_group(longer)) {
                return unknown_command(path, token);
            }
            path = longer;
            words_.push_back(i);
        }
        if (command() == nullptr) {
            line_.kind = ParseKind::kHelp;
            line_.help_path = path;
        }
    }

    void unknown_command(const std::string& path, const std::string& token) {
        if (path.empty() && token == "help") {
            return help_command();
        }
        const std::string program = path.empty() ? "cairn" : "cairn " + path;
        line_.kind = ParseKind::kError;
        line_.error = fmt::format("unknown command \"{}\" for \"{}\"", token, program);
        const std::string longer = path.empty() ? token : path + " " + token;
        std::size_t best = 3;
        std::string_view nearest;
        for (const CommandSpec& any : all_commands()) {
            const std::size_t distance = edit_distance(longer, any.path);
            if (distance < best) {
                best = distance;
                nearest = any.path;
            }
        }
        line_.error += nearest.empty() ? fmt::format("\nRun '{} --help' for usage.", program)
                                       : fmt::format("\nDid you mean 'cairn {}'?", nearest);
    }

    // "cairn help endpoint status"
    void help_command() {
        line_.kind = ParseKind::kHelp;
        bool after = false;
        for (const std::string& token : arguments_) {
            if (after && !is_option(token)) {
                line_.help_path += line_.help_path.empty() ? token : " " + token;
            }
            after = after || token == "help";
        }
    }

    // An empty variable counts as absent.
    void set_defaults() {
        for (const OptionSpec& option : command()->options) {
            set(option.name, std::string(option.value_default));
        }
        for (const OptionSpec& option : global_options()) {
            set(option.name, std::string(option.value_default));
            for (const std::string_view prefix : {"ETCDCTL_", "CAIRN_"}) {
                const std::string variable = variable_of(prefix, option.name);
                const auto found = environment_.find(variable);
                if (found == environment_.end() || found->second.empty()) {
                    continue;
                }
                if (!is_valid(option.type, found->second)) {
                    return fail(fmt::format("invalid value \"{}\" for {}: must be {}",
                                            found->second, variable, type_name(option.type)));
                }
                set(option.name, found->second);
            }
        }
    }

    // Second pass: everything but the command's name.
    void read_options() {
        std::size_t word = 0;
        bool only_arguments = false;
        for (std::size_t i = 0; i < arguments_.size() && line_.kind == ParseKind::kRun; ++i) {
            const std::string& token = arguments_[i];
            if (word < words_.size() && words_[word] == i) {
                ++word;
            } else if (only_arguments || !is_option(token)) {
                line_.invocation.arguments.push_back(token);
            } else if (token == "--") {
                only_arguments = true;
            } else {
                read_option(token, i);
            }
        }
    }

    void read_option(std::string_view text, std::size_t& i) {
        if (text == "--help" || text == "-h") {
            line_.kind = ParseKind::kHelp;
            line_.help_path = command()->path;
            return;
        }
        const OptionToken token = read_token(command(), text);
        if (token.option == nullptr) {
            return fail(text.substr(0, 2) == "--"
                            ? fmt::format("unknown flag: {}", token.name)
                            : fmt::format("unknown shorthand flag: '{}' in {}", text[1], text));
        }
        std::string value = token.option->type == OptionType::kBool ? "true" : "";
        if (token.value) {
            value = *token.value;
        } else if (takes_next(token)) {
            if (i + 1 == arguments_.size()) {
                return fail(fmt::format("flag needs an argument: {}", token.name));
            }
            value = arguments_[++i];
        }
        if (!is_valid(token.option->type, value)) {
            return fail(fmt::format("invalid argument \"{}\" for \"{}\" flag: must be {}", value,
                                    token.name, type_name(token.option->type)));
        }
        set(token.option->name, value);
    }

    void set(std::string_view option, std::string value) {
        line_.invocation.values[std::string(option)] = std::move(value);
    }

    void fail(std::string error) {
        line_.kind = ParseKind::kError;
        line_.error = std::move(error);
        line_.help_path = command()->path;
    }

    [[nodiscard]] const CommandSpec* command() const { return line_.invocation.command; }

    const std::vector<std::string>& arguments_;
    const std::map<std::string, std::string>& environment_;
    ParsedLine line_;
    std::vector<std::size_t> words_;  // positions of the command's name
};

}  // namespace

const std::string& Invocation::text(std::string_view option) const {
    const auto found = values.find(option);
    CAIRN_ASSERT(found != values.end());
    return found->second;
}

bool Invocation::flag(std::string_view option) const {
    return parse_go_bool(text(option)).value_or(false);
}

std::int64_t Invocation::number(std::string_view option) const {
    return static_cast<std::int64_t>(parse_go_int(text(option), true).value_or(0));
}

std::chrono::nanoseconds Invocation::duration(std::string_view option) const {
    return std::chrono::nanoseconds(parse_go_duration(text(option)).value_or(0));
}

const CommandSpec* find_command(std::string_view path) {
    for (const CommandSpec& command : all_commands()) {
        if (command.path == path) {
            return &command;
        }
    }
    return nullptr;
}

bool is_group(std::string_view path) {
    const std::string begin = std::string(path) + " ";
    for (const CommandSpec& command : all_commands()) {
        if (command.path.substr(0, begin.size()) == begin) {
            return true;
        }
    }
    return false;
}

std::string variable_of(std::string_view prefix, std::string_view option) {
    std::string name(prefix);
    for (const char letter : option) {
        const bool is_lower = letter >= 'a' && letter <= 'z';
        name += letter == '-' ? '_' : is_lower ? static_cast<char>(letter - 'a' + 'A') : letter;
    }
    return name;
}

ParsedLine parse_line(const std::vector<std::string>& arguments,
                      const std::map<std::string, std::string>& environment) {
    return LineParser(arguments, environment).parse();
}

}  // namespace cairn::client::ctl
