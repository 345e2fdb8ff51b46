// The table of cairnd's flags, and the reading of a command line and an environment by it.
// Constant data and pure functions; any thread; used once, at start.
// Must never read the environment or print: both are the caller's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cairn::server {

// How a flag's text is read; the grammar is that of Go's package flag.
enum class FlagType : std::uint8_t {
    kString,
    kBool,
    kUint,  // decimal, 0x…, 0o…, 0b…, at most 64 bits
    kUint32,
    kInt,       // signed, 64 bits
    kDuration,  // "1h30m", "100ms", "0s"
    kUrls,      // a comma-separated list of scheme://host:port; empty: as if absent
};

enum class FlagSupport : std::uint8_t {
    kSupported,
    kLater,     // etcd's default is accepted; another value waits for its feature
    kNoEffect,  // any value is accepted: it tunes a part of etcd that cairn has not
    kNever,     // etcd's default is accepted; the feature will not come
};

enum class FlagGroup : std::uint8_t {
    kMember,
    kClustering,
    kSecurity,
    kAuth,
    kObservability,
    kFeatures,
    kUnsafe,
};

struct FlagSpec {
    std::string_view name;  // without dashes
    FlagType type = FlagType::kString;
    FlagSupport support = FlagSupport::kSupported;
    FlagGroup group = FlagGroup::kMember;
    std::string_view value_default;  // what an absent flag means
    std::string_view help;
    std::string_view choices = {};  // "new|existing"; empty: any
};

// All flags of etcd 3.5.30, those of 3.6 and later that have another name there, and cairn's own;
// in the order of --help.
std::span<const FlagSpec> all_flags();
// The row of this name, or nullptr.
const FlagSpec* find_flag(std::string_view name);
std::string_view group_title(FlagGroup group);
// "CAIRN_DATA_DIR" for prefix "CAIRN_" and flag "data-dir".
std::string variable_name(std::string_view prefix, std::string_view flag);

// The variables whose names begin with CAIRN_ or ETCD_; the program passes its own environment.
using Environment = std::map<std::string, std::string>;

struct FlagValue {
    std::string text;
    // Where it came from, for messages: "--data-dir" or "ETCD_DATA_DIR"; empty: the default.
    std::string origin;
};

// The value of every flag of the table. Precedence: flag, CAIRN_…, ETCD_…, default; an empty
// variable counts as absent.
class FlagValues {
  public:
    FlagValues();

    // The flag must be in the table, and for the typed readers be of that type.
    [[nodiscard]] const std::string& text(std::string_view name) const;
    [[nodiscard]] bool boolean(std::string_view name) const;
    [[nodiscard]] std::uint64_t number(std::string_view name) const;
    [[nodiscard]] std::int64_t signed_number(std::string_view name) const;
    [[nodiscard]] std::int64_t duration_ns(std::string_view name) const;
    // False when the value is the table's default because nobody said anything.
    [[nodiscard]] bool is_given(std::string_view name) const;
    [[nodiscard]] const FlagValue& value(std::string_view name) const;
    void set(std::string_view name, FlagValue value);

  private:
    std::map<std::string, FlagValue, std::less<>> values_;  // Invariant: one for each table row.
};

enum class StartAction : std::uint8_t { kRun, kHelp, kVersion, kHelpMarkdown };

struct CommandLine {
    StartAction action = StartAction::kRun;
    FlagValues flags;
    std::vector<std::string> warnings;  // for the log, once there is one
};

// Exit codes of cairnd, as etcd's: a command line that does not parse, and one that does but asks
// for what cannot be.
inline constexpr int kExitUsage = 2;
inline constexpr int kExitConfig = 1;

// Reads the arguments after the program's name. Each value has the grammar of its type. Error:
// kInvalidConfig, in etcd's words where etcd has the case; the program ends with kExitUsage.
Result<CommandLine> parse_command_line(std::span<const std::string> arguments,
                                       const Environment& environment);

}  // namespace cairn::server
