// The snapshot thread: builds, reads and writes snapshots, one piece of work
// after the other (T4). Started and stopped by the Node; submit from the
// reactor; callbacks run on the snapshot thread. Never touches the state
// machine: an engine that replaces its own is handed over.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "base/bounded_queue.h"
#include "base/result.h"
#include "raft/types.h"
#include "server/net/pace.h"
#include "server/replica/snapshot_disk.h"
#include "server/replica/snapshot_work.h"
#include "storage/engine.h"
#include "storage/file_system.h"
#include "storage/snapshot_store.h"

namespace cairn::server::net {

class SnapshotThread {
  public:
    static constexpr std::uint64_t kClientBuildsMax = 64;

    struct Hooks {
        std::function<void(SnapshotResult)> on_result;
        // The answer to InstallIncoming.
        std::function<void(raft::SnapshotMeta, Result<std::shared_ptr<storage::KvEngine>>)>
            on_engine;
    };
    // `files` outlives it. `rate_bytes`: what is sent to members a second; 0: as fast as it goes.
    SnapshotThread(storage::FileSystem& files, std::unique_ptr<storage::SnapshotStore> store,
                   std::uint64_t rate_bytes, Hooks hooks);
    ~SnapshotThread();
    SnapshotThread(const SnapshotThread&) = delete;
    SnapshotThread& operator=(const SnapshotThread&) = delete;

    // What is queued is bounded by the flow: windows of pieces, and one build for
    // each follower.
    void submit(SnapshotWork work);
    // False once nobody waits for a client's snapshot any more.
    using Wanted = std::shared_ptr<const std::atomic<bool>>;
    using OnBuilt = std::function<void(Result<std::shared_ptr<const storage::BuiltSnapshot>>)>;
    // A snapshot with the entry at `at_least`, for a client: the next one, shared by all who wait
    // for it. `on_built` is not called when it is not wanted any more. With kClientBuildsMax in the
    // queue, which stay there until the thread comes to them even if nobody wants them any more, it
    // is called at once, with kTooManyRequests.
    void build_for_client(Index at_least, Wanted wanted, OnBuilt on_built);
    // Waits for the work under way, not for what is queued. Idempotent.
    void stop();

  private:
    struct ClientBuild {
        Index at_least;
        Wanted wanted;
        OnBuilt on_built;
    };
    // The next step for those who wait; in the queue as long as anybody does.
    struct ClientStep {};
    using Work = std::variant<SnapshotWork, ClientBuild, ClientStep>;

    void run();
    void carry_out(SnapshotWork work);
    void carry_out(ClientBuild build);
    void carry_out(ClientStep step);
    // What the step before those came to, to all whom it serves.
    void answer(const Result<std::shared_ptr<const storage::BuiltSnapshot>>& built);

    std::unique_ptr<storage::SnapshotStore> store_;
    SnapshotDisk disk_;
    // The flow counts by ticks; all of a tick's pieces at once would keep disk and network from
    // others. The thread's.
    Pace pace_;
    Hooks hooks_;
    BoundedQueue<Work> queue_;          // its bytes: clients' builds
    std::vector<ClientBuild> clients_;  // that wait; the thread's
    std::optional<Index> begun_for_;    // what has begun for them, and takes another step; likewise
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace cairn::server::net
