#include <array>

#include "client/ctl/cluster.h"
#include "client/ctl/command.h"
#include "client/ctl/help.h"
#include "client/ctl/kv.h"

namespace cairn::client::ctl {
namespace {

constexpr OptionSpec kGlobal[] = {
    {"command-timeout", 0, OptionType::kDuration, "5s", "how long one command may take"},
    {"dial-timeout", 0, OptionType::kDuration, "2s", "how long a connection may take"},
    {"endpoints", 0, OptionType::kString, "127.0.0.1:2379", "host:port,… tried in this order"},
    {"hex", 0, OptionType::kBool, "false", "keys, values and ids in hexadecimal"},
    {"output", 0, OptionType::kString, "", "the same as --write-out"},
    {"write-out", 'w', OptionType::kString, "simple", "simple, table, json or fields"},
};

const std::array<CommandSpec, 13>& commands() {
    static const std::array<CommandSpec, 13> kCommands{{
        {"alarm list",
         "",
         "Lists the alarms that are raised",
         "",
         "cairn alarm list",
         {},
         run_alarm_list},
        {"compaction", "<revision>", "Forgets the history below a revision",
         "Reads and watches below it fail from then on; the newest values stay.",
         "cairn compaction 1000\ncairn compaction --physical 1000", kCompactionOptions,
         run_compaction},
        {"completion", "<bash|zsh|fish>", "Prints a script for tab completion",
         "The script is for the shell to read at its start.",
         "source <(cairn completion bash)\n"
         "cairn completion zsh > \"${fpath[1]}/_cairn\"\n"
         "cairn completion fish > ~/.config/fish/completions/cairn.fish",
         kCompletionOptions, run_completion},
        {"del", "<key> [range_end]", "Removes a key or a range of keys",
         "Prints how many keys were there. With [range_end], all keys from <key> up to it, itself "
         "not included.",
         "cairn del foo\ncairn del --prefix app/ --prev-kv\ncairn del --prefix ''", kDelOptions,
         run_del},
        {"endpoint hashkv", "", "Prints a hash of the data of each endpoint",
         "Members with the same data at the same revision give the same number.",
         "cairn endpoint hashkv --cluster\ncairn endpoint hashkv --cluster --rev 1000",
         kHashKvOptions, run_endpoint_hashkv},
        {"endpoint health", "", "Tells whether each endpoint serves linearizable reads",
         "Exits with 1 when one does not.",
         "cairn endpoint health\ncairn endpoint health --cluster -w table", kEndpointOptions,
         run_endpoint_health},
        {"endpoint status", "", "Prints the state of each endpoint",
         "Endpoint, id, version, size, is leader, is learner, term, index, applied index, errors.",
         "cairn endpoint status -w table --cluster", kEndpointOptions, run_endpoint_status},
        {"get", "<key> [range_end]", "Prints a key or a range of keys",
         "With [range_end], all keys from <key> up to it, itself not included.",
         "cairn get foo\ncairn get foo --rev 3\ncairn get --prefix app/ --keys-only\n"
         "cairn get --prefix '' --limit 10 --sort-by modify --order descend\n"
         "cairn get foo --print-value-only > value\ncairn get foo -w json",
         kGetOptions, run_get},
        {"manual",
         "",
         "Prints the manual page",
         "In troff, for man -l.",
         "cairn manual | man -l -",
         {},
         run_manual},
        {"member list", "", "Lists the members of the cluster", "",
         "cairn member list\ncairn member list -w table", kMemberListOptions, run_member_list},
        {"put", "<key> [value]", "Writes a key",
         "Without [value], the value is what standard input holds, to its end. A key or value that "
         "begins with - goes behind --.",
         "cairn put foo bar\ncairn put foo < file\ncairn put --prev-kv foo baz\n"
         "cairn put -- -key -value",
         kPutOptions, run_put},
        {"txn", "", "Compares, then runs one of two lists of operations, in one revision",
         "Reads three parts from standard input, each closed by an empty line: comparisons, "
         "operations for when all hold, operations for when one does not. A comparison is "
         "target(\"key\") op \"operand\" with the targets version, create, mod, value and lease "
         "and one of = != < >. An operation is put, get or del with its options.",
         "printf 'mod(\"foo\") = \"0\"\\n\\nput foo new\\n\\nget foo\\n\\n' | cairn txn\n"
         "cairn txn --interactive",
         kTxnOptions, run_txn},
        {"version", "", "Prints the version of this program", "", "cairn version", {}, run_version},
    }};
    return kCommands;
}

}  // namespace

std::span<const CommandSpec> all_commands() { return commands(); }

std::span<const OptionSpec> global_options() { return kGlobal; }

}  // namespace cairn::client::ctl
