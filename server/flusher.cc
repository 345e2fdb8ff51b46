#include "server/flusher.h"

#include <algorithm>

#include <boost/asio/post.hpp>

namespace cairn::server {
namespace {

constexpr std::uint64_t kUnflushedBytesMax = 64U * 1024U * 1024U;
constexpr std::uint64_t kLogBytesSinceMax = 64U * 1024U * 1024U;
constexpr std::chrono::minutes kFlushInterval{5};

}  // namespace

Flusher::Flusher(boost::asio::io_context& reactor, net::ReplicaDriver& driver,
                 const storage::StateMachine& machine, net::Metrics& metrics, const LogKept& kept)
    : reactor_(reactor),
      driver_(driver),
      machine_(machine),
      metrics_(metrics),
      log_since_max_{std::min(kLogBytesSinceMax, kept.bytes_max / 2), kept.entries_max / 2} {}

void Flusher::start(Index flushed) {
    flushed_ = flushed;
    if (flushed != Index{}) {
        driver_.post(StateFlushed{flushed});
    }
}

bool Flusher::is_due() const {
    const bool nothing_new = driver_.view().applied == flushed_;
    return !running_ && !nothing_new &&
           (driver_.view().flush_behind ||
            machine_.engine()->unflushed_bytes() >= kUnflushedBytesMax ||
            driver_.log_stats().bytes_written - log_bytes_at_flush_ >= log_since_max_.bytes_max ||
            driver_.view().applied >= flushed_ + log_since_max_.entries_max ||
            std::chrono::steady_clock::now() - last_flush_ >= kFlushInterval);
}

void Flusher::on_second() {
    if (is_due()) {
        running_ = true;
        log_bytes_at_flush_ = driver_.log_stats().bytes_written;
        boost::asio::post(thread_, [this] { flush(); });
    }
}

// On the flusher's thread: the engine switches its memory first, so applies go on meanwhile.
void Flusher::flush() {
    const auto begin = std::chrono::steady_clock::now();
    const Result<Index> flushed = machine_.flush();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    boost::asio::post(reactor_,
                      [this, flushed, seconds = took.count()] { on_flushed(flushed, seconds); });
}

void Flusher::on_flushed(Result<Index> flushed, double seconds) {
    running_ = false;
    last_flush_ = std::chrono::steady_clock::now();
    if (flushed.has_error()) {
        driver_.post(StorageFailed{flushed.error()});
        return;
    }
    metrics_.flush_seconds.Observe(seconds);
    flushed_ = flushed.value();
    driver_.post(StateFlushed{flushed_});
}

void Flusher::stop() { thread_.join(); }

}  // namespace cairn::server
