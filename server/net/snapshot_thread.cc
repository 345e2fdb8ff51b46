#include "server/net/snapshot_thread.h"

#include <limits>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::server::net {

SnapshotThread::SnapshotThread(storage::FileSystem& files,
                               std::unique_ptr<storage::SnapshotStore> store, Hooks hooks)
    : store_(std::move(store)),
      disk_(files, *store_),
      hooks_(std::move(hooks)),
      queue_(std::numeric_limits<std::uint64_t>::max() / 2),
      thread_([this] { run(); }) {}

SnapshotThread::~SnapshotThread() { stop(); }

void SnapshotThread::submit(SnapshotWork work) {
    // Refused only after stop(), when nobody waits for the answer any more.
    static_cast<void>(queue_.push(std::move(work), 0));
}

void SnapshotThread::stop() {
    stopping_ = true;
    queue_.close();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void SnapshotThread::run() {
    std::vector<SnapshotWork> work;
    while (queue_.take_all(work)) {
        for (auto& item : work) {
            if (!stopping_) {
                carry_out(std::move(item));
            }
        }
    }
}

void SnapshotThread::carry_out(SnapshotWork work) {
    if (const auto* install = std::get_if<InstallIncoming>(&work)) {
        hooks_.on_engine(install->manifest.meta, disk_.install(*install));
    } else if (auto result = disk_.run(std::move(work)); result.has_value()) {
        hooks_.on_result(*std::move(result));
    }
}

}  // namespace cairn::server::net
