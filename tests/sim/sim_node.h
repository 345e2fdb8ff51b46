// One simulated member: the shipped replica, log and state machine on simulated files, with the
// latencies of a disk and an apply thread between them.
// Owned by the world; one thread.
// Never lets anything survive a crash but what the log synced and the engine flushed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "server/api/dispatcher.h"
#include "server/api/read_answer.h"
#include "server/api/read_gate.h"
#include "server/replica/replica.h"
#include "server/replica/snapshot_disk.h"
#include "server/replica/snapshot_flow.h"
#include "server/replica/snapshot_message.h"
#include "server/replica/snapshot_work.h"
#include "sim/basics.h"
#include "sim/check_member.h"
#include "sim/core_look.h"
#include "sim/event_queue.h"
#include "sim/node_clients.h"
#include "sim/options.h"
#include "sim/parts.h"
#include "sim/requests.h"
#include "sim_fs/sim_fs.h"
#include "storage/log_store.h"
#include "storage/mem_engine.h"
#include "storage/snapshot_store.h"
#include "storage/state_machine.h"

namespace cairn::sim {

class SimNode {
  public:
    SimNode(NodeIndex index, const WorldParts& world, NodeClients& clients, Prng prng);
    ~SimNode();

    void handle(const NodeEvent& event);
    void receive(raft::Message message);

    // The connections that carry snapshots (SimLanes).
    void on_lane(NodeIndex to, bool is_up);
    void on_lane_lost(NodeIndex from);
    void on_snapshot_message(NodeIndex from, server::SnapshotMessage message);

    // From the disk as it is. With `crash_after`, the power goes again at that file operation.
    void start(std::uint64_t crash_after = 0);
    // Everything volatile is gone; what was being written is kept in part. Starts again after
    // `down`, and then start(crash_after).
    void crash(Time down, std::uint64_t crash_after = 0);
    // The first start of a node that a running cluster has made a member.
    void join();
    // Down, for good.
    void retire();
    // Crashes soon after each of its next `count` starts.
    void crash_again(std::uint32_t count) { crashes_to_come_ = count; }
    // The `count`-th effect from now on is not carried out: a crash comes before it.
    void crash_at_effect(std::uint64_t count, Time down) {
        crash_countdown_ = count;
        crash_down_ = down;
    }
    static constexpr Time kHealedMeanUs = 2'000;  // of a disk's writes and applies, at most
    // No more misfortune: no crash or error is due, the disk is quick. A pause, a hanging write and
    // a clock that stands end by themselves, at this time.
    void heal();
    [[nodiscard]] Time troubled_until() const {
        return std::max({paused_until_, disk_hangs_until_, clock_stands_until_});
    }
    void set_disk_factor(std::uint64_t factor) { disk_factor_ = factor; }
    // No write of the log returns before.
    void hang_disk(Time until) { disk_hangs_until_ = std::max(disk_hangs_until_, until); }
    // A call of the disk fails soon; one that writes or syncs ends the process.
    void fail_disk();
    // So many bytes more than now, and then it is full; none: as many as one likes.
    void limit_disk(std::optional<std::uint64_t> bytes_more);
    // Synced bytes of the log become others. What is damaged shows at the next start at the latest.
    // False when there was nothing to damage.
    enum class Damage : std::uint8_t { kRot, kMisdirectedWrite };
    bool damage(Damage kind);
    // So many ticks at once; no ticks before. False when nobody reads the clock.
    bool jump_clock(std::uint32_t ticks);
    void stop_clock(Time until) { clock_stands_until_ = std::max(clock_stands_until_, until); }
    // Of one who is not paused: what waits for the end of a pause must stay in order.
    void set_paused_until(Time until) { paused_until_ = until; }
    [[nodiscard]] Time paused_until() const { return paused_until_; }

    // A unary call, as a session carries it out. False when the node is down.
    bool call(std::uint64_t op, const Request& request);
    void cancel(std::uint64_t op);
    // As somebody asks for it (op 0), or to anybody, as a member does that shuts down.
    void transfer(NodeId to);

