#include "client/ctl/parse.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/go_syntax.h"
#include "client/ctl/go_text.h"

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

// Empty when an option of this type can be `text`.
std::string value_error(OptionType type, std::string_view text) {
    switch (type) {
        case OptionType::kBool: return go_bool_error(text);
        case OptionType::kInt: return parse_go_number(text, 0).error;
        case OptionType::kDuration: return go_duration_error(text);
        case OptionType::kFile: return text.empty() ? "no file is called so" : "";
        case OptionType::kString:
        case OptionType::kList: return {};
    }
    return {};
}

// "-w, --write-out"
std::string full_name(const OptionSpec& option) {
    return option.letter != 0 ? fmt::format("-{}, --{}", option.letter, option.name)
                              : fmt::format("--{}", option.name);
}

bool is_help(std::string_view token) { return token == "--help" || token == "-h"; }

// What `token` stands for behind these words: a word of a command that it is, or the only one that
// begins with it; empty when there is none, or several.
std::string resolved(std::string_view path, const std::string& token) {
    const std::set<std::string> words = words_after(path);
    if (token.empty() || words.count(token) != 0) {
        return token;
    }
    std::string found;
    for (const std::string& word : words) {
        if (word.compare(0, token.size(), token) == 0) {
            if (!found.empty()) {
                return {};
            }
            found = word;
        }
    }
    return found;
}

std::string joined(const std::string& path, const std::string& word) {
    return path.empty() ? word : path + " " + word;
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
            if (is_help(token)) {
                continue;
            }
            if (is_option(token)) {
                const OptionToken option = read_token(nullptr, token);
                if (option.option == nullptr) {
                    return unknown_option(path, token);
                }
                i += takes_next(option) ? 1U : 0U;
                continue;
            }
            const std::string longer = joined(path, resolved(path, token));
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
        const std::string longer = joined(path, token);
        std::size_t best = 3;
        std::string_view nearest;
        for (const CommandSpec& any : all_commands()) {
            const std::size_t distance = edit_distance(longer, any.path);
            if (distance < best) {
                best = distance;
                nearest = any.path;
            }
        }
        std::string hint = fmt::format("Did you mean 'cairn {}'?", nearest);
        if (nearest.empty()) {
            const std::set<std::string> words = words_after(path);
            hint = fmt::format("There is: {}.", fmt::join(words, ", "));
        }
        fail(path, fmt::format("unknown command \"{}\" for \"cairn{}{}\"\n{}", token,
                               path.empty() ? "" : " ", path, hint));
    }

    // "cairn help endpoint status"; words behind a whole command are passed over.
    void help_command() {
        line_.kind = ParseKind::kHelp;
        bool after = false;
        for (const std::string& token : arguments_) {
            if (after && !is_option(token) && find_command(line_.help_path) == nullptr) {
                const std::string longer =
                    joined(line_.help_path, resolved(line_.help_path, token));
                if (find_command(longer) == nullptr && !is_group(longer)) {
                    return unknown_command(line_.help_path, token);
                }
                line_.help_path = longer;
            }
            after = after || token == "help";
        }
    }

    void unknown_option(const std::string& path, std::string_view token) {
        fail(path, token.substr(0, 2) == "--"
                       ? fmt::format("unknown flag: {}", token.substr(0, token.find('=')))
                       : fmt::format("unknown shorthand flag: '{}' in {}", token[1], token));
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
                const std::string error = value_error(option.type, found->second);
                if (!error.empty()) {
                    return fail(command()->path,
                                fmt::format("invalid value {} for {}: {}", quote_go(found->second),
                                            variable, error));
                }
                set(option.name, found->second);
                line_.invocation.given.emplace(option.name);
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
        if (is_help(text)) {
            line_.kind = ParseKind::kHelp;
            line_.help_path = command()->path;
            return;
        }
        const OptionToken token = read_token(command(), text);
        if (token.option == nullptr) {
            return unknown_option(std::string(command()->path), text);
        }
        std::string value = token.option->type == OptionType::kBool ? "true" : "";
        if (token.value) {
            value = *token.value;
        } else if (takes_next(token)) {
            if (i + 1 == arguments_.size()) {
                const bool is_long = token.name.substr(0, 2) == "--";
                return fail(command()->path,
                            "flag needs an argument: " +
                                (is_long ? std::string(token.name)
                                         : fmt::format("'{}' in {}", text[1], text)));
            }
            value = arguments_[++i];
        }
        const std::string error = value_error(token.option->type, value);
        if (!error.empty()) {
            return fail(command()->path,
                        fmt::format("invalid argument {} for \"{}\" flag: {}", quote_go(value),
                                    full_name(*token.option), error));
        }
        const bool again = !given_.insert(token.option->name).second;
        if (again && token.option->type == OptionType::kList) {
            value = line_.invocation.text(token.option->name) + "," + value;
        }
        set(token.option->name, value);
        line_.invocation.given.emplace(token.option->name);
    }

    void set(std::string_view option, std::string value) {
        line_.invocation.values[std::string(option)] = std::move(value);
    }

    void fail(std::string_view path, std::string error) {
        line_.kind = ParseKind::kError;
        line_.error = std::move(error);
        line_.help_path = path;
    }

    [[nodiscard]] const CommandSpec* command() const { return line_.invocation.command; }

    const std::vector<std::string>& arguments_;
    const std::map<std::string, std::string>& environment_;
    ParsedLine line_;
    std::vector<std::size_t> words_;  // positions of the command's name
    std::set<std::string_view> given_;
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
    return parse_go_number(text(option), 0).value;
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

std::set<std::string> words_after(std::string_view path) {
    std::set<std::string> words;
    const std::string begin = path.empty() ? "" : std::string(path) + " ";
    for (const CommandSpec& command : all_commands()) {
        if (command.path.substr(0, begin.size()) == begin) {
            const std::string_view rest = command.path.substr(begin.size());
            words.emplace(rest.substr(0, rest.find(' ')));
        }
    }
    return words;
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
