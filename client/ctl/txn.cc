#include <algorithm>
#include <fstream>
#include <istream>
#include <optional>
#include <ostream>
#include <utility>

#include <fmt/format.h>

#include "base/go_syntax.h"
#include "client/ctl/connect.h"
#include "client/ctl/go_text.h"
#include "client/ctl/kv.h"
#include "client/ctl/parse.h"
#include "client/ctl/print.h"

namespace cairn::client::ctl {
namespace {

constexpr OptionSpec kTxn[] = {
    {"file", 'f', OptionType::kFile, "", "file that holds the transaction; - is standard input"},
    {"interactive", 'i', OptionType::kBool, "false", "ask for each part by name"},
};

// More operations than any server takes: a mistake in what is piped in.
constexpr std::size_t kLinesMax = 1U << 16U;

// Where the lines come from.
struct Source {
    std::istream& in;
    std::ostream* prompts;  // null: nobody is asked
    // The end of a file closes what is open. That of standard input may be the end of whoever wrote
    // it, and half a transaction must not run.
    bool end_closes;
};

template <class Request>
Outcome move_out(Asked<Request> asked, Op& op) {
    op = std::move(asked.request);
    return std::move(asked.outcome);
}

bool has_global_option(const Invocation& line) {
    for (const OptionSpec& option : global_options()) {
        if (line.text(option.name) != option.value_default) {
            return true;
        }
    }
    return false;
}

// put, get or del with its options, as on a command line of its own.
Outcome read_op(const std::string& text, Op& op) {
    const auto invalid = [&](const std::string& why) {
        return Outcome{kExitInvalidInput, fmt::format("invalid txn request: {}{}", text,
                                                      why.empty() ? "" : " (" + why + ")")};
    };
    const std::optional<std::vector<std::string>> words = words_of(text);
    if (!words) {
        return invalid("a quote or an escape is wrong");
    }
    if (words->size() < 2) {
        return {kExitInvalidInput, fmt::format("invalid txn compare request: {}", text)};
    }
    const ParsedLine parsed = parse_line(*words, {});
    const Invocation& line = parsed.invocation;
    if (parsed.kind == ParseKind::kError) {
        return invalid(line.command != nullptr ? parsed.error : "");
    }
    if (parsed.kind == ParseKind::kHelp || has_global_option(line)) {
        return invalid({});
    }
    if (line.command->path == "put") {
        return move_out(put_of(line, nullptr), op);
    }
    if (line.command->path == "get") {
        return move_out(get_of(line), op);
    }
    return line.command->path == "del" ? move_out(del_of(line), op) : invalid({});
}

struct CompareParts {
    std::string target;
    std::string key;
    std::string sign;
    std::string operand;
};

bool is_quote(char letter) { return letter == '"' || letter == '\'' || letter == '`'; }

bool take_key(std::string_view& text, std::string& key) {
    const std::optional<std::string> quoted =
        !text.empty() && is_quote(text.front()) ? take_quoted(text) : std::nullopt;
    key = quoted.value_or("");
    if (!quoted || text.empty() || text.front() != ')') {
        return false;
    }
    text.remove_prefix(1);
    return true;
}

// The quotes may be left out.
bool take_operand(std::string_view text, std::string& operand) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) {
        return false;
    }
    text.remove_prefix(begin);
    if (!is_quote(text.front())) {
        operand = text;
        return text.find_first_of(" \t\"'`=<>!") == std::string_view::npos;
    }
    const std::optional<std::string> quoted = take_quoted(text);
    operand = quoted.value_or("");
    return quoted && text.find_first_not_of(" \t") == std::string_view::npos;
}

// target("key") <sign> "operand", with whatever blanks. False: it is malformed; `parts` then holds
// what was understood.
bool split_compare(std::string_view text, CompareParts& parts) {
    const std::size_t open = text.find('(');
    parts.target = text.substr(0, open);
    text.remove_prefix(open + 1);
    if (!take_key(text, parts.key)) {
        return false;
    }
    const std::size_t sign = std::min(text.find_first_not_of(" \t"), text.size());
    text.remove_prefix(sign);
    parts.sign = text.substr(0, text.substr(0, 2) == "!=" ? 2 : 1);
    text.remove_prefix(parts.sign.size());
    return take_operand(text, parts.operand);
}

std::optional<CompareTarget> target_of(std::string_view name) {
    constexpr std::pair<std::string_view, CompareTarget> kTargets[] = {
        {"ver", CompareTarget::kVersion}, {"version", CompareTarget::kVersion},
        {"c", CompareTarget::kCreate},    {"create", CompareTarget::kCreate},
        {"m", CompareTarget::kMod},       {"mod", CompareTarget::kMod},
        {"val", CompareTarget::kValue},   {"value", CompareTarget::kValue},
        {"lease", CompareTarget::kLease},
    };
    for (const auto& [text, target] : kTargets) {
        if (text == name) {
            return target;
        }
    }
    return std::nullopt;
}

