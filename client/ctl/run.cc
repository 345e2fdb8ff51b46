#include <algorithm>
#include <optional>
#include <ostream>
#include <utility>

#include <fmt/format.h>

#include "client/ctl/command.h"
#include "client/ctl/connect.h"
#include "client/ctl/help.h"
#include "client/ctl/parse.h"
#include "client/ctl/style.h"

namespace cairn::client::ctl {
namespace {

std::optional<Output> output_of(const Invocation& line) {
    const std::string& own = line.text("output");
    const std::string& name = own.empty() ? line.text("write-out") : own;
    constexpr std::pair<std::string_view, Output> kOutputs[] = {
        {"simple", Output::kSimple}, {"table", Output::kTable},       {"json", Output::kJson},
        {"fields", Output::kFields}, {"protobuf", Output::kProtobuf},
    };
    for (const auto& [text, output] : kOutputs) {
        if (text == name) {
            return output;
        }
    }
    return std::nullopt;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
    text.remove_prefix(begin);
    return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        const std::string_view part = trimmed(text.substr(0, comma));
        if (!part.empty()) {
            parts.emplace_back(part);
        }
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return parts;
}

// Each global option with its value, as variables, as etcdctl shows them; but no secrets.
void show_options(const Invocation& line, Streams streams) {
    for (const OptionSpec& option : global_options()) {
        const std::string& value = line.text(option.name);
        const bool is_secret = (option.name == "user" || option.name == "password");
        streams.error << variable_of("CAIRN_", option.name) << "="
                      << (is_secret && !value.empty() ? "(hidden)" : value) << "\n";
    }
}

std::string error_mark(const Streams& streams) {
    return painted(streams.terminal.colours_error, Paint::kRed, "Error:") + " ";
}

int report(const Outcome& outcome, Streams streams) {
    streams.out.flush();
    if (!outcome.error.empty()) {
        streams.error << error_mark(streams) << outcome.error << "\n";
    }
    if (outcome.code == kExitOk && !streams.out) {
        streams.error << error_mark(streams) << "the output could not be written\n";
        return kExitIo;
    }
    return outcome.code;
}

}  // namespace

int run(const std::vector<std::string>& arguments,
        const std::map<std::string, std::string>& environment, Streams streams) {
    const ParsedLine parsed = parse_line(arguments, environment);
    if (parsed.kind == ParseKind::kHelp) {
        const std::string text = help_text(parsed.help_path);
        streams.out << (streams.terminal.colours_out ? with_bold_headings(text) : text);
        return report({}, streams);
    }
    if (parsed.kind == ParseKind::kError) {
        const Outcome outcome{kExitError, parsed.error};
        const int code = report(outcome, streams);
        streams.error << fmt::format("Run 'cairn {}{}--help' for usage.\n", parsed.help_path,
                                     parsed.help_path.empty() ? "" : " ");
        return code;
    }
    const std::optional<Output> output = output_of(parsed.invocation);
    if (!output) {
        return report({kExitBadFeature, "unsupported output format"}, streams);
    }
    const Context context{parsed.invocation, streams, *output, parsed.invocation.flag("hex"),
                          split_list(parsed.invocation.text("endpoints"))};
    if (parsed.invocation.flag("debug")) {
        show_options(parsed.invocation, streams);
    }
    const CommandSpec& command = *parsed.invocation.command;
    Outcome outcome = command.is_local ? Outcome{} : check_connection_options(context);
    if (outcome.code == kExitOk) {
        outcome = command.run(context);
    }
    return report(outcome, streams);
}

}  // namespace cairn::client::ctl
