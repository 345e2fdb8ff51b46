#include <optional>
#include <ostream>

#include <fmt/format.h>

#include "client/ctl/command.h"
#include "client/ctl/help.h"
#include "client/ctl/parse.h"

namespace cairn::client::ctl {
namespace {

std::optional<Output> output_of(const Invocation& line) {
    const std::string& own = line.text("output");
    const std::string& name = own.empty() ? line.text("write-out") : own;
    if (name == "simple") {
        return Output::kSimple;
    }
    if (name == "table") {
        return Output::kTable;
    }
    if (name == "json") {
        return Output::kJson;
    }
    return name == "fields" ? std::optional(Output::kFields) : std::nullopt;
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        if (comma > 0) {
            parts.emplace_back(text.substr(0, comma));
        }
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return parts;
}

int report(const Outcome& outcome, Streams streams) {
    streams.out.flush();
    if (!outcome.error.empty()) {
        streams.error << "Error: " << outcome.error << "\n";
    }
    if (outcome.code == kExitOk && !streams.out) {
        streams.error << "Error: the output could not be written\n";
        return kExitIo;
    }
    return outcome.code;
}

}  // namespace

int run(const std::vector<std::string>& arguments,
        const std::map<std::string, std::string>& environment, Streams streams) {
    const ParsedLine parsed = parse_line(arguments, environment);
    if (parsed.kind == ParseKind::kHelp) {
        streams.out << help_text(parsed.help_path);
        return report({}, streams);
    }
    if (parsed.kind == ParseKind::kError) {
        const Outcome outcome{kExitError, parsed.error};
        const int code = report(outcome, streams);
        if (!parsed.help_path.empty()) {
            streams.error << fmt::format("Run 'cairn {} --help' for usage.\n", parsed.help_path);
        }
        return code;
    }
    const std::optional<Output> output = output_of(parsed.invocation);
    if (!output) {
        return report({kExitBadFeature, "unsupported output format"}, streams);
    }
    const Context context{parsed.invocation, streams, *output, parsed.invocation.flag("hex"),
                          split_list(parsed.invocation.text("endpoints"))};
    return report(parsed.invocation.command->run(context), streams);
}

}  // namespace cairn::client::ctl
