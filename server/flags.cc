#include "server/flags.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/go_syntax.h"
#include "base/url.h"

namespace cairn::server {
namespace {

bool is_valid(const FlagSpec& spec, std::string_view text) {
    switch (spec.type) {
        case FlagType::kString:
        case FlagType::kUrls: return true;
        case FlagType::kBool: return parse_go_bool(text).has_value();
        case FlagType::kUint: return parse_go_int(text, false).has_value();
        case FlagType::kUint32: {
            const std::optional<std::uint64_t> value = parse_go_int(text, false);
            return value && *value <= std::numeric_limits<std::uint32_t>::max();
        }
        case FlagType::kInt: return parse_go_int(text, true).has_value();
        case FlagType::kDuration: return parse_go_duration(text).has_value();
    }
    return false;
}

bool is_choice(const FlagSpec& spec, std::string_view text) {
    std::string_view rest = spec.choices;
    while (!rest.empty()) {
        const std::size_t bar = std::min(rest.find('|'), rest.size());
        if (rest.substr(0, bar) == text) {
            return true;
        }
        rest.remove_prefix(std::min(bar + 1, rest.size()));
    }
    return spec.choices.empty();
}

// Whether two texts of the flag's type mean the same ("0x80" and "128").
bool means_same(const FlagSpec& spec, std::string_view a, std::string_view b) {
    switch (spec.type) {
        case FlagType::kString:
        case FlagType::kUrls: return a == b;
        case FlagType::kBool: return parse_go_bool(a) == parse_go_bool(b);
        case FlagType::kUint:
        case FlagType::kUint32: return parse_go_int(a, false) == parse_go_int(b, false);
        case FlagType::kInt: return parse_go_int(a, true) == parse_go_int(b, true);
        case FlagType::kDuration: return parse_go_duration(a) == parse_go_duration(b);
    }
    return false;
}

Error invalid(std::string text) { return {Errc::kInvalidConfig, std::move(text)}; }

// `given` is how the user said it: "--x" or "ETCD_X".
Result<void> check_value(const FlagSpec& spec, std::string_view text, std::string_view given) {
    const bool is_flag = given.substr(0, 2) == "--";
    if (!is_valid(spec, text) || !is_choice(spec, text)) {
        const std::string what = is_flag ? fmt::format("flag -{}", spec.name) : std::string(given);
        const std::string_view kind =
            spec.type == FlagType::kBool && is_flag ? "boolean value" : "value";
        const std::string choices =
            spec.choices.empty() ? "parse error" : fmt::format("not one of {}", spec.choices);
        return invalid(fmt::format("invalid {} \"{}\" for {}: {}", kind, text, what, choices));
    }
    if (spec.type == FlagType::kUrls && !text.empty()) {
        if (const Result<std::vector<Url>> urls = parse_urls(text); !urls) {
            return invalid(
                fmt::format("invalid value \"{}\" for {}: {}", text,
                            is_flag ? fmt::format("flag -{}", spec.name) : std::string(given),
                            urls.error().detail));
        }
    }
    const bool only_default =
        spec.support == FlagSupport::kLater || spec.support == FlagSupport::kNever;
    if (only_default && !means_same(spec, text, spec.value_default)) {
        return invalid(fmt::format(
            "{}={}: {} (only \"{}\" is accepted)", given, text,
            spec.support == FlagSupport::kLater ? "not supported yet" : "not supported by cairn",
            spec.value_default));
    }
    return ok();
}

// The nearest name of the table; empty when none is near.
std::string_view nearest_flag(std::string_view name) {
    constexpr std::size_t kNear = 3;
    std::string_view best;
    std::size_t best_distance = std::min(kNear, name.size() / 2) + 1;
    for (const FlagSpec& flag : all_flags()) {
        const std::size_t found = edit_distance(name, flag.name);
        if (found < best_distance) {
            best = flag.name;
            best_distance = found;
        }
    }
    return best;
}

Error unknown_flag(std::string_view name) {
    const std::string_view nearest = nearest_flag(name);
    return invalid(nearest.empty()
                       ? fmt::format("flag provided but not defined: -{}", name)
                       : fmt::format("flag provided but not defined: -{} (did you mean --{}?)",
                                     name, nearest));
}

std::optional<StartAction> action_of(std::string_view name) {
    if (name == "help" || name == "h") {
        return StartAction::kHelp;
    }
    if (name == "version") {
        return StartAction::kVersion;
    }
    if (name == "help-markdown") {
        return StartAction::kHelpMarkdown;
    }
    return std::nullopt;
}

// The arguments, one flag at a time.
class ArgumentReader {
  public:
    ArgumentReader(std::span<const std::string> arguments, CommandLine& out)
        : arguments_(arguments), out_(out) {}

    Result<void> read_all() {
        while (position_ < arguments_.size() && out_.action == StartAction::kRun) {
            CAIRN_TRY(read_one());
        }
        return ok();
    }

