// Runs the replica on the reactor (T1): events in, effects carried out, answers to their callers.
// Owned by the Node; every method on the reactor's thread unless said otherwise.
// Never decides anything that the replica could decide.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/ids.h"
#include "server/net/log_thread.h"
#include "server/net/metrics.h"
#include "server/net/state_thread.h"
#include "server/replica/replica.h"

namespace cairn::server::net {

// Who waits for a Completion.
class CallOwner {
  public:
    virtual ~CallOwner() = default;
    // `token` is what the owner gave with the call. Exactly once a call, unless it was cancelled.
    virtual void on_completion(std::uint64_t token, const Completion& completion) = 0;
    // A turn that completed calls of this owner has ended: a good moment to write.
    virtual void on_turn_end() = 0;
};

// What the driver needs of the rest of the shell.
struct DriverPorts {
    std::function<void(std::vector<raft::Message>&)> send;             // may move from the messages
    std::function<void(const std::shared_ptr<const PeerSet>&)> peers;  // they have changed
    std::function<void(const Error&)> halt;                            // called once
    std::function<void(const std::vector<TraceEvent>&)> trace;
    // Read at the end of each turn's events, for raft::ClockRead; empty: nobody needs it.
    std::function<std::uint64_t()> clock_ns;
    // At the end of each turn, for what it says of snapshots.
    std::function<void(const Effects&, const NodeView&)> snapshots;
};

class ReplicaDriver {
  public:
    // Starts the log's and the state's threads.
    struct Parts {
        std::unique_ptr<Replica> replica;
        std::unique_ptr<storage::LogStore> log;
        std::unique_ptr<storage::StateMachine> machine;
    };
    ReplicaDriver(boost::asio::io_context& reactor, Parts parts, DriverPorts ports,
                  Metrics& metrics);
    ~ReplicaDriver();
    ReplicaDriver(const ReplicaDriver&) = delete;
    ReplicaDriver& operator=(const ReplicaDriver&) = delete;

    // Anything that carries no call: ticks, messages, lost peers, flushes.
    void post(Event event);
    CallId submit(std::shared_ptr<CallOwner> owner, std::uint64_t token, command::CommandKind kind,
                  Bytes request);
    CallId submit_read(std::shared_ptr<CallOwner> owner, std::uint64_t token);
    CallId transfer_leader(std::shared_ptr<CallOwner> owner, std::uint64_t token, NodeId to);
    // The owner no longer wants the answer. Ignored for a call that has ended.
    void cancel(CallId call);
    // The same of a write that runs on; `kept` is let go when its outcome is known.
    void abandon(CallId call, std::shared_ptr<const void> kept);

    // Gives the state machine this engine, an installed snapshot's, and says its state. As
    // Effects::install: no apply is in flight.
    void replace_engine(std::shared_ptr<storage::KvEngine> engine,
                        std::function<void(storage::AppliedState)> on_replaced);

    // One tick of time; also seals an idle log.
    void tick();

    [[nodiscard]] const NodeView& view() const { return replica_->view(); }
    // The newest applied state. Never null.
    [[nodiscard]] const std::shared_ptr<const storage::mvcc::ReadView>& read_view() const {
        return read_view_;
    }
    // The same, as fresh as can be. Any thread.
    [[nodiscard]] std::shared_ptr<const storage::mvcc::ReadView> newest_view() const {
        return machine_->view();
    }
    [[nodiscard]] const storage::LogStats& log_stats() const { return log_stats_; }
    [[nodiscard]] std::size_t calls_open() const { return calls_open_; }

    // Ends both threads after what is queued there. No effect is carried out afterwards.
    void stop();

  private:
    // A slot is reused after its call ended; the generation in the CallId tells the uses apart.
    struct Call {
        std::shared_ptr<CallOwner> owner;
        std::uint64_t token{};
        std::uint32_t generation = 1;
        bool open = false;
    };

    CallId open_call(std::shared_ptr<CallOwner> owner, std::uint64_t token);
    Call* find_call(CallId call);
    void close_call(CallId call);

    void schedule_turn();
    void turn();
    void carry_out();
    void complete(std::vector<Completion>& completions);
    void on_log_write(LogWrite done);
    void on_state_step(StateStep step);
    void halt(const Error& error);

    boost::asio::io_context& reactor_;
    std::unique_ptr<Replica> replica_;
    std::unique_ptr<storage::LogStore> log_;
    std::unique_ptr<storage::StateMachine> machine_;
    DriverPorts ports_;
    Metrics& metrics_;
    std::shared_ptr<const storage::mvcc::ReadView> read_view_;
    storage::LogStats log_stats_;

    Effects effects_;
    bool turn_scheduled_ = false;
    bool halted_ = false;
    bool wrote_since_tick_ = false;
    PersistSeq submitted_;  // to the log's thread
    PersistSeq persisted_;
    std::vector<std::shared_ptr<const storage::mvcc::ReadView>> retired_views_;
    std::function<void(storage::AppliedState)>
        on_replaced_;  // while the state thread replaces the engine

    std::vector<Call> calls_;
    std::vector<std::uint32_t> free_calls_;
    std::size_t calls_open_ = 0;
    std::vector<std::shared_ptr<CallOwner>> touched_;  // owners of this turn's completions

    // Last, so that they end first: their callbacks post to the reactor.
    std::unique_ptr<LogThread> log_thread_;
    std::unique_ptr<StateThread> state_thread_;
};

}  // namespace cairn::server::net
