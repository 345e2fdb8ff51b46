#include "server/net/log_thread.h"

#include <chrono>
#include <limits>
#include <utility>

#include "base/assert.h"

namespace cairn::server::net {
namespace {

// Of one write and sync, or one batch that is larger.
constexpr std::uint64_t kSliceBytes = 8U * 1024U * 1024U;

std::uint64_t batch_bytes(const raft::PersistBatch& batch) {
    std::uint64_t bytes = 64;
    for (const auto& entry : batch.entries) {
        bytes += entry.cost_bytes();
    }
    return bytes;
}

}  // namespace

// The core bounds uncommitted bytes and appends in flight, so the queue needs no bound of its own.
LogThread::LogThread(storage::LogStore& log, OnDone on_done)
    : log_(log),
      on_done_(std::move(on_done)),
      queue_(std::numeric_limits<std::uint64_t>::max() / 2),
      thread_([this] { run(); }) {}

LogThread::~LogThread() { stop(); }

void LogThread::submit(raft::PersistBatch batch) {
    const std::uint64_t bytes = batch_bytes(batch);
    // Refused only after stop(), when nobody waits for the answer any more.
    static_cast<void>(queue_.push(Work{std::move(batch)}, bytes));
}

void LogThread::seal() { static_cast<void>(queue_.push(Work{}, 0)); }

void LogThread::stop() {
    queue_.close();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void LogThread::run() {
    std::vector<Work> work;
    while (queue_.take_all(work)) {
        for (std::size_t at = 0; at < work.size() && !failed_;) {
            at = take_slice(work, at);
            commit();
        }
    }
}

// A backlog is written in parts, each told when it is durable: the core must be able to tell a disk
// that is busy from one that hangs.
std::size_t LogThread::take_slice(std::vector<Work>& work, std::size_t at) {
    slice_.clear();
    std::uint64_t bytes = 0;
    for (; at < work.size() && (bytes < kSliceBytes || !work[at].has_value()); ++at) {
        if (work[at].has_value()) {
            bytes += batch_bytes(*work[at]);
            slice_.push_back(*std::move(work[at]));
        }
    }
    return at;
}

void LogThread::commit() {
    const auto begin = std::chrono::steady_clock::now();
    // A seal that came with batches is void: they are newer than what it was to protect.
    const Result<void> result = slice_.empty() ? log_.seal() : log_.append(slice_);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    failed_ = result.has_error();
    if (failed_ || !slice_.empty()) {
        LogWrite done;
        if (failed_) {
            done.error = result.error();
        } else {
            done.seq = slice_.back().seq;
        }
        done.seconds = took.count();
        done.stats = log_.stats();
        on_done_(std::move(done));
    }
    if (!failed_) {
        prepare();
    }
}

// Room for what comes is made behind the answer to what came.
void LogThread::prepare() {
    const Result<void> prepared = log_.prepare();
    if (prepared.has_error()) {
        failed_ = true;
        LogWrite done;
        done.error = prepared.error();
        done.stats = log_.stats();
        on_done_(std::move(done));
    }
}

}  // namespace cairn::server::net