    [[nodiscard]] NodeIndex index() const { return index_; }
    [[nodiscard]] bool up() const { return replica_ != nullptr; }
    [[nodiscard]] bool started() const { return started_; }
    [[nodiscard]] bool retired() const { return retired_; }
    // Its log is damaged, whether that has shown or not; and it cannot start any more for that.
    [[nodiscard]] bool damaged() const;
    [[nodiscard]] bool lost() const { return lost_; }
    // As of the newest applied configuration.
    [[nodiscard]] bool is_member() const;
    [[nodiscard]] bool is_voter() const;
    [[nodiscard]] std::uint32_t life() const { return life_; }
    [[nodiscard]] const server::NodeView& view() const { return replica_->view(); }
    // The revision of the state that this life began with.
    [[nodiscard]] std::int64_t born_revision() const { return born_revision_; }
    [[nodiscard]] Pending pending() const;
    // Files of its snapshots and former engines, that it keeps for a while.
    [[nodiscard]] std::vector<std::string> files_left();
    // Of the whole state: keys with their versions, members and alarms.
    [[nodiscard]] std::uint64_t digest() const;
    // Hands it to the safety checker.
    void check_digest();
    [[nodiscard]] std::string status_line() const;
    // The flight recorder's newest events, one a line.
    [[nodiscard]] std::string last_events() const;

  private:
    struct Heard {
        Term term{};
        std::uint64_t tick{};  // of ticks_
    };
    struct DamagedPlace {
        std::string path;
        std::uint64_t offset{};
        std::string bytes;  // what stands there now
    };
    struct Call {
        std::uint64_t op{};
        bool answered = false;
        bool cancelled = false;  // an answer of the same turn may still come: nobody hears it
    };
    // A read that has not run yet; with the facts of when it was let in.
    struct WaitingRead {
        server::Read read{};
        server::api::ReadFacts facts{};
    };

    void close();
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
    [[nodiscard]] bool is_heard_by(NodeId id) const;
    [[nodiscard]] bool others_can_elect() const;
    [[nodiscard]] bool is_heard_by_quorum() const;
    void carry_out();
    void start_snapshot_work();
    void on_snapshot_work();
    void check_snapshot_result(const server::SnapshotResult& result);
    server::SnapshotResult install(const server::InstallIncoming& work);
    void note_installed();
    void check_engine(const std::optional<raft::SnapshotMeta>& installed);
    void begin_read(std::uint64_t op, server::Read read);
    void run_read(std::uint64_t call);
    void answer_read(std::uint64_t call);
    void after(Time delay, NodeEventKind kind, std::uint64_t arg = 0);
    void maybe_collect();
    void write_during_crash();
    bool work_during_crash();
    void flush_during_crash();
    void flush_more_often();
    void clear_life();
    void lose_power(bool dies);
    void rot_received();
    void fail_storage(const char* what, const Error& error);
    void halt();
    void lose(const std::string& why);
    [[nodiscard]] bool open_engine();
    [[nodiscard]] bool open_log(raft::Recovered& recovered);
    [[nodiscard]] bool open_state(const raft::Recovered& recovered);
    [[nodiscard]] bool bootstrap(raft::Recovered& recovered);
    [[nodiscard]] bool finish_install(raft::Recovered& recovered);
    [[nodiscard]] bool write_first(raft::PersistBatch batch, raft::Recovered& recovered);
    void start_replica(raft::Recovered recovered);
    // Counts a fault where it takes effect; what is done to all at the end is none.
    void saw(FaultClass kind) {
        if (!healed_) {
            world_.counters.saw(kind);
        }
    }
    // The nemesis made a call fail since the event under way began, or the disk is full.
    [[nodiscard]] bool is_excused(const Error& error) const;
    [[nodiscard]] bool is_fair(const server::SnapshotResult& result, const Error& error);
    void note_received(const server::SnapshotResult& result);
    void note_work(const server::SnapshotWork& work);
    void note_failures();
    void sabotage_entries(std::vector<raft::Entry>& entries) const;
    [[nodiscard]] bool sabotaged(Sabotage kind) const { return world_.options.sabotage == kind; }
    void check_events(const storage::ApplyOutput& output);
    void report_turn();
    std::uint64_t new_call(std::uint64_t op);

