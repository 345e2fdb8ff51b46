#include "server/net/snapshot_thread.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::server::net {
namespace {

// What is read for checksums before others' work has its turn.
constexpr std::uint64_t kClientStepBytes = 32U * 1024U * 1024U;

}  // namespace

SnapshotThread::SnapshotThread(storage::FileSystem& files,
                               std::unique_ptr<storage::SnapshotStore> store,
                               std::uint64_t rate_bytes, Hooks hooks)
    : store_(std::move(store)),
      disk_(files, *store_),
      pace_(rate_bytes),
      hooks_(std::move(hooks)),
      queue_(kClientBuildsMax),
      thread_([this] { run(); }) {}

SnapshotThread::~SnapshotThread() { stop(); }

void SnapshotThread::submit(SnapshotWork work) {
    // Refused only after stop(), when nobody waits for the answer any more.
    static_cast<void>(queue_.push(std::move(work), 0));
}

void SnapshotThread::build_for_client(Index at_least, Wanted wanted, OnBuilt on_built) {
    if (!queue_.push(ClientBuild{at_least, std::move(wanted), on_built}, 1) && !stopping_) {
        on_built(Errc::kTooManyRequests);
    }
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
                std::visit([this](auto& one) { carry_out(std::move(one)); }, item);
            }
        }
    }
}

void SnapshotThread::carry_out(ClientBuild build) {
    clients_.push_back(std::move(build));
    if (clients_.size() == 1 && !begun_for_.has_value()) {
        carry_out(ClientStep{});
    }
}

// In steps, as for members: their work goes on between. One that has begun is brought to its end
// also when all have left, for only then the store removes it.
void SnapshotThread::carry_out(ClientStep) {
    std::erase_if(clients_, [](const ClientBuild& client) { return !client.wanted->load(); });
    if (clients_.empty() && !begun_for_.has_value()) {
        return;
    }
    // Who waits longest wants the least: what is begun for it now will do for all who wait.
    const Index at_least = begun_for_.has_value() ? *begun_for_ : clients_.front().at_least;
    const auto built =
        store_->build_step(at_least, kClientStepBytes, storage::SnapshotUse::kClient);
    if (built.has_value() && built.value() == nullptr) {
        begun_for_ = at_least;
    } else {
        begun_for_.reset();
        answer(built);
    }
    if (begun_for_.has_value() || !clients_.empty()) {
        static_cast<void>(queue_.push(ClientStep{}, 0));
    }
}

void SnapshotThread::answer(const Result<std::shared_ptr<const storage::BuiltSnapshot>>& built) {
    const auto serves = [&built](const ClientBuild& client) {
        return built.has_error() || built.value()->manifest.meta.last.index >= client.at_least;
    };
    const auto later = std::stable_partition(clients_.begin(), clients_.end(), serves);
    for (auto client = clients_.begin(); client != later; ++client) {
        client->on_built(built);
    }
    clients_.erase(clients_.begin(), later);
}

void SnapshotThread::carry_out(SnapshotWork work) {
    if (const auto* piece = std::get_if<ReadPiece>(&work)) {
        std::this_thread::sleep_until(pace_.next(Pace::Clock::now(), piece->count));
    }
    if (const auto* install = std::get_if<InstallIncoming>(&work)) {
        hooks_.on_engine(install->manifest.meta, disk_.install(*install));
    } else if (auto result = disk_.run(std::move(work)); result.has_value()) {
        hooks_.on_result(*std::move(result));
    }
}

}  // namespace cairn::server::net
