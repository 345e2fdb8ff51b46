#include "server/net/snapshot_thread.h"

#include <limits>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::server::net {
namespace {

// What is read for checksums before others' work has its turn.
constexpr std::uint64_t kClientStepBytes = 32U * 1024U * 1024U;

}  // namespace

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

void SnapshotThread::build_for_client(Index at_least, OnBuilt on_built) {
    static_cast<void>(queue_.push(ClientBuild{at_least, std::move(on_built)}, 0));
}

void SnapshotThread::stop() {
    stopping_ = true;
    queue_.close();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void SnapshotThread::run() {
    std::vector<Work> work;
    while (queue_.take_all(work)) {
        for (auto& item : work) {
            if (!stopping_) {
                carry_out(std::move(item));
            }
        }
    }
}

void SnapshotThread::carry_out(Work work) {
    if (auto* build = std::get_if<ClientBuild>(&work)) {
        carry_out_for_client(std::move(*build));
    } else {
        carry_out_for_flow(std::get<SnapshotWork>(std::move(work)));
    }
}

// In steps, as for members: their work goes on between. It is brought to its end also when the
// client has left, since others may have joined.
void SnapshotThread::carry_out_for_client(ClientBuild build) {
    auto built =
        store_->build_step(build.at_least, kClientStepBytes, storage::SnapshotUse::kClient);
    if (built.has_value() && built.value() == nullptr) {
        static_cast<void>(queue_.push(std::move(build), 0));
        return;
    }
    build.on_built(std::move(built));
}

void SnapshotThread::carry_out_for_flow(SnapshotWork work) {
    if (const auto* install = std::get_if<InstallIncoming>(&work)) {
        hooks_.on_engine(install->manifest.meta, disk_.install(*install));
    } else if (auto result = disk_.run(std::move(work)); result.has_value()) {
        hooks_.on_result(*std::move(result));
    }
}

}  // namespace cairn::server::net
