#include "server/net/state_thread.h"

#include <chrono>
#include <limits>
#include <utility>

namespace cairn::server::net {
namespace {

// Versions removed in one step of the collector: about a millisecond, so that an apply that
// arrives meanwhile does not wait long.
constexpr std::uint64_t kCollectBudget = 500;

class Stopwatch {
  public:
    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    }

  private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

// One apply in flight, so the queue needs no bound of its own.
StateThread::StateThread(storage::StateMachine& machine, OnDone on_done)
    : machine_(machine),
      on_done_(std::move(on_done)),
      queue_(std::numeric_limits<std::uint64_t>::max() / 2),
      thread_([this] { run(); }) {}

StateThread::~StateThread() { stop(); }

void StateThread::submit(StateWork work) { static_cast<void>(queue_.push(std::move(work), 0)); }

void StateThread::stop() {
    queue_.close();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void StateThread::run() {
    std::vector<StateWork> work;
    while (true) {
        const bool idle_work = !failed_ && machine_.has_garbage();
        if (idle_work ? !queue_.try_take_all(work) : !queue_.take_all(work)) {
            return;
        }
        if (failed_) {
            continue;
        }
        for (auto& item : work) {
            if (item.engine != nullptr) {
                replace(std::move(item.engine));
            } else if (!item.entries.empty()) {
                apply(item.entries);
            }
        }
        if (work.empty() && idle_work) {
            collect();
        }
    }
}

void StateThread::apply(const std::vector<raft::Entry>& entries) {
    const Stopwatch watch;
    auto output = machine_.apply(entries);
    StateStep step;
    if (output.has_error()) {
        failed_ = true;
        step.error = output.error();
    } else {
        step.output = std::move(output).value();
        // Of a range that was deleted they are many: they end here and not on the reactor.
        step.output->events.clear();
    }
    step.seconds = watch.seconds();
    report(std::move(step));
}

void StateThread::collect() {
    const Stopwatch watch;
    auto collected = machine_.collect_garbage(kCollectBudget);
    StateStep step;
    if (collected.has_error()) {
        failed_ = true;
        step.error = collected.error();
    } else if (collected.value() == collected_) {
        return;
    } else {
        collected_ = collected.value();
        step.collected_up_to = collected_;
    }
    step.seconds = watch.seconds();
    report(std::move(step));
}

void StateThread::replace(std::shared_ptr<storage::KvEngine> engine) {
    const Result<void> replaced = machine_.replace(std::move(engine));
    StateStep step;
    if (replaced.has_error()) {
        failed_ = true;
        step.error = replaced.error();
    } else {
        step.replaced = machine_.applied_state();
        // The snapshot may be of a member that has removed what calls here wait for.
        collected_ = machine_.collected();
        step.collected_up_to = collected_;
    }
    report(std::move(step));
}

void StateThread::report(StateStep step) {
    step.view = machine_.view();
    on_done_(std::move(step));
}

}  // namespace cairn::server::net
