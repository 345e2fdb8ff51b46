#include "process/verify.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "process/raw_client.h"
#include "process/rebuild_log.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;
using etcdserverpb::RangeResponse;
using sim::HistoryOp;

constexpr std::size_t kReadsInFlight = 64;
constexpr auto kReadTimeout = 30s;
// A digest of a million keys takes its time.
constexpr auto kHashTimeout = 60s;

// The newest that a node has.
std::int64_t newest_revision(const ProcessCluster& cluster) {
    std::int64_t revision = 0;
    for (const std::size_t node : cluster.members()) {
        const auto answer = ask_until_answered(
            cluster, node, [](client::Client client) { return client.get("x"); });
        revision = std::max(revision, answer.header.revision);
    }
    return revision;
}

// `revision` was read from one of them before: a linearizable read does not see less.
std::optional<std::string> compare_hashes(const ProcessCluster& cluster, std::int64_t revision) {
    std::optional<client::HashKvResponse> first;
    for (const std::size_t node : cluster.members()) {
        const auto read = ask_until_answered(cluster, node,
                                             [](client::Client client) { return client.get("x"); });
        if (read.header.revision < revision) {
            return fmt::format("the members differ: node {} is at revision {} and another at {}",
                               node, read.header.revision, revision);
        }
        const auto answer = ask_until_answered(cluster, node, [=](const client::Client& client) {
            return client.with_timeout(kHashTimeout).hash_kv(revision);
        });
        if (!first.has_value()) {
            first = answer;
        }
        if (answer.hash != first->hash || answer.compact_revision != first->compact_revision) {
            return fmt::format(
                "the members differ: at revision {} node {} has hash {} and node {} has {}",
                revision, cluster.members().front(), first->hash, node, answer.hash);
        }
    }
    return std::nullopt;
}

// All keys at every revision, each asked of another node; every answer becomes part of the history.
class StateReader {
  public:
    StateReader(const ProcessCluster& cluster, std::vector<HistoryOp>& history)
        : history_(history) {
        for (const std::size_t node : cluster.members()) {
            clients_.push_back(std::make_unique<RawClient>(std::vector{cluster.endpoints()[node]},
                                                           0, kReadTimeout));
        }
    }

    std::vector<RangeResponse> read(std::int64_t newest) {
        for (std::int64_t revision = 1; revision <= newest; ++revision) {
            ask(revision);
            if (waiting_.size() >= kReadsInFlight) {
                take();
            }
        }
        while (!waiting_.empty()) {
            take();
        }
        return std::move(states_);
    }

  private:
    struct Waiting {
        HistoryOp op;
        std::future<client::Result<Bytes>> answer;
    };

    void ask(std::int64_t revision) {
        etcdserverpb::RangeRequest request;
        request.set_key(std::string(1, '\0'));
        request.set_range_end(std::string(1, '\0'));
        request.set_revision(revision);
        HistoryOp op;
        op.tag = static_cast<std::uint64_t>(revision);
        op.kind = sim::OpKind::kSerialRead;
        op.request = request.SerializeAsString();
        op.invoked = now();
        auto answer = client_for(revision).start(wire::MethodId::kKvRange, client::CallKind::kRead,
                                                 op.request);
        waiting_.push_back({std::move(op), std::move(answer)});
    }

    RawClient& client_for(std::int64_t revision) {
        return *clients_[static_cast<std::size_t>(revision) % clients_.size()];
    }

    void take() {
        auto [op, future] = std::move(waiting_.front());
        waiting_.pop_front();
        auto& client = client_for(static_cast<std::int64_t>(op.tag));
        const auto answer = until_answered(
            fmt::format("range at revision {}", op.tag), future.get(), [&, &op = op] {
                return client.call(wire::MethodId::kKvRange, client::CallKind::kRead, op.request);
            });
        RangeResponse state;
        state.ParseFromArray(answer.data(), static_cast<int>(answer.size()));
        op.returned = now();
        op.outcome = sim::OpOutcome::kDone;
        op.revision = state.header().revision();
        state.clear_header();
        op.body = state.SerializeAsString();
        history_.push_back(std::move(op));
        states_.push_back(std::move(state));
    }

