#include "client/ctl/completion.h"

#include <map>
#include <ostream>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "client/ctl/parse.h"

namespace cairn::client::ctl {
namespace {

// "", "endpoint", "endpoint status", …: wherever a command's name can stand while it is typed.
std::set<std::string> all_paths() {
    std::set<std::string> paths{""};
    for (const CommandSpec& command : all_commands()) {
        const std::string path(command.path);
        for (std::size_t space = path.find(' '); space != std::string::npos;
             space = path.find(' ', space + 1)) {
            paths.insert(path.substr(0, space));
        }
        paths.insert(path);
    }
    return paths;
}

// The same as words of a shell's pattern: 'get' 'endpoint' 'endpoint status'.
std::string quoted_paths(std::string_view between) {
    std::vector<std::string> quoted;
    for (const std::string& path : all_paths()) {
        if (!path.empty()) {
            quoted.push_back("'" + path + "'");
        }
    }
    return fmt::format("{}", fmt::join(quoted, between));
}

// A command's own options and the global ones; only these without a command.
std::vector<OptionSpec> options_at(std::string_view path) {
    std::vector<OptionSpec> options;
    if (const CommandSpec* command = find_command(path)) {
        options.assign(command->options.begin(), command->options.end());
    }
    options.insert(options.end(), global_options().begin(), global_options().end());
    return options;
}

// Every option by its name; where commands share a name, the values are the same.
std::map<std::string_view, OptionSpec> all_options() {
    std::map<std::string_view, OptionSpec> options;
    for (const std::string& path : all_paths()) {
        for (const OptionSpec& option : options_at(path)) {
            options.emplace(option.name, option);
        }
    }
    return options;
}

// "--write-out | -w", as a pattern of case.
std::string option_pattern(const OptionSpec& option) {
    return option.letter != 0 ? fmt::format("--{} | -{}", option.name, option.letter)
                              : fmt::format("--{}", option.name);
}

// One line of case for each option that takes a value: what these are, or `file`.
std::string value_cases(std::string_view words_form, std::string_view file,
                        std::string_view anything) {
    std::string cases;
    for (const auto& [name, option] : all_options()) {
        if (option.type == OptionType::kBool) {
            continue;
        }
        std::string action(option.type == OptionType::kFile ? file : anything);
        if (!option.choices.empty()) {
            action = fmt::format(fmt::runtime(words_form), option.choices);
        }
        cases += fmt::format("        {}) {} ;;\n", option_pattern(option), action);
    }
    return cases;
}

constexpr std::string_view kShells = "bash fish zsh";

std::string bash_words() {
    std::string cases;
    for (const std::string& path : all_paths()) {
        std::set<std::string> words = words_after(path);
        for (const OptionSpec& option : options_at(path)) {
            words.insert("--" + std::string(option.name));
        }
        cases += fmt::format("        '{}') words='{}{}' ;;\n", path,
                             path == "completion" ? std::string(kShells) + " " : "",
                             fmt::join(words, " "));
    }
    return cases;
}

// A file's name is left to bash itself: an empty COMPREPLY with -o default.
std::string bash_script() {
    return fmt::format(
        "_cairn() {{\n"
        "    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}\n"
        "    local chosen='' words='' word i\n"
        "    COMPREPLY=()\n"
        "    [[ $current == '=' ]] && current=''\n"
        "    [[ $previous == '=' ]] && previous=${{COMP_WORDS[COMP_CWORD - 2]}}\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        word=${{COMP_WORDS[i]}}\n"
        "        case \"${{chosen:+$chosen }}$word\" in\n"
        "        {}) chosen=\"${{chosen:+$chosen }}$word\" ;;\n"
        "        esac\n"
        "    done\n"
        "    case $previous in\n{}"
        "    esac\n"
        "    [[ -n $words ]] || case $chosen in\n{}"
        "    esac\n"
        "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
        "}}\n"
        "complete -o default -F _cairn cairn\n",
        quoted_paths(" | "), value_cases("words='{}'", "return", "return"), bash_words());
}

// In single quotes, which bash and zsh close around a quote of the text, and fish escapes.
std::string quoted(std::string_view text, std::string_view quote) {
    std::string result = "'";
    for (const char letter : text) {
        result += letter == '\'' ? quote : std::string_view(&letter, 1);
    }
    return result + "'";
}

std::string zsh_entry(std::string_view word, std::string_view summary) {
    return fmt::format(" {}", quoted(fmt::format("{}:{}", word, summary), "'\\''"));
}

// What a word after these stands for: the command's summary, or that of a group.
std::string summary_of(const std::string& path) {
    const CommandSpec* command = find_command(path);
    return command != nullptr ? std::string(command->summary) : fmt::format("{} commands", path);
}

std::string zsh_entries(const std::string& path) {
    std::string entries;
    for (const std::string& word : words_after(path)) {
        entries += zsh_entry(word, summary_of(path.empty() ? word : path + " " + word));
    }
    if (!entries.empty()) {
        return fmt::format("found=({}); _describe command found", entries);
    }
    for (const OptionSpec& option : options_at(path)) {
        entries += zsh_entry("--" + std::string(option.name), option.help);
    }
    const std::string shells =
        path == "completion" ? fmt::format("compadd -- {}; ", kShells) : std::string();
    return fmt::format("{}found=({}); _describe -o option found", shells, entries);
}

std::string zsh_script() {
    std::string cases;
    for (const std::string& path : all_paths()) {
        cases += fmt::format("        ('{}') {} ;;\n", path, zsh_entries(path));
    }
    return fmt::format(
        "#compdef cairn\n"
        "_cairn() {{\n"
        "    local chosen='' word previous=${{words[CURRENT-1]}}\n"
        "    local -i i\n"
        "    local -a found\n"
        "    for ((i = 2; i < CURRENT; i++)); do\n"
        "        word=${{words[i]}}\n"
        "        case \"${{chosen:+$chosen }}$word\" in\n"
        "        {}) chosen=\"${{chosen:+$chosen }}$word\" ;;\n"
        "        esac\n"
        "    done\n"
        "    case $previous in\n{}"
        "    esac\n"
        "    case $chosen in\n{}"
        "    esac\n"
        "}}\n"
        "if [[ $funcstack[1] == _cairn ]]; then _cairn \"$@\"; else compdef _cairn cairn; fi\n",
        quoted_paths(" | "), value_cases("compadd -- {}; return", "_files; return", "return"),
        cases);
}

std::string fish_option(const OptionSpec& option) {
    std::string text = fmt::format(" -l {}", option.name);
    text += option.letter != 0 ? fmt::format(" -s {}", option.letter) : "";
    if (!option.choices.empty()) {
        text += fmt::format(" -x -a '{}'", option.choices);
    } else if (option.type == OptionType::kFile) {
        text += " -r -F";
    } else if (option.type != OptionType::kBool) {
        text += " -x";
    }
    return text + " -d " + quoted(option.help, "\\'") + "\n";
}

std::string fish_script() {
    std::string text = fmt::format(
        "function __cairn_at\n"
        "    set -l chosen ''\n"
        "    for word in (commandline -opc)[2..-1]\n"
        "        set -l longer (string trim -- \"$chosen $word\")\n"
        "        contains -- $longer {}; and set chosen $longer\n"
        "    end\n"
        "    test \"$chosen\" = \"$argv\"\n"
        "end\n"
        "complete -c cairn -f\n",
        quoted_paths(" "));
    for (const std::string& path : all_paths()) {
        const std::string begin = fmt::format("complete -c cairn -n \"__cairn_at '{}'\"", path);
        for (const std::string& word : words_after(path)) {
            const std::string summary = summary_of(path.empty() ? word : path + " " + word);
            text += fmt::format("{} -a {} -d {}\n", begin, word, quoted(summary, "\\'"));
        }
        if (const CommandSpec* command = find_command(path)) {
            for (const OptionSpec& option : command->options) {
                text += begin + fish_option(option);
            }
        }
    }
    text += fmt::format("complete -c cairn -n '__cairn_at completion' -a '{}'\n", kShells);
    for (const OptionSpec& option : global_options()) {
        text += "complete -c cairn" + fish_option(option);
    }
    return text;
}

}  // namespace

std::string completion_script(std::string_view shell) {
    if (shell == "bash") {
        return bash_script();
    }
    if (shell == "zsh") {
        return zsh_script();
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

}  // namespace cairn::client::ctl
