// One simulated member: the shipped replica, log and state machine on simulated files, with the
// latencies of a disk and an apply thread between them.
// Owned by the world; one thread.
// Never lets anything survive a crash but what the log synced and the engine flushed.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "server/replica/replica.h"
#include "sim/basics.h"
#include "sim/event_queue.h"
#include "sim/options.h"
#include "sim/parts.h"
#include "sim_fs/sim_fs.h"
#include "storage/log_store.h"
#include "storage/mem_engine.h"
#include "storage/state_machine.h"

namespace cairn::sim {

struct ReadAnswer {
    std::optional<Errc> error{};
    std::int64_t revision{};
    std::string body{};
};

// Who the clients are, for a node.
class NodeClients {
  public:
    virtual ~NodeClients() = default;
    virtual void on_outcome(std::uint64_t op, const server::ProposalOutcome& outcome) = 0;
    virtual void on_read(std::uint64_t op, ReadAnswer answer) = 0;
    virtual void on_node_down(NodeIndex node) = 0;
    // The RangeRequest of a read.
    virtual const etcdserverpb::RangeRequest& read_request(std::uint64_t op) = 0;
};

class SimNode {
  public:
    SimNode(NodeIndex index, const WorldParts& world, NodeClients& clients, Prng prng);
    ~SimNode();

    void handle(const NodeEvent& event);
    void receive(raft::Message message);

    // From the disk as it is. With `crash_after`, the power goes again at that file operation.
    void start(std::uint64_t crash_after = 0);
    // Everything volatile is gone; what was being written is kept in part. Starts again after
    // `down`, and then start(crash_after).
    void crash(Time down, std::uint64_t crash_after = 0);
    // The `count`-th effect from now on is not carried out: a crash comes before it.
    void crash_at_effect(std::uint64_t count, Time down) {
        crash_countdown_ = count;
        crash_down_ = down;
    }
    // No more misfortune: no crash is due, nobody is paused, the disk is quick.
    void heal();
    void set_disk_factor(std::uint64_t factor) { disk_factor_ = factor; }
    void set_paused_until(Time until) { paused_until_ = until; }
    [[nodiscard]] Time paused_until() const { return paused_until_; }

    // Client calls. False when the node is down.
    bool submit(std::uint64_t op, command::CommandKind kind, const std::string& request);
    bool submit_read(std::uint64_t op, bool linearizable);
    void cancel(std::uint64_t op);
    void transfer(NodeId to);

    [[nodiscard]] bool up() const { return replica_ != nullptr; }
    [[nodiscard]] std::uint32_t life() const { return life_; }
    [[nodiscard]] const server::NodeView& view() const { return replica_->view(); }
    // No write, apply or call under way.
    [[nodiscard]] bool idle() const;
    // Hands the digest of the whole state to the safety checker.
    void check_digest();
    [[nodiscard]] std::string status_line() const;
    // The flight recorder's newest events, one a line.
    [[nodiscard]] std::string last_events() const;

  private:
    struct Call {
        std::uint64_t op{};
        bool answered = false;
        bool cancelled = false;  // an answer of the same turn may still come: nobody hears it
    };

    void step(server::Event event);
    void turn();
    void execute();
    bool effect_allowed();
    void persist();
    void send();
    void answer();
    void on_completion(const server::Completion& completion);
    void start_disk();
    void on_disk_done();
    void on_apply_run();
    void on_apply_done();
    void on_flush();
    void on_collect();
    void on_tick();
    void run_read(std::uint64_t op);
    void after(Time delay, NodeEventKind kind, std::uint64_t arg = 0);
    void maybe_collect();
    void write_during_crash();
    [[nodiscard]] bool open_storage(raft::Recovered& recovered);
    [[nodiscard]] bool bootstrap(raft::Recovered& recovered);
    void sabotage_entries(std::vector<raft::Entry>& entries) const;
    [[nodiscard]] bool sabotaged(Sabotage kind) const { return world_.options.sabotage == kind; }
    void check_events(const storage::ApplyOutput& output);
    void report_turn();
    std::uint64_t new_call(std::uint64_t op);

    NodeIndex index_;
    NodeId id_;
    WorldParts world_;
    NodeClients& clients_;
    Prng prng_;
    Time tick_us_;
    DiskOptions disk_;

    storage::SimFs files_;
    std::unique_ptr<storage::FileSystem> sabotaged_files_;
    std::shared_ptr<storage::MemEngine> engine_;
    std::unique_ptr<storage::LogStore> log_;
    std::unique_ptr<storage::StateMachine> state_;
    std::unique_ptr<server::Replica> replica_;

    std::uint32_t life_ = 0;
    server::Effects effects_;
    bool turn_scheduled_ = false;
    std::vector<raft::PersistBatch> writes_;  // asked for and not on disk, in order
    std::size_t writing_ = 0;                 // how many of them the write in flight takes
    std::vector<raft::Entry> applying_;
    std::optional<storage::ApplyOutput> applied_;
    bool apply_scheduled_ = false;
    bool collect_scheduled_ = false;
    bool seal_wanted_ = false;
    std::vector<Call> calls_;  // by CallId - 1, of this life
    std::uint64_t open_calls_ = 0;

    std::uint64_t crash_countdown_ = 0;
    Time crash_down_ = 0;
    std::uint64_t disk_factor_ = 1;
    Time paused_until_ = 0;
    std::uint64_t turns_ = 0;
    server::NodeView shown_;
};

}  // namespace cairn::sim
