#include <algorithm>
#include <vector>

#include "client/ctl/cluster.h"
#include "client/ctl/command.h"
#include "client/ctl/completion.h"
#include "client/ctl/help.h"
#include "client/ctl/kv.h"
#include "client/ctl/members.h"
#include "client/ctl/snapshot.h"

namespace cairn::client::ctl {
namespace {

constexpr std::string_view kOutputs = "simple table json fields protobuf";

constexpr OptionSpec kGlobal[] = {
    {"cacert", 0, OptionType::kFile, "", "TLS: not supported yet"},
    {"cert", 0, OptionType::kFile, "", "TLS: not supported yet"},
    {"command-timeout", 0, OptionType::kDuration, "5s", "how long one command may take"},
    {"debug", 0, OptionType::kBool, "false", "print the global options first"},
    {"dial-timeout", 0, OptionType::kDuration, "2s", "how long a connection may take"},
    {"discovery-srv", 'd', OptionType::kString, "", "discovery by DNS: not supported yet"},
    {"discovery-srv-name", 0, OptionType::kString, "", "discovery by DNS: not supported yet"},
    {"endpoints", 0, OptionType::kList, "127.0.0.1:2379", "host:port,… tried in this order"},
    {"hex", 0, OptionType::kBool, "false", "keys, values and ids in hexadecimal"},
    {"insecure-discovery", 0, OptionType::kBool, "true", "no effect without discovery"},
    {"insecure-skip-tls-verify", 0, OptionType::kBool, "false", "no effect without TLS"},
    {"insecure-transport", 0, OptionType::kBool, "true", "TLS: not supported yet"},
    {"keepalive-time", 0, OptionType::kDuration, "2s",
     "silence of a server that is sending a snapshot until it is pinged, at least 10s"},
    {"keepalive-timeout", 0, OptionType::kDuration, "6s",
     "and how long it then has to say something"},
    {"key", 0, OptionType::kFile, "", "TLS: not supported yet"},
    {"output", 0, OptionType::kString, "", "the same as --write-out", kOutputs},
    {"password", 0, OptionType::kString, "", "authentication: not supported yet"},
    {"user", 0, OptionType::kString, "", "authentication: not supported yet"},
    {"write-out", 'w', OptionType::kString, "simple", "simple, table, json, fields or protobuf",
     kOutputs},
};

constexpr std::string_view kTxnDetails =
    "Reads three parts from standard input or a file, each closed by an empty line: "
    "comparisons, operations for when all hold, operations for when one does not. The end of "
    "a file closes what is open. A comparison is target(\"key\") op \"operand\" with the "
    "targets version, create, mod, value and lease and one of = != < >. An operation is put, "
    "get or del with its options; words in \"…\" have Go's escapes.";

constexpr std::string_view kTxnExamples =
    "cairn txn --file change.txn\n"
    "printf 'mod(\"foo\") = \"0\"\\n\\nput foo new\\n\\nget foo\\n\\n' | cairn txn\n"
    "cairn txn --interactive";

constexpr std::string_view kPutDetails =
    "Without [value], the value is the file that --file names, or what standard input holds, "
    "to its end. A key or value that begins with - goes behind --.";

constexpr std::string_view kPutExamples =
    "cairn put foo bar\ncairn put foo --file value.bin\ncairn put foo < value.bin\n"
    "cairn put --prev-kv foo baz\ncairn put -- -key -value";

constexpr std::string_view kGetExamples =
    "cairn get foo\ncairn get foo --rev 3\ncairn get --prefix app/ --keys-only\n"
    "cairn get --prefix '' --limit 10 --sort-by modify --order descend\n"
    "cairn get foo --print-value-only > value\ncairn get foo -w json";

constexpr std::string_view kMemberAddExamples =
    "cairn member add n4 --peer-urls http://10.0.0.4:2380\n"
    "cairn member add n4 --learner --peer-urls http://10.0.0.4:2380";

constexpr std::string_view kCompletionExamples =
    "source <(cairn completion bash)\n"
    "cairn completion zsh > \"${fpath[1]}/_cairn\"\n"
    "cairn completion fish > ~/.config/fish/completions/cairn.fish";

std::vector<CommandSpec> member_commands() {
    return {
        {"member add", "<name>", "Adds a member to the cluster",
         "Prints what the new member is to be started with. --learner adds it without a vote.",
         kMemberAddExamples, kMemberAddOptions, run_member_add},
        {"member list", "", "Lists the members of the cluster", "",
         "cairn member list\ncairn member list -w table", kMemberListOptions, run_member_list},
        {"member promote",
         "<id>",
         "Gives a learner its vote",
         "It must have caught up with the leader.",
         "cairn member promote 8e9e05c52164694d",
         {},
         run_member_promote},
        {"member remove",
         "<id>",
         "Removes a member from the cluster",
         "For good: the member stops, and its data is of no use any more.",
         "cairn member remove 8e9e05c52164694d",
         {},
         run_member_remove},
        {"member update", "<id>", "Changes the peer URLs of a member", "",
         "cairn member update 8e9e05c52164694d --peer-urls http://10.0.0.4:2380",
         kMemberUpdateOptions, run_member_update},
        {"move-leader",
         "<id>",
         "Hands leadership to another member",
         "One of --endpoints must be the leader's.",
         "cairn move-leader 8e9e05c52164694d",
         {},
         run_move_leader},
    };
}

constexpr std::string_view kSaveDetails =
    "Of the member at --endpoints, which must be one, as it is now. The file gets its name when it "
    "is whole, and its SHA-256 right. No time limit but a --command-timeout that is given.";

constexpr std::string_view kRestoreDetails =
    "Makes the data directory of one member of a new cluster; each of its members is made so, from "
    "the same file with the same options, and then started with the directory. The cluster and its "
    "members have new ids; keys, revisions, leases and alarms are the snapshot's. With "
    "--bump-revision and --mark-compacted the revision begins higher, and whoever asks for older "
    "ones is told that they are compacted: for clients that saw the old cluster after the "
    "snapshot.";

constexpr std::string_view kRestoreExamples =
    "cairn snapshot restore backup.snap --data-dir /var/lib/cairn\n"
    "cairn snapshot restore backup.snap --name n1 --data-dir /var/lib/cairn "
    "--initial-cluster n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380 "
    "--initial-advertise-peer-urls http://10.0.0.1:2380\n"
    "cairn snapshot restore backup.snap --bump-revision 1000000000 --mark-compacted";

std::vector<CommandSpec> snapshot_commands() {
    return {
        {"snapshot restore", "<filename>", "Makes a member of a new cluster from a snapshot",
         kRestoreDetails, kRestoreExamples, kSnapshotRestoreOptions, run_snapshot_restore, true},
        {"snapshot save",
         "<filename>",
         "Saves a snapshot of a member's data to a file",
         kSaveDetails,
         "cairn snapshot save backup.snap",
         {},
         run_snapshot_save},
        {"snapshot status", "<filename>", "Checks a saved snapshot and tells what is in it",
         "Hash, revision, keys and size; the hash is that of endpoint hashkv. Unpacks the file for "
         "that, which takes as much room as itself.",
         "cairn snapshot status backup.snap -w table", kSnapshotStatusOptions, run_snapshot_status,
         true},
    };
}

std::vector<CommandSpec> other_commands() {
    return {
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
        {"completion",
         "<bash|zsh|fish>",
         "Prints a script for tab completion",
         "The script is for the shell to read at its start.",
         kCompletionExamples,
         {},
         run_completion,
         true},
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
         "With [range_end], all keys from <key> up to it, itself not included.", kGetExamples,
         kGetOptions, run_get},
        {"manual",
         "",
         "Prints the manual page",
         "In troff, for man -l.",
         "cairn manual | man -l -",
         {},
         run_manual,
         true},
        {"put", "<key> [value]", "Writes a key", kPutDetails, kPutExamples, kPutOptions, run_put},
        {"txn", "", "Compares, then runs one of two lists of operations, in one revision",
         kTxnDetails, kTxnExamples, kTxnOptions, run_txn},
        {"version",
         "",
         "Prints the version of this program",
         "",
         "cairn version",
         {},
         run_version,
         true},
    };
}

std::vector<CommandSpec> sorted_commands() {
    std::vector<CommandSpec> all = other_commands();
    for (const auto& more : {member_commands(), snapshot_commands()}) {
        all.insert(all.end(), more.begin(), more.end());
    }
    std::sort(all.begin(), all.end(),
              [](const CommandSpec& a, const CommandSpec& b) { return a.path < b.path; });
    return all;
}

// Not a constant of this file: the options' tables of others may be made after it.
const std::vector<CommandSpec>& commands() {
    static const std::vector<CommandSpec> kCommands = sorted_commands();
    return kCommands;
}

}  // namespace

std::span<const CommandSpec> all_commands() { return commands(); }

std::span<const OptionSpec> global_options() { return kGlobal; }

}  // namespace cairn::client::ctl
