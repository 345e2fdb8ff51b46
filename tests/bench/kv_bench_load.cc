#include "tests/bench/kv_bench_load.h"

#include <future>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::bench {
namespace {

constexpr std::chrono::seconds kPatience{60};

std::string key_of(std::size_t number) { return fmt::format("bench/{:010}", number); }

template <class Message>
Bytes encode(const Message& message) {
    return Bytes::copy_of(message.SerializeAsString());
}

// Not compressible, and the same for every key: what it holds is nobody's matter.
std::string make_value(std::size_t bytes) {
    Prng prng(bytes);
    std::string value(bytes, '\0');
    for (char& byte : value) {
        byte = static_cast<char>(prng.below(256));
    }
    return value;
}

}  // namespace

Workload make_puts(std::size_t key_count, std::size_t value_bytes) {
    Workload workload{.method = wire::MethodId::kKvPut};
    etcdserverpb::PutRequest put;
    put.set_value(make_value(value_bytes));
    for (std::size_t i = 0; i < key_count; ++i) {
        put.set_key(key_of(i));
        workload.requests.push_back(encode(put));
    }
    return workload;
}

Workload make_gets(std::size_t key_count, std::size_t value_bytes, bool serializable) {
    Workload workload{.method = wire::MethodId::kKvRange, .answer_bytes_min = value_bytes};
    etcdserverpb::RangeRequest get;
    get.set_serializable(serializable);
    for (std::size_t i = 0; i < key_count; ++i) {
        get.set_key(key_of(i));
        workload.requests.push_back(encode(get));
    }
    return workload;
}

Load::Load(client::IoThread& io, std::vector<client::Channel>& channels, std::size_t in_flight)
    : io_(io), channels_(channels), in_flight_(in_flight) {}

std::optional<Sample> Load::run(const Workload& workload, const Span& span) {
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
        begin_ = Clock::now();
        for (std::size_t i = 0; i < in_flight_; ++i) {
            start_next();
        }
    });
    if (ended.wait_for(span.time_max + kPatience) != std::future_status::ready) {
        return std::nullopt;
    }
    return std::move(sample_);
}

bool Load::may_start(Clock::time_point now) const {
    return started_ < span_.count_max && now - begin_ < span_.time_max &&
           sample_.errors < kErrorsMax;
}

void Load::start_next() {
    const Clock::time_point now = Clock::now();
    if (!may_start(now)) {
        return;
    }
    const std::size_t count = workload_->requests.size();
    const std::size_t key =
        static_cast<std::size_t>(span_.every_key ? started_ % count : prng_.below(count));
    client::Channel& channel = channels_[started_ % channels_.size()];
    ++started_;
    channel.call({.method = workload_->method, .message = workload_->requests[key]},
                 [this, now](const client::CallResult& result) { on_done(now, result); });
}

void Load::on_done(Clock::time_point start, const client::CallResult& result) {
    const Clock::time_point now = Clock::now();
    if (!result.status.is_ok() || result.message.size() < workload_->answer_bytes_min) {
        if (++sample_.errors == 1) {
            sample_.first_error =
                result.status.is_ok() ? "the key has no value" : result.status.message;
        }
    } else {
        const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(now - start);
        sample_.latencies_ns.push_back(static_cast<std::uint64_t>(took.count()));
    }
    ++ended_;
    start_next();
    if (ended_ == started_) {
        sample_.seconds = std::chrono::duration<double>(now - begin_).count();
        // Behind it nothing of this object may be touched: run() has returned.
        const std::function<void()> on_over = std::move(on_over_);
        on_over();
    }
}

}  // namespace cairn::bench
