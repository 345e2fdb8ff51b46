#include "client/ctl/kv.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <istream>
#include <ostream>
#include <utility>

#include <fmt/format.h>

#include "base/go_syntax.h"
#include "client/ctl/connect.h"
#include "client/ctl/go_text.h"
#include "client/ctl/print.h"

namespace cairn::client::ctl {
namespace {

constexpr OptionSpec kPut[] = {
    {"file", 'f', OptionType::kFile, "", "file that holds the value; - is standard input"},
    {"ignore-lease", 0, OptionType::kBool, "false", "keep the key's lease"},
    {"ignore-value", 0, OptionType::kBool, "false", "keep the key's value"},
    {"lease", 0, OptionType::kString, "0", "lease to attach, in hexadecimal"},
    {"prev-kv", 0, OptionType::kBool, "false", "print the pair that was there before"},
};

constexpr OptionSpec kGet[] = {
    {"consistency", 0, OptionType::kString, "l",
     "l: linearizable; s: serializable, the member's own data", "l s"},
    {"count-only", 0, OptionType::kBool, "false", "only the number of keys (with -w fields)"},
    {"from-key", 0, OptionType::kBool, "false", "all keys from <key> on, in the order of bytes"},
    {"keys-only", 0, OptionType::kBool, "false", "keys without values"},
    {"limit", 0, OptionType::kInt, "0", "most pairs to print; 0: all"},
    {"max-create-rev", 0, OptionType::kInt, "0", "only keys that are as old, or older; 0: all"},
    {"max-mod-rev", 0, OptionType::kInt, "0", "only keys not changed since; 0: all"},
    {"min-create-rev", 0, OptionType::kInt, "0", "only keys made at or after this revision"},
    {"min-mod-rev", 0, OptionType::kInt, "0", "only keys changed at or after this revision"},
    {"order", 0, OptionType::kString, "", "ASCEND or DESCEND", "ASCEND DESCEND"},
    {"prefix", 0, OptionType::kBool, "false", "all keys that begin with <key>"},
    {"print-value-only", 0, OptionType::kBool, "false", "values without keys"},
    {"rev", 0, OptionType::kInt, "0", "as of this revision; 0: the newest"},
    {"sort-by", 0, OptionType::kString, "", "CREATE, KEY, MODIFY, VALUE or VERSION",
     "CREATE KEY MODIFY VALUE VERSION"},
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
    if (line.flag("count-only") && context.output != Output::kFields) {
        return {kExitBadArgs, "--count-only is only for `--write-out=fields`"};
    }
    if (line.flag("print-value-only") && context.output != Output::kSimple) {
        return {kExitBadArgs, "print-value-only is only for `--write-out=simple`"};
    }
    return check_output_is_not(context, Output::kTable);
}

// The bounds of --min-… and --max-…, which newer etcdctls have.
Outcome read_revision_bounds(const Invocation& line, GetOptions& options) {
    options.min_create_revision = std::max<std::int64_t>(line.number("min-create-rev"), 0);
    options.max_create_revision = std::max<std::int64_t>(line.number("max-create-rev"), 0);
    options.min_mod_revision = std::max<std::int64_t>(line.number("min-mod-rev"), 0);
    options.max_mod_revision = std::max<std::int64_t>(line.number("max-mod-rev"), 0);
    const auto check = [](std::string_view what, std::int64_t min, std::int64_t max) -> Outcome {
        if (max == 0 || min <= max) {
            return {};
        }
        return {kExitBadFeature,
                fmt::format("getMin{0}Rev(={1}) > getMax{0}Rev(={2})", what, min, max)};
    };
    Outcome created = check("Create", options.min_create_revision, options.max_create_revision);
    return created.code != kExitOk
               ? created
               : check("Mod", options.min_mod_revision, options.max_mod_revision);
}

// Larger than any request a server takes.
constexpr std::size_t kValueBytesMax = std::size_t{64} << 20U;

Outcome read_all(std::istream& in, std::string& value) {
    constexpr std::streamsize kBlockBytes = 1 << 16;
    std::array<char, kBlockBytes> block{};
    while (in.read(block.data(), kBlockBytes) || in.gcount() > 0) {
        value.append(block.data(), static_cast<std::size_t>(in.gcount()));
        if (value.size() > kValueBytesMax) {
            return {kExitInvalidInput,
                    fmt::format("the value is larger than {} MiB", kValueBytesMax >> 20U)};
        }
    }
    return in.bad() ? Outcome{kExitIo, "the value could not be read"} : Outcome{};
}

Outcome read_file(const std::string& name, std::string& value) {
    std::ifstream file;
    Outcome outcome = open_file(name, file);
    return outcome.code == kExitOk ? read_all(file, value) : outcome;
}

// From the second argument, --file or `input`, whichever there is. `--file -` is `input`, and may
// be empty; without --file etcdctl takes nothing at all on its input for a forgotten argument.
Outcome read_value(const Invocation& line, std::istream* input, std::string& value) {
    const Outcome missing{kExitBadArgs,
                          "put command needs 1 argument and input from stdin or 2 arguments"};
    const std::string& file = line.text("file");
    if (line.arguments.size() > 1) {
        value = line.arguments[1];
        return file.empty() ? Outcome{}
                            : Outcome{kExitBadArgs, "--file and a value exclude each other"};
    }
    if (!file.empty() && file != "-") {
        return read_file(file, value);
    }
    if (input == nullptr) {
        return missing;
    }
    Outcome outcome = read_all(*input, value);
    return outcome.code == kExitOk && value.empty() && file.empty() ? missing : outcome;
}

Outcome read_lease(const Invocation& line, std::int64_t& lease) {
    const GoNumber number = parse_go_number(line.text("lease"), 16);
    lease = number.value;
    return number.error.empty() ? Outcome{}
                                : Outcome{kExitBadArgs, fmt::format("bad lease ID ({}), expecting "
                                                                    "ID in Hex",
                                                                    number.error)};
}

}  // namespace

const std::span<const OptionSpec> kPutOptions = kPut;
const std::span<const OptionSpec> kGetOptions = kGet;
const std::span<const OptionSpec> kDelOptions = kDel;
const std::span<const OptionSpec> kCompactionOptions = kCompaction;

Outcome open_file(const std::string& name, std::ifstream& file) {
    file.open(name, std::ios::binary);
    // A folder opens, but does not read; an empty file is at its end at once.
    if (!file.is_open() || (file.peek() == std::ifstream::traits_type::eof() && file.bad())) {
        return {kExitIo, fmt::format("open {}: {}", name, std::strerror(errno))};
    }
    file.clear();
    return {};
}

Asked<PutOp> put_of(const Invocation& line, std::istream* input) {
    Asked<PutOp> asked;
    PutOp& op = asked.request;
    op.options.ignore_value = line.flag("ignore-value");
    op.options.ignore_lease = line.flag("ignore-lease");
    op.options.prev_kv = line.flag("prev-kv");
    if (line.arguments.empty()) {
        asked.outcome = {kExitBadArgs,
                         "put command needs 1 argument and input from stdin or 2 arguments"};
        return asked;
    }
    op.key = line.arguments[0];
    if (!op.options.ignore_value) {
        asked.outcome = read_value(line, input, op.value);
    } else if (line.arguments.size() > 1 || !line.text("file").empty()) {
        asked.outcome = {kExitBadArgs,
                         "put command needs only 1 argument when 'ignore-value' is set"};
    }
    if (asked.outcome.code == kExitOk) {
        asked.outcome = read_lease(line, op.options.lease);
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
    asked.outcome = read_interval(line, asked.request.key, options.range_end);
    if (asked.outcome.code != kExitOk) {
        return asked;
    }
    options.keys_only = line.flag("keys-only");
    options.count_only = line.flag("count-only");
    if (options.keys_only && options.count_only) {
        asked.outcome = {kExitBadArgs,
                         "`--keys-only` and `--count-only` cannot be set at the same "
                         "time, choose one"};
        return asked;
    }
    const std::string& consistency = line.text("consistency");
    if (consistency != "l" && consistency != "s") {
        asked.outcome = {kExitBadFeature,
                         fmt::format("unknown consistency flag {}", quote_go(consistency))};
        return asked;
    }
    options.serializable = consistency == "s";
    options.limit = line.number("limit");
    options.revision = line.number("rev");
    asked.outcome = read_sort(line, options);
    if (asked.outcome.code == kExitOk) {
        asked.outcome = read_revision_bounds(line, options);
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
    if (Outcome table = check_output_is_not(context, Output::kTable); table.code != kExitOk) {
        return table;
    }
    const Terminal& terminal = context.streams.terminal;
    const Invocation& line = context.line;
    const bool reads = line.arguments.size() == 1 && line.text("file").empty();
    if (reads && !line.flag("ignore-value") && terminal.reads && terminal.progress) {
        context.streams.error << "The value, up to Ctrl-D:\n" << std::flush;
    }
    const Asked<PutOp> asked = put_of(line, &context.streams.in);
    if (asked.outcome.code != kExitOk) {
        return asked.outcome;
    }
    const PutOp& op = asked.request;
    return ask(
        context, [&](Client& client) { return client.put(op.key, op.value, op.options); },
        [&](const PutResponse& response) { print_put(context, response); });
}

Outcome run_get(const Context& context) {
    const Asked<GetOp> asked = get_of(context.line);
    if (asked.outcome.code != kExitOk) {
        return asked.outcome;
    }
    if (Outcome output = check_get_output(context); output.code != kExitOk) {
        return output;
    }
    return ask(
        context,
        [&](Client& client) { return client.get(asked.request.key, asked.request.options); },
        [&](const GetResponse& response) {
            print_get(context, response, context.line.flag("print-value-only"));
        });
}

Outcome run_del(const Context& context) {
    const Asked<DeleteOp> asked = del_of(context.line);
    if (asked.outcome.code != kExitOk) {
        return asked.outcome;
    }
    if (Outcome table = check_output_is_not(context, Output::kTable); table.code != kExitOk) {
        return table;
    }
    return ask(
        context,
        [&](Client& client) { return client.del(asked.request.key, asked.request.options); },
        [&](const DeleteResponse& response) { print_del(context, response); });
}

Outcome run_compaction(const Context& context) {
    if (context.line.arguments.size() != 1) {
        return {kExitBadArgs, "compaction command needs 1 argument"};
    }
    const GoNumber revision = parse_go_number(context.line.arguments[0], 10);
    if (!revision.error.empty()) {
        return {kExitError, revision.error};
    }
    const bool physical = context.line.flag("physical");
    return ask(
        context, [&](Client& client) { return client.compact(revision.value, physical); },
        [&](const CompactResponse&) {
            context.streams.out << fmt::format("compacted revision {}\n", revision.value);
        });
}

}  // namespace cairn::client::ctl
