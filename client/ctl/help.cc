#include "client/ctl/help.h"

#include <algorithm>
#include <ostream>

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

constexpr std::string_view kAbbreviations =
    "A command's name may be cut short as long as only one begins so: cairn end stat.\n";

constexpr std::string_view kExitCodes =
    "Exit codes: 0 done, 1 error, 2 bad endpoint, 3 bad input, 4 unknown value of an option,\n"
    "5 no snapshot saved, 6 a file or the output failed, 128 bad arguments.\n";

constexpr std::string_view kColours =
    "On a terminal there are colours, unless NO_COLOR is set, and a line that tells what is being\n"
    "waited for; elsewhere neither.\n";

std::string overview() {
    return fmt::format(
        "cairn: the command line of cairn, a key-value store that speaks etcd's v3 API.\n\n"
        "Usage:\n  cairn <command> [arguments] [options]\n  cairn help <command>\n\n{}\n"
        "Examples:\n  cairn put foo bar\n  cairn get foo\n"
        "  cairn --endpoints 127.0.0.1:2379,127.0.0.1:22379 endpoint status -w table\n\n"
        "Global options:\n{}\n{}\n{}\n{}\n{}",
        command_list(""), options_text(global_options()), kAbbreviations, kVariables, kColours,
        kExitCodes);
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

}  // namespace

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
        ".SH DESCRIPTION\nSpeaks etcd's v3 API to cairn or etcd.\n{}.SH COMMANDS\n",
        CAIRN_VERSION, troff(kAbbreviations));
    for (const CommandSpec& command : all_commands()) {
        const std::string blank = command.arguments.empty() ? "" : " ";
        text += fmt::format(".SS cairn {}{}{}\n{}.\n", troff(command.path), blank,
                            troff(command.arguments), troff(command.summary));
        text += command.details.empty() ? "" : troff(wrapped(command.details, 0));
        text += troff_options(command.options);
        text += fmt::format(".PP\n.nf\n{}\n.fi\n", troff(command.examples));
    }
    return text + ".SH OPTIONS\n" + troff_options(global_options()) + ".SH ENVIRONMENT\n" +
           troff(kVariables) + ".PP\n" + troff(kColours) + ".SH EXIT STATUS\n" + troff(kExitCodes) +
           ".SH SEE ALSO\n.BR cairnd (1)\n";
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
