// The state thread: applies committed entries, and collects garbage when there are none (T3).
// Started and stopped by the Node; submit from the reactor; callbacks run on the state thread.
// Never goes on after an error: the first one is reported and everything later is dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "raft/types.h"
#include "storage/state_machine.h"

namespace cairn::server::net {

// One apply, as it ended, with the view that now shows it.
struct StateStep {
    std::optional<Error> error;
    std::optional<storage::ApplyOutput> output;   // set after an apply
    std::optional<std::int64_t> collected_up_to;  // set after a step of the collector
    // Set when the engine was replaced, as StateWork::engine asked: the state of the new one.
    std::optional<storage::AppliedState> replaced;
    std::shared_ptr<const storage::mvcc::ReadView> view;
    double seconds{};
};

// What the reactor hands over at once.
struct StateWork {
    std::vector<raft::Entry> entries;  // none: there is nothing to apply
    // Dropped on the state thread; all readers of them have ended or hold their own.
    std::vector<std::shared_ptr<const storage::mvcc::ReadView>> retired_views;
    // Go on with this one (an installed snapshot); there are no entries then.
    std::shared_ptr<storage::KvEngine> engine;
};

class StateThread {
  public:
    using OnDone = std::function<void(StateStep)>;

    StateThread(storage::StateMachine& machine, OnDone on_done);
    ~StateThread();
    StateThread(const StateThread&) = delete;
    StateThread& operator=(const StateThread&) = delete;

    // At most one is in flight (Effects::apply's contract).
    void submit(StateWork work);
    // Applies what is queued, then ends the thread. Idempotent.
    void stop();

  private:
    void run();
    void apply(const std::vector<raft::Entry>& entries);
    void collect();
    void replace(std::shared_ptr<storage::KvEngine> engine);
    void report(StateStep step);

    storage::StateMachine& machine_;
    OnDone on_done_;
    BoundedQueue<StateWork> queue_;
    std::int64_t collected_ = 0;
    bool failed_ = false;
    std::thread thread_;
};

}  // namespace cairn::server::net
