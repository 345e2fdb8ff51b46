#include "server/net/replica_driver.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "base/assert.h"

namespace cairn::server::net {
namespace {

constexpr double kSlowApplySeconds = 0.1;  // as etcd's warning

// Stands in for whoever left.
class Abandoned : public CallOwner {
  public:
    explicit Abandoned(std::shared_ptr<const void> kept) : kept_(std::move(kept)) {}
    void on_completion(std::uint64_t, const Completion&) override {}
    void on_turn_end() override {}

  private:
    std::shared_ptr<const void> kept_;
};

}  // namespace

ReplicaDriver::ReplicaDriver(boost::asio::io_context& reactor, Parts parts, DriverPorts ports,
                             Metrics& metrics)
    : reactor_(reactor),
      replica_(std::move(parts.replica)),
      log_(std::move(parts.log)),
      machine_(std::move(parts.machine)),
      ports_(std::move(ports)),
      metrics_(metrics),
      read_view_(machine_->view()) {
    log_thread_ = std::make_unique<LogThread>(*log_, [this](LogWrite done) {
        boost::asio::post(reactor_, [this, moved = std::move(done)]() mutable {
            on_log_write(std::move(moved));
        });
    });
    state_thread_ = std::make_unique<StateThread>(*machine_, [this](StateStep step) {
        boost::asio::post(reactor_, [this, moved = std::move(step)]() mutable {
            on_state_step(std::move(moved));
        });
    });
    schedule_turn();
}

ReplicaDriver::~ReplicaDriver() { stop(); }

void ReplicaDriver::stop() {
    halted_ = true;
    log_thread_->stop();
    state_thread_->stop();
}

void ReplicaDriver::post(Event event) {
    replica_->step(std::move(event));
    schedule_turn();
}

CallId ReplicaDriver::open_call(std::shared_ptr<CallOwner> owner, std::uint64_t token) {
    if (free_calls_.empty()) {
        CAIRN_ASSERT(calls_.size() < ~std::uint32_t{0});
        free_calls_.push_back(static_cast<std::uint32_t>(calls_.size()));
        calls_.emplace_back();
    }
    const std::uint32_t slot = free_calls_.back();
    free_calls_.pop_back();
    Call& call = calls_[slot];
    call.owner = std::move(owner);
    call.token = token;
    call.open = true;
    ++calls_open_;
    return CallId{(std::uint64_t{call.generation} << 32U) | slot};
}

ReplicaDriver::Call* ReplicaDriver::find_call(CallId id) {
    const auto slot = static_cast<std::uint32_t>(id.value);
    const auto generation = static_cast<std::uint32_t>(id.value >> 32U);
    if (slot >= calls_.size() || !calls_[slot].open || calls_[slot].generation != generation) {
        return nullptr;
    }
    return &calls_[slot];
}

void ReplicaDriver::close_call(CallId id) {
    Call* call = find_call(id);
    CAIRN_ASSERT(call != nullptr);
    call->owner.reset();
    call->open = false;
    ++call->generation;
    --calls_open_;
    free_calls_.push_back(static_cast<std::uint32_t>(id.value));
}

CallId ReplicaDriver::submit(std::shared_ptr<CallOwner> owner, std::uint64_t token,
                             command::CommandKind kind, Bytes request) {
    const CallId call = open_call(std::move(owner), token);
    post(Submit{call, kind, std::move(request)});
    return call;
}

CallId ReplicaDriver::submit_read(std::shared_ptr<CallOwner> owner, std::uint64_t token) {
    const CallId call = open_call(std::move(owner), token);
    post(SubmitRead{call});
    return call;
}

CallId ReplicaDriver::transfer_leader(std::shared_ptr<CallOwner> owner, std::uint64_t token,
                                      NodeId to) {
    const CallId call = open_call(std::move(owner), token);
    post(TransferLeader{call, to});
    return call;
}

void ReplicaDriver::cancel(CallId call) {
    if (find_call(call) != nullptr) {
        close_call(call);
        post(Cancel{call});
    }
}

void ReplicaDriver::abandon(CallId id, std::shared_ptr<const void> kept) {
    if (Call* call = find_call(id); call != nullptr) {
        call->owner = std::make_shared<Abandoned>(std::move(kept));
    }
}

void ReplicaDriver::replace_engine(std::shared_ptr<storage::KvEngine> engine,
                                   std::function<void(storage::AppliedState)> on_replaced) {
    on_replaced_ = std::move(on_replaced);
    state_thread_->submit({{}, std::exchange(retired_views_, {}), std::move(engine)});
}

void ReplicaDriver::tick() {
    // Never while a write is on its way: the seal would hold up the one behind it.
    if (!wrote_since_tick_ && submitted_ == persisted_) {
        log_thread_->seal();
    }
    wrote_since_tick_ = false;
    // While nothing is applied, no apply takes them along; and they may hold an engine that a
    // snapshot has replaced.
    if (!retired_views_.empty()) {
        state_thread_->submit({{}, std::exchange(retired_views_, {}), nullptr});
    }
    post(Tick{});
}

// One turn for all the events of one pass of the reactor: the post lands behind every handler that
// is ready now. This is the group commit; there is no timer. What the log's and the state's threads
// hand back is gathered already, so those take their turn at once.
void ReplicaDriver::schedule_turn() {
    if (!turn_scheduled_ && !halted_) {
        turn_scheduled_ = true;
        boost::asio::post(reactor_, [this] {
            if (turn_scheduled_) {
                turn();
            }
        });
    }
}

void ReplicaDriver::turn() {
    turn_scheduled_ = false;
    if (halted_) {
        return;
    }
    if (ports_.clock_ns) {
        replica_->step(ClockRead{ports_.clock_ns()});
    }
    replica_->take_effects(effects_);
    carry_out();
}

void ReplicaDriver::carry_out() {
    if (!effects_.trace.empty()) {
        ports_.trace(effects_.trace);
    }
    if (effects_.halt.has_value()) {
        if (!effects_.send.empty()) {
            ports_.send(effects_.send);
        }
        halt(*effects_.halt);
        return;
    }
    if (effects_.peers != nullptr) {
        ports_.peers(effects_.peers);
    }
    if (!effects_.send.empty()) {
        ports_.send(effects_.send);
    }
    if (effects_.persist.has_value()) {
        submitted_ = effects_.persist->seq;
        log_thread_->submit(*std::move(effects_.persist));
    }
    if (!effects_.apply.empty()) {
        state_thread_->submit(
            {std::exchange(effects_.apply, {}), std::exchange(retired_views_, {}), nullptr});
    }
    complete(effects_.completions);
    ports_.snapshots(effects_, replica_->view());
}

void ReplicaDriver::complete(std::vector<Completion>& completions) {
    touched_.clear();
    for (auto& waiting : completions) {
        const Completion completion = std::move(waiting);  // its answer is not kept till the end
        Call* call = find_call(completion.call);
        if (call == nullptr) {
            continue;  // cancelled in this very turn
        }
        std::shared_ptr<CallOwner> owner = std::move(call->owner);
        const std::uint64_t token = call->token;
        close_call(completion.call);
        owner->on_completion(token, completion);
        touched_.push_back(std::move(owner));
    }
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (const auto& owner : touched_) {
        owner->on_turn_end();
    }
    touched_.clear();
}

void ReplicaDriver::on_log_write(LogWrite done) {
    log_stats_ = done.stats;
    if (done.error.has_value()) {
        post(StorageFailed{*std::move(done.error)});
        return;
    }
    metrics_.wal_fsync_seconds.Observe(done.seconds);
    persisted_ = done.seq;
    wrote_since_tick_ = true;
    replica_->step(LogPersisted{done.seq});
    turn();
}

void ReplicaDriver::on_state_step(StateStep step) {
    std::swap(read_view_, step.view);
    // Not dropped here, where the engine's lock could be waited for.
    retired_views_.push_back(std::move(step.view));
    if (step.error.has_value()) {
        post(StorageFailed{*std::move(step.error)});
        return;
    }
    if (step.replaced.has_value()) {
        std::exchange(on_replaced_, nullptr)(*std::move(step.replaced));
    }
    if (step.collected_up_to.has_value()) {
        replica_->step(GarbageCollected{*step.collected_up_to});
    }
    if (step.output.has_value()) {
        metrics_.apply_seconds.Observe(step.seconds);
        metrics_.slow_applies += step.seconds > kSlowApplySeconds ? 1U : 0U;
        replica_->step(StateApplied{*std::move(step.output)});
    }
    turn();
}

void ReplicaDriver::halt(const Error& error) {
    if (!halted_) {
        halted_ = true;
        ports_.halt(error);
    }
}

}  // namespace cairn::server::net
