#include "client/ctl/kv.h"

#include <charconv>
#include <istream>
#include <iterator>
#include <ostream>
#include <utility>

#include <fmt/format.h>

#include "base/go_syntax.h"
#include "client/ctl/connect.h"
#include "client/ctl/print.h"

namespace cairn::client::ctl {
namespace {

constexpr OptionSpec kPut[] = {
    {"ignore-lease", 0, OptionType::kBool, "false", "keep the key's lease"},
    {"ignore-value", 0, OptionType::kBool, "false", "keep the key's value"},
    {"lease", 0, OptionType::kString, "0", "lease to attach, in hexadecimal"},
    {"prev-kv", 0, OptionType::kBool, "false", "print the pair that was there before"},
};

constexpr OptionSpec kGet[] = {
    {"consistency", 0, OptionType::kString, "l",
     "l: linearizable; s: serializable, the member's own data"},
    {"count-only", 0, OptionType::kBool, "false", "only the number of keys (with -w fields)"},
    {"from-key", 0, OptionType::kBool, "false", "all keys from <key> on, in the order of bytes"},
    {"keys-only", 0, OptionType::kBool, "false", "keys without values"},
    {"limit", 0, OptionType::kInt, "0", "most pairs to print; 0: all"},
    {"order", 0, OptionType::kString, "", "ASCEND or DESCEND"},
    {"prefix", 0, OptionType::kBool, "false", "all keys that begin with <key>"},
    {"print-value-only", 0, OptionType::kBool, "false", "values without keys"},
    {"rev", 0, OptionType::kInt, "0", "as of this revision; 0: the newest"},
    {"sort-by", 0, OptionType::kString, "", "CREATE, KEY, MODIFY, VALUE or VERSION"},
};

constexpr OptionSpec kDel[] = {
    {"from-key", 0, OptionType::kBool, "false", "all keys from <key> on, in the order of bytes"},
    {"prefix", 0, OptionType::kBool, "false", "all keys that begin with <key>"},
    {"prev-kv", 0, OptionType::kBool, "false", "print the deleted pairs"},
    {"range", 0, OptionType::kBool, "false", "says that [range_end] is meant; it needs no saying"},
};

constexpr OptionSpec kCompaction[] = {
    {"physical", 0, OptionType::kBool, "false", "wait until the space is free"},
};

std::string upper(std::string_view text) {
    std::string result(text);
    for (char& letter : result) {
        letter = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
    }
    return result;
}

// The end of the interval that --prefix, --from-key or a second argument means. An empty key with
// --prefix or --from-key is the whole store.
Outcome read_interval(const Invocation& line, std::string& key, std::string& range_end) {
    const bool prefix = line.flag("prefix");
    const bool from_key = line.flag("from-key");
    if (prefix && from_key) {
        return {kExitBadArgs,
                "`--prefix` and `--from-key` cannot be set at the same time, choose one"};
    }
    key = line.arguments[0];
    if (line.arguments.size() > 1) {
        if (prefix || from_key) {
            return {kExitBadArgs,
                    "too many arguments, only accept one argument when `--prefix` or `--from-key` "
                    "is set"};
        }
        range_end = line.arguments[1];
        return {};
    }
    if (prefix || from_key) {
        range_end = prefix && !key.empty() ? prefix_end(key) : std::string(kFromKey);
        key = key.empty() ? std::string(1, '\0') : key;
    }
    return {};
}

Outcome read_sort(const Invocation& line, GetOptions& options) {
    const std::string order = upper(line.text("order"));
    const std::string target = upper(line.text("sort-by"));
    if (order == "ASCEND") {
        options.sort_order = SortOrder::kAscend;
    } else if (order == "DESCEND") {
        options.sort_order = SortOrder::kDescend;
    } else if (!order.empty()) {
        return {kExitBadFeature, fmt::format("bad sort order {}", line.text("order"))};
    }
    constexpr std::pair<std::string_view, SortTarget> kTargets[] = {
        {"", SortTarget::kKey},          {"KEY", SortTarget::kKey},
        {"CREATE", SortTarget::kCreate}, {"MODIFY", SortTarget::kMod},
        {"VALUE", SortTarget::kValue},   {"VERSION", SortTarget::kVersion},
    };
    for (const auto& [name, value] : kTargets) {
        if (name == target) {
            options.sort_target = value;
            return {};
        }
    }
    return {kExitBadFeature, fmt::format("bad sort target {}", line.text("sort-by"))};
}

Outcome check_get_output(const Context& context) {
    const Invocation& line = context.line;
    const bool fields = context.output == Output::kFields;
    if (line.flag("keys-only") && line.flag("count-only")) {
        return {kExitBadArgs,
                "`--keys-only` and `--count-only` cannot be set at the same time, choose one"};
    }
    if (line.flag("count-only") && !fields) {
        return {kExitBadArgs, "--count-only is only for `--write-out=fields`"};
    }
    if (line.flag("print-value-only") && context.output != Output::kSimple) {
        return {kExitBadArgs, "print-value-only is only for `--write-out=simple`"};
    }
    return check_no_table(context);
}

}  // namespace

const std::span<const OptionSpec> kPutOptions = kPut;
const std::span<const OptionSpec> kGetOptions = kGet;
const std::span<const OptionSpec> kDelOptions = kDel;
const std::span<const OptionSpec> kCompactionOptions = kCompaction;

Asked<PutOp> put_of(const Invocation& line, const std::optional<std::string>& value) {
    Asked<PutOp> asked;
    PutOp& op = asked.request;
    op.options.ignore_value = line.flag("ignore-value");
    op.options.ignore_lease = line.flag("ignore-lease");
    op.options.prev_kv = line.flag("prev-kv");
    const std::size_t count = line.arguments.size();
    if (op.options.ignore_value && count > 1) {
        asked.outcome = {kExitBadArgs,
                         "put command needs only 1 argument when 'ignore-value' is set"};
        return asked;
    }
    if (count == 0 || (count == 1 && !value && !op.options.ignore_value)) {
        asked.outcome = {kExitBadArgs,
                         "put command needs 1 argument and input from stdin or 2 arguments"};
        return asked;
    }
    op.key = line.arguments[0];
    if (!op.options.ignore_value) {
        op.value = count > 1 ? line.arguments[1] : *value;
    }
    const std::string& lease = line.text("lease");
    const auto [end, error] =
        std::from_chars(lease.data(), lease.data() + lease.size(), op.options.lease, 16);
    if (error != std::errc{} || end != lease.data() + lease.size()) {
        asked.outcome = {
            kExitBadArgs,
            fmt::format("bad lease ID (strconv.ParseInt: parsing {}: invalid syntax), expecting ID "
                        "in Hex",
                        quote_go(lease))};
    }
    return asked;
}

Asked<GetOp> get_of(const Invocation& line) {
    Asked<GetOp> asked;
    if (line.arguments.empty()) {
        asked.outcome = {
            kExitBadArgs,
            "get command needs one argument as key and an optional argument as range_end"};
        return asked;
    }
    GetOptions& options = asked.request.options;
    const std::string& consistency = line.text("consistency");
    if (consistency != "l" && consistency != "s") {
        asked.outcome = {kExitBadFeature,
                         fmt::format("unknown consistency flag {}", quote_go(consistency))};
        return asked;
    }
    options.serializable = consistency == "s";
    options.keys_only = line.flag("keys-only");
    options.count_only = line.flag("count-only");
    options.limit = line.number("limit");
    options.revision = line.number("rev");
    asked.outcome = read_interval(line, asked.request.key, options.range_end);
    if (asked.outcome.code == kExitOk) {
        asked.outcome = read_sort(line, options);
    }
    return asked;
}

Asked<DeleteOp> del_of(const Invocation& line) {
    Asked<DeleteOp> asked;
    if (line.arguments.empty() || line.arguments.size() > 2) {
        asked.outcome = {
            kExitBadArgs,
            "del command needs one argument as key and an optional argument as range_end"};
        return asked;
    }
    asked.request.options.prev_kv = line.flag("prev-kv");
    asked.outcome = read_interval(line, asked.request.key, asked.request.options.range_end);
    return asked;
}

Outcome run_put(const Context& context) {
    std::optional<std::string> value;
    if (context.line.arguments.size() == 1 && !context.line.flag("ignore-value")) {
        value.emplace(std::istreambuf_iterator<char>(context.streams.in),
                      std::istreambuf_iterator<char>());
        // etcdctl takes nothing at all on its input for a forgotten argument.
        value = value->empty() ? std::nullopt : value;
    }
    const Asked<PutOp> asked = put_of(context.line, value);
    if (asked.outcome.code != kExitOk) {
        return asked.outcome;
    }
    if (Outcome table = check_no_table(context); table.code != kExitOk) {
        return table;
    }
    Result<Client> client = open_client(context, context.endpoints);
    if (!client) {
        return bad_endpoint(client.error());
    }
    const PutOp& op = asked.request;
    const Result<PutResponse> response = client->put(op.key, op.value, op.options);
    if (!response) {
        return failed_call(response.error());
    }
    print_put(context, *response);
    return {};
}

Outcome run_get(const Context& context) {
    const Asked<GetOp> asked = get_of(context.line);
    if (asked.outcome.code != kExitOk) {
        return asked.outcome;
    }
    if (Outcome output = check_get_output(context); output.code != kExitOk) {
        return output;
    }
    Result<Client> client = open_client(context, context.endpoints);
    if (!client) {
        return bad_endpoint(client.error());
    }
    const Result<GetResponse> response = client->get(asked.request.key, asked.request.options);
    if (!response) {
        return failed_call(response.error());
    }
    print_get(context, *response, context.line.flag("print-value-only"));
    return {};
}

Outcome run_del(const Context& context) {
    const Asked<DeleteOp> asked = del_of(context.line);
    if (asked.outcome.code != kExitOk) {
        return asked.outcome;
    }
    if (Outcome table = check_no_table(context); table.code != kExitOk) {
        return table;
    }
    Result<Client> client = open_client(context, context.endpoints);
    if (!client) {
        return bad_endpoint(client.error());
    }
    const Result<DeleteResponse> response = client->del(asked.request.key, asked.request.options);
    if (!response) {
        return failed_call(response.error());
    }
    print_del(context, *response);
    return {};
}

Outcome run_compaction(const Context& context) {
    if (context.line.arguments.size() != 1) {
        return {kExitBadArgs, "compaction command needs 1 argument"};
    }
    const std::string& text = context.line.arguments[0];
    const std::optional<std::uint64_t> revision = parse_go_int(text, true);
    if (!revision) {
        return {kExitError,
                fmt::format("strconv.ParseInt: parsing {}: invalid syntax", quote_go(text))};
    }
    Result<Client> client = open_client(context, context.endpoints);
    if (!client) {
        return bad_endpoint(client.error());
    }
    const auto number = static_cast<std::int64_t>(*revision);
    const Result<CompactResponse> response = client->compact(number, context.line.flag("physical"));
    if (!response) {
        return failed_call(response.error());
    }
    context.streams.out << fmt::format("compacted revision {}\n", number);
    return {};
}

}  // namespace cairn::client::ctl
