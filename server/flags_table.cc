#include <algorithm>
#include <array>
#include <cstddef>

#include "server/flags.h"

namespace cairn::server {
namespace {

using enum FlagType;
using enum FlagSupport;
using enum FlagGroup;

// One row a flag; the help says what it does here, not what it does in etcd.
constexpr auto kFlags = std::to_array<FlagSpec>({
    // clang-format off
    {"name", kString, kSupported, kMember, "default",
     "Name of this member, for people and for --initial-cluster."},
    {"data-dir", kString, kSupported, kMember, "",
     "Directory of this member's data; made when absent. Empty: <name>.cairn in the working "
     "directory. One process at a time."},
    {"wal-dir", kString, kLater, kMember, "",
     "Another directory for the log alone."},
    {"heartbeat-interval", kUint, kSupported, kMember, "100",
     "Milliseconds between the leader's heartbeats. About the round trip between members."},
    {"election-timeout", kUint, kSupported, kMember, "1000",
     "Milliseconds without a leader after which a member campaigns. At least five heartbeats, at "
     "most 50000; the same on all members."},
    {"initial-election-tick-advance", kBool, kNoEffect, kMember, "true",
     "etcd shortens a restarted member's first wait; cairn waits as ever."},
    {"listen-client-urls", kUrls, kSupported, kMember, "http://localhost:2379",
     "Where to listen for clients: gRPC and HTTP/1.1 on one port. IP addresses or localhost."},
    {"listen-client-http-urls", kUrls, kLater, kMember, "",
     "A port of its own for HTTP/1.1."},
    {"listen-peer-urls", kUrls, kSupported, kMember, "http://localhost:2380",
     "Where to listen for the other members. IP addresses or localhost."},
    {"max-request-bytes", kUint, kSupported, kMember, "1572864",
     "Largest request that clients may send, in bytes; at most 33554432."},
    {"max-txn-ops", kUint, kSupported, kMember, "128",
     "Most operations, and most compares, in one transaction."},
    {"experimental-response-budget-bytes", kUint, kSupported, kMember, "268435456",
     "Most memory for answers that clients have not read yet, in bytes; reads beyond it wait or "
     "get ResourceExhausted. cairn's own."},
    {"experimental-lease-reads", kBool, kSupported, kMember, "false",
     "Linearizable reads without a round of messages while a quorum has promised to elect nobody. "
     "Right only as long as no member's clock gains more than a tenth on another's. cairn's own."},
    {"experimental-log-bytes-max", kUint, kSupported, kMember, "134217728",
     "Most bytes of the log that are kept, in memory and on disk, for members that lack them, at "
     "least 1048576; one that lacks more gets a snapshot. cairn's own."},
    {"experimental-log-entries-max", kUint, kSupported, kMember, "1000000",
     "Most entries of the log that are kept for them, at least 10000. cairn's own."},
    {"experimental-snapshot-rate-bytes", kUint, kSupported, kMember, "67108864",
     "Most bytes of snapshots that a leader sends in a second, to all members together; 0: no "
     "limit. cairn's own."},
    {"max-concurrent-streams", kUint32, kSupported, kMember, "4294967295",
     "Most calls under way on one connection; above 65536 it is 65536."},
    {"grpc-keepalive-min-time", kDuration, kSupported, kMember, "5s",
     "Clients that ping more often are told to calm down and cut off."},
    {"grpc-keepalive-interval", kDuration, kLater, kMember, "2h0m0s",
     "Idle time after which the server pings a client."},
    {"grpc-keepalive-timeout", kDuration, kLater, kMember, "20s",
     "Wait for the answer to that ping."},
    {"quota-backend-bytes", kInt, kLater, kMember, "0",
     "Size of the store above which writes are refused."},
    {"snapshot-count", kUint, kNoEffect, kMember, "100000",
     "cairn keeps no copy of its state for each so many entries: see "
     "--experimental-log-entries-max."},
    {"max-snapshots", kUint, kNoEffect, kMember, "5",
     "cairn removes files as soon as nothing needs them."},
    {"max-wals", kUint, kNoEffect, kMember, "5",
     "cairn removes log files as soon as nothing needs them."},
    {"backend-batch-interval", kDuration, kNoEffect, kMember, "0s",
     "Tunes etcd's storage engine."},
    {"backend-batch-limit", kInt, kNoEffect, kMember, "0",
     "Tunes etcd's storage engine."},
    {"backend-bbolt-freelist-type", kString, kNoEffect, kMember, "map",
     "Tunes etcd's storage engine."},
    {"enable-grpc-gateway", kBool, kNoEffect, kMember, "true",
     "The JSON gateway; not there yet, with either value."},
    {"socket-reuse-port", kBool, kLater, kMember, "false",
     "SO_REUSEPORT on the listening sockets."},
    {"socket-reuse-address", kBool, kNoEffect, kMember, "false",
     "cairn always sets SO_REUSEADDR, so that a restart is not refused its own port."},
    {"raft-read-timeout", kDuration, kNoEffect, kMember, "5s",
     "Tunes etcd's connections between members."},
    {"raft-write-timeout", kDuration, kNoEffect, kMember, "5s",
     "Tunes etcd's connections between members."},

    {"initial-cluster", kString, kSupported, kClustering, "",
     "All members of a new cluster: name=peer-url,… A name stands once for each of its URLs. "
     "The same on all of them. "
     "Empty: this member alone, with --initial-advertise-peer-urls. Ignored once there is data."},
    {"initial-cluster-state", kString, kSupported, kClustering, "new",
     "new: the first start makes a cluster of --initial-cluster. existing: it joins the running "
     "cluster that the others there belong to. Ignored once there is data.", "new|existing"},
    {"initial-cluster-token", kString, kSupported, kClustering, "etcd-cluster",
     "Goes into the ids of cluster and members, so that clusters with the same URLs differ."},
    {"initial-advertise-peer-urls", kUrls, kSupported, kClustering, "http://localhost:2380",
     "This member's URLs as the other members reach it; the same as in --initial-cluster."},
    {"advertise-client-urls", kUrls, kSupported, kClustering, "http://localhost:2379",
     "This member's URLs as clients reach it. Required with --listen-client-urls."},
    {"strict-reconfig-check", kBool, kSupported, kClustering, "true",
     "Refuses membership changes that would cost the quorum."},
    {"pre-vote", kBool, kSupported, kClustering, "true",
     "Asks before it campaigns, so that a returning member does not depose a leader."},
    {"auto-compaction-mode", kString, kLater, kClustering, "periodic",
     "What --auto-compaction-retention counts.", "periodic|revision"},
    {"auto-compaction-retention", kString, kLater, kClustering, "0",
     "How much history to keep; 0 keeps all until somebody compacts."},
    {"discovery", kString, kNever, kClustering, "",
     "etcd's discovery service over its v2 API."},
    {"discovery-fallback", kString, kNever, kClustering, "proxy",
     "What to do when discovery fails."},
    {"discovery-proxy", kString, kNever, kClustering, "",
     "Proxy on the way to the discovery service."},
    {"discovery-srv", kString, kLater, kClustering, "",
     "DNS domain whose SRV records name the members."},
    {"discovery-srv-name", kString, kLater, kClustering, "",
     "Suffix of the service name in those records."},
    {"enable-v2", kBool, kNever, kClustering, "false",
     "etcd's v2 API."},
    {"v2-deprecation", kString, kNoEffect, kClustering, "not-yet",
     "There is no v2 store that could go away.",
     "not-yet|write-only|write-only-drop-data|gone"},
    {"proxy", kString, kNever, kClustering, "off",
     "etcd's v2 proxy.", "off|readonly|on"},
    {"proxy-failure-wait", kUint, kNoEffect, kClustering, "5000", "Tunes etcd's v2 proxy."},
    {"proxy-refresh-interval", kUint, kNoEffect, kClustering, "30000", "Tunes etcd's v2 proxy."},
    {"proxy-dial-timeout", kUint, kNoEffect, kClustering, "1000", "Tunes etcd's v2 proxy."},
    {"proxy-write-timeout", kUint, kNoEffect, kClustering, "5000", "Tunes etcd's v2 proxy."},
    {"proxy-read-timeout", kUint, kNoEffect, kClustering, "0", "Tunes etcd's v2 proxy."},

    {"cert-file", kString, kLater, kSecurity, "", "Certificate of the client port."},
    {"key-file", kString, kLater, kSecurity, "", "Key of that certificate."},
    {"client-cert-auth", kBool, kLater, kSecurity, "false", "Clients must show a certificate."},
    {"client-cert-file", kString, kLater, kSecurity, "",
     "Certificate for the member's calls to itself."},
    {"client-key-file", kString, kLater, kSecurity, "", "Key of that certificate."},
    {"client-crl-file", kString, kLater, kSecurity, "", "Revoked client certificates."},
    {"client-cert-allowed-hostname", kString, kLater, kSecurity, "",
     "Host names that client certificates may carry."},
    {"trusted-ca-file", kString, kLater, kSecurity, "", "Who may sign client certificates."},
    {"auto-tls", kBool, kLater, kSecurity, "false", "Makes its own certificate for clients."},
    {"peer-cert-file", kString, kLater, kSecurity, "", "Certificate of the peer port."},
    {"peer-key-file", kString, kLater, kSecurity, "", "Key of that certificate."},
    {"peer-client-cert-auth", kBool, kLater, kSecurity, "false",
     "Members must show a certificate."},
    {"peer-client-cert-file", kString, kLater, kSecurity, "",
     "Certificate for calls to other members."},
    {"peer-client-key-file", kString, kLater, kSecurity, "", "Key of that certificate."},
    {"peer-crl-file", kString, kLater, kSecurity, "", "Revoked peer certificates."},
    {"peer-trusted-ca-file", kString, kLater, kSecurity, "", "Who may sign peer certificates."},
    {"peer-cert-allowed-cn", kString, kLater, kSecurity, "",
     "Common names that peer certificates may carry."},
    {"peer-cert-allowed-hostname", kString, kLater, kSecurity, "",
     "Host names that peer certificates may carry."},
    {"peer-auto-tls", kBool, kLater, kSecurity, "false", "Makes its own certificate for peers."},
    {"peer-skip-client-san-verification", kBool, kLater, kSecurity, "false",
     "Does not look at the host names in peer certificates."},
    {"experimental-peer-skip-client-san-verification", kBool, kLater, kSecurity, "false",
     "Older name of --peer-skip-client-san-verification."},
    {"self-signed-cert-validity", kUint, kLater, kSecurity, "1",
     "Years that certificates of --auto-tls hold."},
    {"cipher-suites", kString, kLater, kSecurity, "", "TLS cipher suites."},
    {"tls-min-version", kString, kLater, kSecurity, "TLS1.2", "Oldest TLS version.",
     "TLS1.2|TLS1.3"},
    {"tls-max-version", kString, kLater, kSecurity, "", "Newest TLS version."},
    {"cors", kString, kLater, kSecurity, "*", "Origins that browsers may call from."},
    {"host-whitelist", kString, kLater, kSecurity, "*", "Host names that clients may ask for."},

    {"auth-token", kString, kLater, kAuth, "simple", "Kind of token: simple or jwt,…"},
    {"auth-token-ttl", kUint, kLater, kAuth, "300", "Seconds that a simple token lives."},
    {"bcrypt-cost", kUint, kLater, kAuth, "10", "Work spent on hashing a password."},

    {"log-level", kString, kSupported, kObservability, "info", "Least important line to log.",
     "debug|info|warn|error|panic|fatal"},
    {"log-format", kString, kSupported, kObservability, "console",
     "console: one readable line an event. json: one JSON object a line.", "console|json"},
    {"log-outputs", kString, kSupported, kObservability, "default",
     "Where to log: stderr (the default) or stdout.", "default|stderr|stdout"},
    {"logger", kString, kNoEffect, kObservability, "zap",
     "etcd's choice of a logging library.", "zap"},
    {"enable-log-rotation", kBool, kLater, kObservability, "false", "Starts new log files."},
    {"log-rotation-config-json", kString, kNoEffect, kObservability,
     "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false, "
     "\"compress\": false}",
     "Tunes --enable-log-rotation."},
    {"metrics", kString, kLater, kObservability, "basic", "How much /metrics tells.",
     "basic|extensive"},
    {"listen-metrics-urls", kUrls, kLater, kObservability, "",
     "Further ports for /metrics and health."},
    {"enable-pprof", kBool, kNever, kObservability, "false", "Profiles of the Go runtime."},
    {"warning-apply-duration", kDuration, kNoEffect, kObservability, "100ms",
     "etcd logs applies that take longer."},
    {"experimental-warning-apply-duration", kDuration, kNoEffect, kObservability, "100ms",
     "Older name of --warning-apply-duration."},
    {"warning-unary-request-duration", kDuration, kNoEffect, kObservability, "300ms",
     "etcd logs requests that take longer."},
    {"experimental-warning-unary-request-duration", kDuration, kNoEffect, kObservability, "300ms",
     "Older name of --warning-unary-request-duration."},
    {"enable-distributed-tracing", kBool, kLater, kObservability, "false",
     "Sends traces to a collector."},
    {"experimental-enable-distributed-tracing", kBool, kLater, kObservability, "false",
     "Older name of --enable-distributed-tracing."},
    {"experimental-distributed-tracing-address", kString, kNoEffect, kObservability,
     "localhost:4317", "Tunes distributed tracing."},
    {"experimental-distributed-tracing-service-name", kString, kNoEffect, kObservability, "etcd",
     "Tunes distributed tracing."},
    {"experimental-distributed-tracing-instance-id", kString, kNoEffect, kObservability, "",
     "Tunes distributed tracing."},
    {"experimental-distributed-tracing-sampling-rate", kUint, kNoEffect, kObservability, "0",
     "Tunes distributed tracing."},

    {"corrupt-check-time", kDuration, kLater, kFeatures, "0s",
     "Time between comparisons of the members' data."},
    {"experimental-corrupt-check-time", kDuration, kLater, kFeatures, "0s",
     "Older name of --corrupt-check-time."},
    {"experimental-initial-corrupt-check", kBool, kLater, kFeatures, "false",
     "Compares data with the other members before it serves."},
    {"experimental-compact-hash-check-enabled", kBool, kLater, kFeatures, "false",
     "Compares data after compactions."},
    {"compact-hash-check-time", kDuration, kNoEffect, kFeatures, "1m0s",
     "Tunes the check after compactions."},
    {"experimental-compact-hash-check-time", kDuration, kNoEffect, kFeatures, "1m0s",
     "Older name of --compact-hash-check-time."},
    {"compaction-batch-limit", kInt, kNoEffect, kFeatures, "1000",
     "Tunes etcd's removal of old revisions; cairn paces itself."},
    {"experimental-compaction-batch-limit", kInt, kNoEffect, kFeatures, "1000",
     "Older name of --compaction-batch-limit."},
    {"compaction-sleep-interval", kDuration, kNoEffect, kFeatures, "10ms",
     "Tunes etcd's removal of old revisions; cairn paces itself."},
    {"experimental-compaction-sleep-interval", kDuration, kNoEffect, kFeatures, "10ms",
     "Older name of --compaction-sleep-interval."},
    {"watch-progress-notify-interval", kDuration, kLater, kFeatures, "10m0s",
     "Time between progress notices to idle watchers."},
    {"experimental-watch-progress-notify-interval", kDuration, kLater, kFeatures, "10m0s",
     "Older name of --watch-progress-notify-interval."},
    {"experimental-enable-lease-checkpoint", kBool, kLater, kFeatures, "false",
     "Leases keep their remaining time across leaders."},
    {"experimental-enable-lease-checkpoint-persist", kBool, kLater, kFeatures, "false",
     "And across restarts."},
    {"experimental-enable-v2v3", kString, kNever, kFeatures, "", "etcd's v2 API over v3 data."},
    {"downgrade-check-time", kDuration, kNoEffect, kFeatures, "5s",
     "Tunes etcd's downgrades."},
    {"experimental-downgrade-check-time", kDuration, kNoEffect, kFeatures, "5s",
     "Older name of --downgrade-check-time."},
    {"memory-mlock", kBool, kLater, kFeatures, "false", "Keeps the process's pages in memory."},
    {"experimental-memory-mlock", kBool, kLater, kFeatures, "false",
     "Older name of --memory-mlock."},
    {"experimental-txn-mode-write-with-shared-buffer", kBool, kNoEffect, kFeatures, "true",
     "Tunes etcd's storage engine."},
    {"bootstrap-defrag-threshold-megabytes", kUint, kNoEffect, kFeatures, "0",
     "cairn's store needs no defragmentation."},
    {"experimental-bootstrap-defrag-threshold-megabytes", kUint, kNoEffect, kFeatures, "0",
     "Older name of --bootstrap-defrag-threshold-megabytes."},
    {"experimental-stop-grpc-service-on-defrag", kBool, kNoEffect, kFeatures, "false",
     "cairn's store needs no defragmentation."},
    {"max-learners", kInt, kSupported, kFeatures, "1", "Most learners at once."},
    {"experimental-max-learners", kInt, kSupported, kFeatures, "1",
     "Older name of --max-learners."},
    {"snapshot-catchup-entries", kUint, kNoEffect, kFeatures, "5000",
     "Too little for a member that was away for a second: see --experimental-log-entries-max."},
    {"experimental-snapshot-catchup-entries", kUint, kNoEffect, kFeatures, "5000",
     "Older name of --snapshot-catchup-entries."},
    {"feature-gates", kString, kLater, kFeatures, "", "Switches of single features (etcd 3.6)."},
    {"config-file", kString, kLater, kFeatures, "", "Reads all of this from a file."},

    {"force-new-cluster", kBool, kSupported, kUnsafe, "false",
     "Makes a cluster of this member alone out of its data, for when a majority is lost for good. "
     "The others must never run again with theirs."},
    {"unsafe-no-fsync", kBool, kLater, kUnsafe, "false",
     "Does not wait for the disk; loses data when the power goes."},
    // clang-format on
});

}  // namespace

std::span<const FlagSpec> all_flags() { return kFlags; }

const FlagSpec* find_flag(std::string_view name) {
    const auto* found = std::find_if(kFlags.begin(), kFlags.end(),
                                     [&](const FlagSpec& flag) { return flag.name == name; });
    return found == kFlags.end() ? nullptr : found;
}

std::string_view group_title(FlagGroup group) {
    switch (group) {
        case kMember: return "Member";
        case kClustering: return "Cluster";
        case kSecurity: return "Security";
        case kAuth: return "Authentication";
        case kObservability: return "Logs and metrics";
        case kFeatures: return "Features";
        case kUnsafe: return "Unsafe";
    }
    return "?";
}

}  // namespace cairn::server
