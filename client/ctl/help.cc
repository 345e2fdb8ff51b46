#include "client/ctl/help.h"

#include <algorithm>
#include <ostream>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "client/ctl/parse.h"

namespace cairn::client::ctl {
namespace {

std::string option_line(const OptionSpec& option) {
    const std::string letter = option.letter != 0 ? fmt::format("-{}, ", option.letter) : "    ";
    const bool has_value = option.type != OptionType::kBool;
    const std::string value =
        has_value ? fmt::format("={}", option.value_default.empty() ? "''" : option.value_default)
                  : "";
    return fmt::format("  {}--{:<32} {}\n", letter, std::string(option.name) + value, option.help);
}

std::string options_text(std::span<const OptionSpec> options) {
    std::string text;
    for (const OptionSpec& option : options) {
        text += option_line(option);
    }
    return text;
}

// Breaks sentences at blanks, each line behind `indent` blanks.
std::string wrapped(std::string_view text, std::size_t indent) {
    constexpr std::size_t kWidth = 92;
    std::string result;
    std::size_t column = 0;
    while (!text.empty()) {
        const std::size_t space = std::min(text.find(' '), text.size());
        if (column == 0 || column + 1 + space > kWidth - indent) {
            result += (column == 0 ? "" : "\n") + std::string(indent, ' ');
            column = 0;
        } else {
            result += ' ';
            ++column;
        }
        result += text.substr(0, space);
        column += space;
        text.remove_prefix(std::min(space + 1, text.size()));
    }
    return result + "\n";
}

std::string indented(std::string_view lines) {
    std::string text;
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        text += fmt::format("  {}\n", lines.substr(0, end));
        lines.remove_prefix(std::min(end + 1, lines.size()));
    }
    return text;
}

std::string command_help(const CommandSpec& command) {
    std::string text =
        fmt::format("{}\n\nUsage:\n  cairn {}{}{} [options]\n", command.summary, command.path,
                    command.arguments.empty() ? "" : " ", command.arguments);
    if (!command.details.empty()) {
        text += "\n" + wrapped(command.details, 0);
    }
    text += "\nExamples:\n" + indented(command.examples);
    if (!command.options.empty()) {
        text += "\nOptions:\n" + options_text(command.options);
    }
    return text + "\nGlobal options:\n" + options_text(global_options());
}

std::string command_list(std::string_view group) {
    const std::string begin = group.empty() ? "" : std::string(group) + " ";
    std::string text = "Commands:\n";
    for (const CommandSpec& command : all_commands()) {
        if (command.path.substr(0, begin.size()) == begin) {
            text += fmt::format("  {:<18} {}\n", command.path, command.summary);
        }
    }
    return text;
}

constexpr std::string_view kVariables =
    "Each global option is also a variable: --dial-timeout is CAIRN_DIAL_TIMEOUT, or else\n"
    "ETCDCTL_DIAL_TIMEOUT. The option wins.\n";

constexpr std::string_view kExitCodes =
    "Exit codes: 0 done, 1 error, 2 bad endpoint, 3 bad input, 4 unknown value of an option,\n"
    "128 bad arguments.\n";

std::string overview() {
    return fmt::format(
        "cairn: the command line of cairn, a key-value store that speaks etcd's v3 API.\n\n"
        "Usage:\n  cairn <command> [arguments] [options]\n  cairn help <command>\n\n{}\n"
        "Examples:\n  cairn put foo bar\n  cairn get foo\n"
        "  cairn --endpoints 127.0.0.1:2379,127.0.0.1:22379 endpoint status -w table\n\n"
        "Global options:\n{}\n{}\n{}",
        command_list(""), options_text(global_options()), kVariables, kExitCodes);
}

std::string troff(std::string_view text) {
    std::string result;
    for (const char letter : text) {
        const bool line_begins = result.empty() || result.back() == '\n';
        if (line_begins && (letter == '.' || letter == '\'')) {
            result += "\\&";
        }
        result += letter == '\\' ? "\\e" : letter == '-' ? "\\-" : std::string(1, letter);
    }
    return result;
}

std::string troff_options(std::span<const OptionSpec> options) {
    std::string text;
    for (const OptionSpec& option : options) {
        const std::string letter =
            option.letter != 0 ? fmt::format("\\-{}, ", option.letter) : std::string();
        const std::string value = option.type == OptionType::kBool
                                      ? std::string()
                                      : fmt::format("=\\fI{}\\fR", troff(option.value_default));
        text += fmt::format(".TP\n{}\\fB\\-\\-{}\\fR{}\n{}\n", letter, troff(option.name), value,
                            troff(option.help));
    }
    return text;
}

// Every word that can follow these words of a command, for completion.
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

std::string joined(const std::set<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

std::set<std::string> option_words(const CommandSpec* command) {
    std::set<std::string> words;
    const auto add = [&](std::span<const OptionSpec> options) {
        for (const OptionSpec& option : options) {
            words.insert("--" + std::string(option.name));
        }
    };
    add(global_options());
    if (command != nullptr) {
        add(command->options);
    }
    return words;
}

std::string bash_cases() {
    std::string cases = fmt::format("        '') words=\"{}\" ;;\n", joined(words_after("")));
    for (const std::string& group : words_after("")) {
        if (is_group(group)) {
            cases +=
                fmt::format("        {}) words=\"{}\" ;;\n", group, joined(words_after(group)));
        }
    }
    for (const CommandSpec& command : all_commands()) {
        cases += fmt::format("        '{}') words=\"{}\" ;;\n", command.path,
                             joined(option_words(&command)));
    }
    return cases;
}

// A pattern of every command and group.
std::string bash_paths() {
    std::set<std::string> paths;
    for (const CommandSpec& command : all_commands()) {
        paths.insert("'" + std::string(command.path) + "'");
        paths.insert("'" + std::string(command.path.substr(0, command.path.find(' '))) + "'");
    }
    std::string text;
    for (const std::string& path : paths) {
        text += (text.empty() ? "" : " | ") + path;
    }
    return text;
}

// Also what zsh runs, through its own bash mode.
std::string bash_script() {
    return fmt::format(
        "_cairn() {{\n"
        "    local words path='' word i\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        word=${{COMP_WORDS[i]}}\n"
        "        [[ $word == -* ]] && continue\n"
        "        case \"${{path:+$path }}$word\" in\n"
        "            {}) path=\"${{path:+$path }}$word\" ;;\n"
        "        esac\n"
        "    done\n"
        "    case $path in\n{}"
        "        *) words='' ;;\n"
        "    esac\n"
        "    [[ ${{COMP_WORDS[COMP_CWORD]}} == -* && -z $path ]] && words=\"{}\"\n"
        "    COMPREPLY=($(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n"
        "}}\n"
        "complete -o default -F _cairn cairn\n",
        bash_paths(), bash_cases(), joined(option_words(nullptr)));
}

std::string fish_script() {
    std::string text = "complete -c cairn -f\n";
    for (const std::string& word : words_after("")) {
        text += fmt::format("complete -c cairn -n __fish_use_subcommand -a {}\n", word);
    }
    for (const CommandSpec& command : all_commands()) {
        const std::size_t space = command.path.find(' ');
        const std::string_view first = command.path.substr(0, space);
        if (space != std::string_view::npos) {
            text +=
                fmt::format("complete -c cairn -n '__fish_seen_subcommand_from {}' -a {} -d '{}'\n",
                            first, command.path.substr(space + 1), command.summary);
        }
        for (const OptionSpec& option : command.options) {
            text +=
                fmt::format("complete -c cairn -n '__fish_seen_subcommand_from {}' -l {} -d '{}'\n",
                            first, option.name, option.help);
        }
    }
    for (const OptionSpec& option : global_options()) {
        text += fmt::format("complete -c cairn -l {} -d '{}'\n", option.name, option.help);
    }
    return text;
}

}  // namespace

const std::span<const OptionSpec> kCompletionOptions = {};

std::string help_text(std::string_view path) {
    if (const CommandSpec* command = find_command(path)) {
        return command_help(*command);
    }
    if (!path.empty() && is_group(path)) {
        return fmt::format("Usage:\n  cairn {} <command> [options]\n\n{}\nGlobal options:\n{}",
                           path, command_list(path), options_text(global_options()));
    }
    return overview();
}

std::string manual_page() {
    std::string text = fmt::format(
        ".TH CAIRN 1 \"\" \"cairn {}\" \"User Commands\"\n.SH NAME\ncairn \\- command line of the "
        "cairn key\\-value store\n.SH SYNOPSIS\n.B cairn\n.I command\n[arguments] [options]\n"
        ".SH DESCRIPTION\nSpeaks etcd's v3 API to cairn or etcd.\n{}\n.SH COMMANDS\n",
        CAIRN_VERSION, troff(kVariables));
    for (const CommandSpec& command : all_commands()) {
        text +=
            fmt::format(".SS cairn {} {}\n{}.\n{}\n", troff(command.path), troff(command.arguments),
                        troff(command.summary), troff(command.details));
        text += troff_options(command.options);
        text += fmt::format(".PP\n.nf\n{}\n.fi\n", troff(command.examples));
    }
    return text + ".SH OPTIONS\n" + troff_options(global_options()) + ".SH EXIT STATUS\n" +
           troff(kExitCodes);
}

std::string completion_script(std::string_view shell) {
    if (shell == "bash") {
        return bash_script();
    }
    if (shell == "zsh") {
        return "#compdef cairn\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script();
    }
    return shell == "fish" ? fish_script() : std::string();
}

Outcome run_completion(const Context& context) {
    const std::string script = context.line.arguments.size() == 1
                                   ? completion_script(context.line.arguments[0])
                                   : std::string();
    if (script.empty()) {
        return {kExitBadArgs, "completion command needs one of bash, zsh, fish"};
    }
    context.streams.out << script;
    return {};
}

Outcome run_manual(const Context& context) {
    context.streams.out << manual_page();
    return {};
}

Outcome run_version(const Context& context) {
    context.streams.out << fmt::format("cairn version: {}\nAPI version: 3.5\n", CAIRN_VERSION);
    return {};
}

}  // namespace cairn::client::ctl
