#include <istream>
#include <ostream>
#include <utility>

#include <fmt/format.h>

#include "base/go_syntax.h"
#include "client/ctl/connect.h"
#include "client/ctl/kv.h"
#include "client/ctl/parse.h"
#include "client/ctl/print.h"

namespace cairn::client::ctl {
namespace {

constexpr OptionSpec kTxn[] = {
    {"interactive", 'i', OptionType::kBool, "false", "ask for each part by name"},
};

// More operations than any server takes: a mistake in what is piped in.
constexpr std::size_t kLinesMax = 1U << 16U;

struct Lines {
    std::vector<std::string> lines;
    Outcome outcome;
};

// Up to the empty line that closes a part of the transaction. An end of input before that is an
// error: half a transaction must not run.
Lines read_part(const Context& context, std::string_view title) {
    Lines part;
    if (context.line.flag("interactive")) {
        context.streams.out << title << "\n" << std::flush;
    }
    for (std::string line; std::getline(context.streams.in, line) && !context.streams.in.eof();) {
        const std::size_t begin = line.find_first_not_of(" \t\r");
        if (begin == std::string::npos) {
            return part;
        }
        if (part.lines.size() == kLinesMax) {
            part.outcome = {kExitInvalidInput, "too many lines"};
            return part;
        }
        part.lines.push_back(line.substr(begin));
    }
    part.outcome = {kExitInvalidInput, "EOF"};
    return part;
}

// The letter behind a backslash, as Go reads it in a quoted string; others stand for themselves.
char unescaped(char letter) {
    switch (letter) {
        case 'n': return '\n';
        case 't': return '\t';
        case 'r': return '\r';
        case 'a': return '\a';
        case 'b': return '\b';
        case 'f': return '\f';
        case 'v': return '\v';
        default: return letter;
    }
}

std::optional<unsigned> hex_digit(char letter) {
    if (letter >= '0' && letter <= '9') {
        return static_cast<unsigned>(letter - '0');
    }
    const char lower = static_cast<char>(letter | 0x20);
    if (lower >= 'a' && lower <= 'f') {
        return static_cast<unsigned>(lower - 'a' + 10);
    }
    return std::nullopt;
}

// One quoted word from the front of `text`; nothing when the quote is not closed.
std::optional<std::string> take_quoted(std::string_view& text) {
    const char quote = text.front();
    std::string word;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == quote) {
            text.remove_prefix(i + 1);
            return word;
        }
        const bool escape = quote == '"' && text[i] == '\\' && i + 1 < text.size();
        if (!escape) {
            word += text[i];
            continue;
        }
        ++i;
        const auto high =
            i + 2 < text.size() && text[i] == 'x' ? hex_digit(text[i + 1]) : std::nullopt;
        const auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
        if (low) {
            word += static_cast<char>(*high << 4U | *low);
            i += 2;
        } else {
            word += unescaped(text[i]);
        }
    }
    return std::nullopt;
}

