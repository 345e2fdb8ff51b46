#include "tests/bench/kv_bench_load.h"

#include <future>
#include <memory>
#include <utility>

namespace cairn::bench {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::milliseconds kProgressEvery{200};

}  // namespace

Load::Load(client::IoThread& io, std::vector<client::Channel>& channels, std::size_t lanes)
    : io_(io), channels_(channels), lanes_(lanes) {}

std::optional<Sample> Load::run(Workload& workload, const Span& span,
                                const OnProgress& on_progress) {
    workload_ = &workload;
    span_ = span;
    sample_ = Sample{};
    started_ = 0;
    ended_ = 0;
    // Shared with the IoThread, which may outlive this wait.
    const auto over = std::make_shared<std::promise<void>>();
    std::future<void> ended = over->get_future();
    on_over_ = [over] { over->set_value(); };
    io_.post([this] {
        begin_ = last_end_ = Clock::now();
        ++under_way_;  // so that a span that starts nothing ends, too
        for (std::size_t lane = 0; lane < lanes_; ++lane) {
            start_next(lane);
        }
        --under_way_;
        maybe_end();
    });
    Clock::time_point moved = Clock::now();
    std::uint64_t seen = 0;
    while (ended.wait_for(kProgressEvery) != std::future_status::ready) {
        const std::uint64_t now = ended_.load(std::memory_order_relaxed);
        if (now != seen) {
            seen = now;
            moved = Clock::now();
        } else if (Clock::now() - moved > kPatience) {
            return std::nullopt;
        }
        on_progress(seen);
    }
    return std::move(sample_);
}

bool Load::may_start(Clock::time_point now) const {
    return started_ < span_.count_max && now - begin_ < span_.time_max &&
           sample_.errors < kErrorsMax;
}

void Load::start_next(std::size_t lane) {
    if (!may_start(Clock::now())) {
        return;
    }
    client::CallRequest request = workload_->next(lane, started_);
    client::Channel& channel = channels_[started_ % channels_.size()];
    ++started_;
    ++under_way_;
    channel.call(std::move(request),
                 [this, lane, start = Clock::now()](const client::CallResult& result) {
                     on_done(lane, start, result);
                 });
    start_beside();
}

void Load::start_beside() {
    std::optional<client::CallRequest> request = workload_->beside();
    if (!request) {
        return;
    }
    ++under_way_;
    channels_[started_ % channels_.size()].call(*std::move(request),
                                                [this](const client::CallResult& result) {
                                                    if (!result.status.is_ok()) {
                                                        fail(result.status.message);
                                                    }
                                                    --under_way_;
                                                    maybe_end();
                                                });
}

void Load::on_done(std::size_t lane, Clock::time_point start, const client::CallResult& result) {
    last_end_ = Clock::now();
    std::string wrong = result.status.is_ok() ? workload_->on_answer(lane, result.message.view())
                                              : result.status.message;
    if (!result.status.is_ok() || !wrong.empty()) {
        fail(std::move(wrong));
    } else {
        const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(last_end_ - start);
        sample_.latencies_ns.push_back(static_cast<std::uint64_t>(took.count()));
    }
    ended_.fetch_add(1, std::memory_order_relaxed);
    start_next(lane);
    --under_way_;
    maybe_end();
}

void Load::fail(std::string why) {
    if (++sample_.errors == 1) {
        sample_.first_error = std::move(why);
    }
}

void Load::maybe_end() {
    if (under_way_ > 0) {
        return;
    }
    sample_.seconds = std::chrono::duration<double>(last_end_ - begin_).count();
    // Behind it nothing of this object may be touched: run() has returned.
    const std::function<void()> on_over = std::move(on_over_);
    on_over();
}

}  // namespace cairn::bench