std::optional<CompareResult> result_of(std::string_view sign) {
    constexpr std::pair<std::string_view, CompareResult> kSigns[] = {
        {"=", CompareResult::kEqual},
        {"!=", CompareResult::kNotEqual},
        {"<", CompareResult::kLess},
        {">", CompareResult::kGreater},
    };
    for (const auto& [text, result] : kSigns) {
        if (text == sign) {
            return result;
        }
    }
    return std::nullopt;
}

Outcome malformed(const std::string& text, const std::string& why) {
    return {kExitInvalidInput, fmt::format("malformed comparison: {}{}", text, why)};
}

Outcome read_compare(const std::string& text, Compare& compare) {
    if (text.find('(') == std::string::npos) {
        return malformed(text, {});
    }
    CompareParts parts;
    const bool is_whole = split_compare(text, parts);
    const std::optional<CompareResult> result = result_of(parts.sign);
    if (!is_whole || !result) {
        return malformed(text, fmt::format("; got {}({}) {} {}", parts.target, quote_go(parts.key),
                                           parts.sign, quote_go(parts.operand)));
    }
    const std::optional<CompareTarget> target = target_of(parts.target);
    if (!target) {
        return malformed(text, fmt::format(" (unknown target {})", parts.target));
    }
    compare.key = parts.key;
    compare.target = *target;
    compare.result = *result;
    if (*target == CompareTarget::kValue) {
        compare.value = parts.operand;
        return {};
    }
    const GoNumber number =
        parse_go_number(parts.operand, *target == CompareTarget::kLease ? 16 : 10);
    if (!number.error.empty()) {
        return {kExitInvalidInput, fmt::format("invalid txn compare request: {}", text)};
    }
    compare.number = number.value;
    return {};
}

// The lines up to the empty one that closes this part, each by `read` as soon as it is there: who
// types sees a mistake at once.
template <class Item, class Read>
Outcome read_part(const Source& source, std::string_view title, std::vector<Item>& items,
                  Read read) {
    if (source.prompts != nullptr) {
        *source.prompts << title << "\n" << std::flush;
    }
    constexpr std::string_view kBlanks = " \t\r";
    std::string line;
    while (std::getline(source.in, line) && (source.end_closes || !source.in.eof())) {
        const std::size_t begin = line.find_first_not_of(kBlanks);
        if (begin == std::string::npos) {
            return {};
        }
        if (items.size() == kLinesMax) {
            return {kExitInvalidInput, "too many lines"};
        }
        const std::size_t end = line.find_last_not_of(kBlanks) + 1;
        Item item;
        if (Outcome outcome = read(line.substr(begin, end - begin), item);
            outcome.code != kExitOk) {
            return outcome;
        }
        items.push_back(std::move(item));
    }
    const bool is_good = source.end_closes && !source.in.bad();
    return is_good ? Outcome{} : Outcome{kExitInvalidInput, "EOF"};
}

Outcome read_txn(const Source& source, TxnRequest& txn) {
    Outcome outcome = read_part(source, "compares:", txn.compares, read_compare);
    if (outcome.code == kExitOk) {
        outcome = read_part(source, "success requests (get, put, del):", txn.success, read_op);
    }
    if (outcome.code == kExitOk) {
        outcome = read_part(source, "failure requests (get, put, del):", txn.failure, read_op);
    }
    return outcome;
}

Outcome read_asked_txn(const Context& context, TxnRequest& txn) {
    const Streams& streams = context.streams;
    const std::string& name = context.line.text("file");
    const bool interactive = context.line.flag("interactive");
    if (!name.empty() && name != "-") {
        if (interactive) {
            return {kExitBadArgs, "--file and --interactive exclude each other"};
        }
        std::ifstream file;
        Outcome outcome = open_file(name, file);
        return outcome.code == kExitOk ? read_txn({file, nullptr, true}, txn) : outcome;
    }
    // etcdctl's prompts are part of its output; a person who did not ask for them gets them beside.
    std::ostream* prompts = interactive ? &streams.out : nullptr;
    if (!interactive && streams.terminal.reads && streams.terminal.progress) {
        prompts = &streams.error;
    }
    return read_txn({streams.in, prompts, false}, txn);
}

}  // namespace

const std::span<const OptionSpec> kTxnOptions = kTxn;

Outcome run_txn(const Context& context) {
    if (!context.line.arguments.empty()) {
        return {kExitBadArgs, "txn command does not accept argument"};
    }
    if (Outcome table = check_output_is_not(context, Output::kTable); table.code != kExitOk) {
        return table;
    }
    TxnRequest txn;
    if (Outcome outcome = read_asked_txn(context, txn); outcome.code != kExitOk) {
        return outcome;
    }
    return ask(
        context, [&](Client& client) { return client.txn(txn); },
        [&](const TxnResponse& response) { print_txn(context, response); });
}

}  // namespace cairn::client::ctl