    [[nodiscard]] storage::FileSystem& files() {
        return sabotaged_files_ ? *sabotaged_files_ : files_;
    }

    // The slowest write; what is in flight when the faults end then ends soon, too.
    static constexpr Time kWriteMaxUs = 500'000;

    NodeIndex index_;
    NodeId id_;
    WorldParts world_;
    NodeClients& clients_;
    Prng prng_;
    Time tick_us_;
    // The clock of leases: nothing but its rate is wrong; 0: nobody reads it.
    std::uint64_t clock_permille_ = 0;
    std::uint64_t clock_start_ns_ = 0;
    std::uint64_t promise_ns_ = 0;
    DiskOptions disk_;

    storage::SimFs files_;
    std::unique_ptr<storage::FileSystem> sabotaged_files_;
    storage::MemKind engine_kind_;
    std::unique_ptr<storage::SnapshotStore> store_;
    std::shared_ptr<storage::KvEngine> engine_;  // between opening it and the state machine
    std::unique_ptr<storage::LogStore> log_;
    std::unique_ptr<storage::StateMachine> state_;
    std::optional<server::SnapshotDisk> snapshot_disk_;
    std::optional<server::SnapshotFlow> flow_;
    std::unique_ptr<server::Replica> replica_;
    std::optional<server::api::Dispatcher> dispatcher_;
    server::api::ReadGate read_gate_;

    std::uint32_t life_ = 0;
    std::uint64_t boot_ = 0;
    // Over any crash: as which snapshot the engine began, or may have, and what it holds.
    std::optional<raft::SnapshotMeta> engine_began_;
    std::optional<raft::SnapshotMeta> install_ordered_;
    Index state_durable_{};
    std::int64_t born_revision_ = 0;
    server::Effects effects_;
    bool turn_scheduled_ = false;
    std::vector<raft::PersistBatch> writes_;  // asked for and not on disk, in order
    std::size_t writing_ = 0;                 // how many of them the write in flight takes
    std::uint64_t ticks_ = 0;                 // of its clock, in all lives
    std::vector<Heard> heard_;                // by node: its newest answer to this leader
    QuorumWatch quorum_;
    OfficeWatch office_;
    std::vector<raft::Entry> applying_;
    std::optional<storage::ApplyOutput> applied_;
    bool apply_scheduled_ = false;
    bool collect_scheduled_ = false;
    bool seal_wanted_ = false;
    std::deque<server::SnapshotWork> snapshot_work_;
    bool snapshot_work_under_way_ = false;        // the first of them
    std::vector<server::Event> flow_events_;      // to be stepped before the next turn
    std::vector<Call> calls_;                     // by CallId - 1, of this life
    std::map<std::uint64_t, WaitingRead> reads_;  // by CallId
    std::uint64_t open_calls_ = 0;
    std::uint64_t crash_countdown_ = 0;
    Time crash_down_ = 0;
    std::uint64_t disk_factor_ = 1;
    Time paused_until_ = 0;
    Time disk_hangs_until_ = 0;
    Time clock_stands_until_ = 0;
    std::uint32_t crashes_to_come_ = 0;
    bool healed_ = false;
    bool started_ = false;
    bool joins_ = false;
    bool retired_ = false;
    std::vector<DamagedPlace> damages_;
    bool suspect_ = false;  // its log was damaged at a start, and was not found whole since
    bool lost_ = false;
    bool disk_is_full_ = false;
    bool stop_due_ = false;           // an error of the disk that no life survives
    std::uint64_t failures_met_ = 0;  // calls made to fail before the event under way
    // What is kept of a snapshot may be another's: power was cut, or a call failed, since then.
    bool received_in_doubt_ = false;
    std::uint64_t bad_pieces_ = 0;  // of which it complained, or could have in an earlier life
    std::vector<NodeId> snapshot_readers_;  // for whom one is read
    bool received_waits_ = false;           // a verified one, for its install
    CoreLook core_look_;
    server::NodeView shown_;
};

}  // namespace cairn::sim
