// The command line as data: every command with its options and help, and what a run of one gets.
// Constant data and values; one thread. Help, completion and man pages all come from here.
// Must never print by itself: output goes through the streams of a Context.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::client::ctl {

// etcdctl's exit codes.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitBadConnection = 2;
inline constexpr int kExitInvalidInput = 3;
inline constexpr int kExitBadFeature = 4;
inline constexpr int kExitInterrupted = 5;
inline constexpr int kExitIo = 6;
inline constexpr int kExitBadArgs = 128;

// How a command ended; a text goes to the error stream behind "Error: ".
struct Outcome {
    int code = kExitOk;
    std::string error;
};

// kList: given several times, the values add up. kFile: names a file, so it may not be empty.
enum class OptionType : std::uint8_t { kBool, kInt, kString, kDuration, kList, kFile };

struct OptionSpec {
    std::string_view name;
    char letter = 0;  // 0: none
    OptionType type = OptionType::kString;
    std::string_view value_default;
    std::string_view help;
    std::string_view choices = {};  // the values there are, separated by blanks; empty: any
};

enum class Output : std::uint8_t { kSimple, kTable, kJson, kFields, kProtobuf };

// What the streams of a run are connected to. By default to no terminal: no colours, no progress.
struct Terminal {
    bool reads = false;  // somebody types what is read
    bool progress = false;
    bool colours_out = false;
    bool colours_error = false;
};

struct Streams {
    std::istream& in;
    std::ostream& out;
    std::ostream& error;
    Terminal terminal = {};
};

struct CommandSpec;

// A parsed command line: the values of the command's and the global options, and the arguments.
class Invocation {
  public:
    const CommandSpec* command = nullptr;
    std::vector<std::string> arguments;
    std::map<std::string, std::string, std::less<>> values;  // one for each option
    std::set<std::string, std::less<>> given;                // options whose value is no default

    // The option must exist and be of that type.
    [[nodiscard]] const std::string& text(std::string_view option) const;
    [[nodiscard]] bool flag(std::string_view option) const;
    [[nodiscard]] std::int64_t number(std::string_view option) const;
    [[nodiscard]] std::chrono::nanoseconds duration(std::string_view option) const;
};

struct Context {
    const Invocation& line;
    Streams streams;
    Output output = Output::kSimple;
    bool hex = false;
    std::vector<std::string> endpoints;
};

struct CommandSpec {
    std::string_view path;       // "get", "endpoint status"
    std::string_view arguments;  // "<key> [range_end]"
    std::string_view summary;    // one line
    std::string_view details;    // sentences; may be empty
    std::string_view examples;   // lines, each a command and perhaps a remark
    std::span<const OptionSpec> options;
    Outcome (*run)(const Context& context) = nullptr;
    bool is_local = false;  // asks no server
};

// In alphabetical order.
std::span<const CommandSpec> all_commands();
// The options that every command takes.
std::span<const OptionSpec> global_options();

// Runs one command line (without the program's name). `environment` holds CAIRN_… and ETCDCTL_….
int run(const std::vector<std::string>& arguments,
        const std::map<std::string, std::string>& environment, Streams streams);

}  // namespace cairn::client::ctl