// Words separated by blanks; a word may be quoted.
std::optional<std::vector<std::string>> words_of(std::string_view text) {
    std::vector<std::string> words;
    while (true) {
        const std::size_t begin = text.find_first_not_of(" \t\r");
        if (begin == std::string_view::npos) {
            return words;
        }
        text.remove_prefix(begin);
        if (text.front() == '"' || text.front() == '\'') {
            const std::optional<std::string> word = take_quoted(text);
            if (!word) {
                return std::nullopt;
            }
            words.push_back(*word);
            continue;
        }
        const std::size_t end = std::min(text.find_first_of(" \t\r"), text.size());
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

template <class Request>
Outcome move_out(Asked<Request> asked, Op& op) {
    op = std::move(asked.request);
    return std::move(asked.outcome);
}

// put, get or del with its options, as on a command line of its own.
Outcome read_op(const std::string& text, Op& op) {
    const Outcome invalid{kExitInvalidInput, fmt::format("invalid txn request: {}", text)};
    const std::optional<std::vector<std::string>> words = words_of(text);
    if (!words || words->empty()) {
        return invalid;
    }
    const std::string& name = words->front();
    if (name != "put" && name != "get" && name != "del") {
        return invalid;
    }
    const ParsedLine parsed = parse_line(*words, {});
    if (parsed.kind != ParseKind::kRun) {
        return {kExitInvalidInput, fmt::format("invalid txn request: {} ({})", text, parsed.error)};
    }
    if (name == "put") {
        return move_out(put_of(parsed.invocation, std::nullopt), op);
    }
    return name == "get" ? move_out(get_of(parsed.invocation), op)
                         : move_out(del_of(parsed.invocation), op);
}

struct CompareParts {
    std::string target;
    std::string key;
    char sign = 0;
    std::string operand;
};

// target("key") <sign> "operand"
std::optional<CompareParts> split_compare(std::string_view text) {
    CompareParts parts;
    const std::size_t open = text.find('(');
    if (open == std::string_view::npos) {
        return std::nullopt;
    }
    parts.target = text.substr(0, open);
    text.remove_prefix(open + 1);
    if (text.empty() || (text.front() != '"' && text.front() != '\'')) {
        return std::nullopt;
    }
    const std::optional<std::string> key = take_quoted(text);
    if (!key || text.empty() || text.front() != ')') {
        return std::nullopt;
    }
    parts.key = *key;
    text.remove_prefix(1);
    const std::size_t sign = text.find_first_not_of(" \t");
    if (sign == std::string_view::npos) {
        return std::nullopt;
    }
    parts.sign = text[sign];
    std::size_t skip = sign + 1;
    if (text.substr(sign, 2) == "!=") {
        ++skip;
    }
    const std::optional<std::vector<std::string>> operand = words_of(text.substr(skip));
    if (!operand || operand->size() != 1) {
        return std::nullopt;
    }
    parts.operand = operand->front();
    return parts;
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

Outcome read_compare(const std::string& text, Compare& compare) {
    const std::optional<CompareParts> parts = split_compare(text);
    if (!parts) {
        return {kExitInvalidInput, fmt::format("malformed comparison: {}", text)};
    }
    const std::optional<CompareTarget> target = target_of(parts->target);
    if (!target) {
        return {kExitInvalidInput,
                fmt::format("malformed comparison: {} (unknown target {})", text, parts->target)};
    }
    compare.key = parts->key;
    compare.target = *target;
    switch (parts->sign) {
        case '=': compare.result = CompareResult::kEqual; break;
        case '!': compare.result = CompareResult::kNotEqual; break;
        case '<': compare.result = CompareResult::kLess; break;
        case '>': compare.result = CompareResult::kGreater; break;
        default: return {kExitInvalidInput, fmt::format("malformed comparison: {}", text)};
    }
    if (*target == CompareTarget::kValue) {
        compare.value = parts->operand;
        return {};
    }
    const bool is_lease = *target == CompareTarget::kLease;
    const auto number = parse_go_int((is_lease ? "0x" : "") + parts->operand, !is_lease);
    if (!number) {
        return {kExitInvalidInput, fmt::format("invalid txn compare request: {}", text)};
    }
    compare.number = static_cast<std::int64_t>(*number);
    return {};
}

// All lines of a part, each by `read`.
template <class Item, class Read>
Outcome read_items(const Lines& part, std::vector<Item>& items, Read read) {
    if (part.outcome.code != kExitOk) {
        return part.outcome;
    }
    for (const std::string& line : part.lines) {
        Item item;
        if (Outcome outcome = read(line, item); outcome.code != kExitOk) {
            return outcome;
        }
        items.push_back(std::move(item));
    }
    return {};
}

Outcome read_txn(const Context& context, TxnRequest& txn) {
    Outcome outcome = read_items(read_part(context, "compares:"), txn.compares, read_compare);
    if (outcome.code == kExitOk) {
        outcome = read_items(read_part(context, "success requests (get, put, del):"), txn.success,
                             read_op);
    }
    if (outcome.code == kExitOk) {
        outcome = read_items(read_part(context, "failure requests (get, put, del):"), txn.failure,
                             read_op);
    }
    return outcome;
}

}  // namespace

const std::span<const OptionSpec> kTxnOptions = kTxn;

Outcome run_txn(const Context& context) {
    if (!context.line.arguments.empty()) {
        return {kExitBadArgs, "txn command does not accept argument"};
    }
    if (Outcome table = check_no_table(context); table.code != kExitOk) {
        return table;
    }
    TxnRequest txn;
    if (Outcome outcome = read_txn(context, txn); outcome.code != kExitOk) {
        return outcome;
    }
    Result<Client> client = open_client(context, context.endpoints);
    if (!client) {
        return bad_endpoint(client.error());
    }
    const Result<TxnResponse> response = client->txn(txn);
    if (!response) {
        return failed_call(response.error());
    }
    print_txn(context, *response);
    return {};
}

}  // namespace cairn::client::ctl