    std::vector<HistoryOp>& history_;
    std::vector<std::unique_ptr<RawClient>> clients_;
    std::deque<Waiting> waiting_;
    std::vector<RangeResponse> states_;
};

std::string_view name_of(sim::OpKind kind) {
    switch (kind) {
        case sim::OpKind::kWrite: return "write";
        case sim::OpKind::kLinearRead: return "read";
        case sim::OpKind::kSerialRead: return "serializable-read";
        case sim::OpKind::kLook: return "look";
    }
    return "?";
}

std::string_view name_of(sim::OpOutcome outcome) {
    switch (outcome) {
        case sim::OpOutcome::kOpen: return "open";
        case sim::OpOutcome::kDone: return "done";
        case sim::OpOutcome::kNotApplied: return "not-applied";
    }
    return "?";
}

// Never empty, so that a line has its columns.
std::string hex(std::string_view bytes) {
    std::string text = bytes.empty() ? "-" : "";
    for (const char byte : bytes) {
        text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    }
    return text;
}

std::string history_path(const std::string& folder) { return folder + "/history.txt"; }

// A line for each call.
void write_history(const std::string& path, std::span<const HistoryOp> history) {
    std::ofstream file(path);
    file << "invoked returned tag kind outcome command revision request answer (in hexadecimal)\n";
    for (const auto& op : history) {
        file << fmt::format("{} {} {} {} {} {} {} {} {}\n", op.invoked, op.returned, op.tag,
                            name_of(op.kind), name_of(op.outcome),
                            command::CommandKind_Name(op.command), op.revision, hex(op.request),
                            hex(op.body));
    }
}

void write_commands(const std::string& folder, std::span<const sim::LoggedCommand> commands) {
    std::ofstream file(folder + "/commands.txt");
    file << "tag command request (in hexadecimal)\n";
    for (const auto& logged : commands) {
        file << fmt::format("{} {} {}\n", logged.tag, command::CommandKind_Name(logged.kind),
                            hex(logged.request.view()));
    }
}

// `history` gets the reads at the end, `commands` the order of all writes.
std::optional<std::string> judge(ProcessCluster& cluster, std::vector<HistoryOp>& history,
                                 std::vector<sim::LoggedCommand>& commands) {
    cluster.wait_until_all_serve();
    const auto revision = newest_revision(cluster);
    if (auto wrong = compare_hashes(cluster, revision)) {
        return wrong;
    }
    const auto states = StateReader(cluster, history).read(revision);
    auto rebuilt = rebuild_log(history, states);
    commands = std::move(rebuilt.commands);
    if (rebuilt.wrong.has_value()) {
        return rebuilt.wrong;
    }
    fmt::print("{} calls, {} revisions, {} commands\n", history.size(), revision, commands.size());
    return check_linear(history, commands);
}

}  // namespace

std::optional<std::string> compare_states(const ProcessCluster& cluster) {
    return compare_hashes(cluster, newest_revision(cluster));
}

std::optional<std::string> verify(ProcessCluster& cluster, std::vector<HistoryOp> history) {
    std::vector<sim::LoggedCommand> commands;
    const auto keep = [&] {
        write_history(history_path(cluster.folder()), history);
        write_commands(cluster.folder(), commands);
    };
    try {
        auto wrong = judge(cluster, history, commands);
        if (wrong.has_value()) {
            keep();
        }
        return wrong;
    } catch (const Failure&) {
        keep();
        throw;
    }
}

std::optional<std::string> verify(ProcessCluster& cluster, Load& load) {
    const auto& history = load.stop();
    if (auto wrong = refusal(load.errors())) {
        return wrong;
    }
    return verify(cluster, history);
}

int report_failure(ProcessCluster& cluster, Load* load, const std::string& text) {
    const std::string history = history_path(cluster.folder());
    if (load != nullptr && !std::filesystem::exists(history)) {
        write_history(history, load->stop());
    }
    cluster.kill_all();
    cluster.keep_folder();
    fmt::print(
        "{}{} are kept in {}\nFAILED: {}\n", cluster.last_lines(),
        std::filesystem::exists(history) ? "data, logs and what clients saw" : "data and logs",
        cluster.folder(), text);
    return 1;
}

}  // namespace cairn::process
