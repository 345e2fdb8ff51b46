// The log's thread: writes and syncs batches in order, many in one sync (T2).
// Started and stopped by the Node; submit from the reactor; on_done runs on the log's thread.
// Never goes on after an error: the first one is reported and everything later is dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/ids.h"
#include "base/result.h"
#include "raft/persist.h"
#include "storage/log_store.h"

namespace cairn::server::net {

// One group commit, as it ended.
struct LogWrite {
    std::optional<Error> error;
    PersistSeq seq;  // everything up to here is durable when there is no error
    double seconds{};
    storage::LogStats stats;
};

class LogThread {
  public:
    using OnDone = std::function<void(LogWrite)>;

    LogThread(storage::LogStore& log, OnDone on_done);
    ~LogThread();
    LogThread(const LogThread&) = delete;
    LogThread& operator=(const LogThread&) = delete;

    void submit(raft::PersistBatch batch);
    // Called by the reactor when nothing was submitted for a tick: seals the newest batch.
    void seal();
    // Writes what is queued, then ends the thread. Idempotent.
    void stop();

  private:
    // An empty one asks for a seal.
    using Work = std::optional<raft::PersistBatch>;

    void run();
    // From work[at] on, into slice_; where the next begins.
    std::size_t take_slice(std::vector<Work>& work, std::size_t at);
    void commit();
    void prepare();

    storage::LogStore& log_;
    OnDone on_done_;
    BoundedQueue<Work> queue_;
    std::vector<raft::PersistBatch> slice_;
    bool failed_ = false;
    std::thread thread_;
};

}  // namespace cairn::server::net