  private:
    Result<void> read_one() {
        const std::string_view argument = arguments_[position_++];
        if (argument.size() < 2 || argument.front() != '-' || argument == "--") {
            // Go's flag package stops here, and etcd refuses what is left.
            const std::string_view rest = argument == "--" && position_ < arguments_.size()
                                              ? arguments_[position_]
                                              : argument;
            return rest == "--"
                       ? Result<void>(ok())
                       : Result<void>(invalid(fmt::format("'{}' is not a valid flag", rest)));
        }
        std::string_view name = argument.substr(argument[1] == '-' ? 2 : 1);
        if (name.empty() || name.front() == '-' || name.front() == '=') {
            return invalid(fmt::format("bad flag syntax: {}", argument));
        }
        std::optional<std::string_view> value;
        if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
            value = name.substr(equals + 1);
            name = name.substr(0, equals);
        }
        if (const std::optional<StartAction> action = action_of(name)) {
            out_.action = *action;
            return ok();
        }
        return read_value(name, value);
    }

    Result<void> read_value(std::string_view name, std::optional<std::string_view> value) {
        const FlagSpec* spec = find_flag(name);
        if (spec == nullptr) {
            return unknown_flag(name);
        }
        if (!value && spec->type == FlagType::kBool) {
            value = "true";
        }
        if (!value) {
            if (position_ == arguments_.size()) {
                return invalid(fmt::format("flag needs an argument: -{}", name));
            }
            value = arguments_[position_++];
        }
        std::string given = fmt::format("--{}", name);
        CAIRN_TRY(check_value(*spec, *value, given));
        if (spec->type == FlagType::kUrls && value->empty()) {
            return ok();  // etcd: an empty list leaves the default
        }
        out_.flags.set(name, {std::string(*value), std::move(given)});
        return ok();
    }

    std::span<const std::string> arguments_;
    CommandLine& out_;
    std::size_t position_ = 0;
};

std::string flag_of_variable(std::string_view rest) {
    std::string name(rest);
    for (char& letter : name) {
        letter = letter == '_' ? '-' : letter;
        letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
    }
    return name;
}

// Sets what no flag has set. Called with CAIRN_ first: the first that says something wins.
Result<void> read_environment(std::string_view prefix, const Environment& environment,
                              CommandLine& out) {
    for (const auto& [variable, value] : environment) {
        if (variable.compare(0, prefix.size(), prefix) != 0 || value.empty()) {
            continue;
        }
        const std::string name = flag_of_variable(std::string_view(variable).substr(prefix.size()));
        const FlagSpec* spec = find_flag(name);
        if (spec == nullptr) {
            // Container platforms set variables of their own, so an unknown one cannot be an error.
            const std::string_view nearest = nearest_flag(name);
            if (prefix == "ETCD_" || !nearest.empty()) {
                out.warnings.push_back(
                    fmt::format("unrecognized environment variable {}", variable));
            }
            continue;
        }
        if (out.flags.is_given(name)) {
            out.warnings.push_back(fmt::format("{} is not used: {} says otherwise", variable,
                                               out.flags.value(name).origin));
            continue;
        }
        CAIRN_TRY(check_value(*spec, value, variable));
        out.flags.set(name, {value, variable});
    }
    return ok();
}

}  // namespace

std::string variable_name(std::string_view prefix, std::string_view flag) {
    std::string name(prefix);
    for (const char letter : flag) {
        const bool is_lower = letter >= 'a' && letter <= 'z';
        name += letter == '-' ? '_' : is_lower ? static_cast<char>(letter - 'a' + 'A') : letter;
    }
    return name;
}

FlagValues::FlagValues() {
    for (const FlagSpec& flag : all_flags()) {
        values_.emplace(flag.name, FlagValue{std::string(flag.value_default), {}});
    }
}

const FlagValue& FlagValues::value(std::string_view name) const {
    const auto found = values_.find(name);
    CAIRN_ASSERT(found != values_.end());
    return found->second;
}

const std::string& FlagValues::text(std::string_view name) const { return value(name).text; }

bool FlagValues::boolean(std::string_view name) const {
    const std::optional<bool> value_read = parse_go_bool(text(name));
    CAIRN_ASSERT(value_read.has_value());
    return *value_read;
}

std::uint64_t FlagValues::number(std::string_view name) const {
    const std::optional<std::uint64_t> value_read = parse_go_int(text(name), false);
    CAIRN_ASSERT(value_read.has_value());
    return *value_read;
}

std::int64_t FlagValues::signed_number(std::string_view name) const {
    const std::optional<std::uint64_t> value_read = parse_go_int(text(name), true);
    CAIRN_ASSERT(value_read.has_value());
    return static_cast<std::int64_t>(*value_read);
}

std::int64_t FlagValues::duration_ns(std::string_view name) const {
    const std::optional<std::int64_t> value_read = parse_go_duration(text(name));
    CAIRN_ASSERT(value_read.has_value());
    return *value_read;
}

bool FlagValues::is_given(std::string_view name) const { return !value(name).origin.empty(); }

void FlagValues::set(std::string_view name, FlagValue value) {
    const auto found = values_.find(name);
    CAIRN_ASSERT(found != values_.end());
    found->second = std::move(value);
}

Result<CommandLine> parse_command_line(std::span<const std::string> arguments,
                                       const Environment& environment) {
    CommandLine line;
    CAIRN_TRY(ArgumentReader(arguments, line).read_all());
    if (line.action != StartAction::kRun) {
        return line;
    }
    CAIRN_TRY(read_environment("CAIRN_", environment, line));
    CAIRN_TRY(read_environment("ETCD_", environment, line));
    return line;
}

}  // namespace cairn::server
