// Runs the flow of snapshots on the reactor: replica, snapshot thread and
// connections around it. Owned by the Node; every method on the reactor's
// thread. Never decides anything that the flow could decide.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "base/ids.h"
#include "server/net/log_limit.h"
#include "server/net/metrics.h"
#include "server/net/peer_hub.h"
#include "server/net/replica_driver.h"
#include "server/net/snapshot_lanes.h"
#include "server/net/snapshot_thread.h"
#include "server/replica/snapshot_flow.h"
#include "storage/file_system.h"
#include "storage/snapshot_store.h"

namespace cairn::server::net {

class SnapshotDriver {
  public:
    struct Options {
        PeerIdentity identity;
        SnapshotLimits limits;
        double tick_seconds{};
        std::uint64_t rate_bytes{};  // what limits.bytes_per_tick is in a second
    };
    // What it is made of; all but the store outlive it.
    struct Parts {
        storage::FileSystem& files;
        std::unique_ptr<storage::SnapshotStore> store;
        ReplicaDriver& driver;
        const PeerHub& hub;
    };
    struct Hooks {
        std::function<void(NodeId, const std::string&)> on_log;  // of a connection
        std::function<void(const SnapshotNote&)> on_note;
        // Of work on snapshots here, with file and cause: notes and clients get the code alone.
        std::function<void(const Error&)> on_error;
    };
    SnapshotDriver(boost::asio::io_context& reactor, const Options& options, Parts parts,
                   Hooks hooks, Metrics& metrics);
    ~SnapshotDriver();
    SnapshotDriver(const SnapshotDriver&) = delete;
    SnapshotDriver& operator=(const SnapshotDriver&) = delete;

    // After each turn of the replica, which PeerHub follows before.
    void on_turn(const Effects& effects, const NodeView& view);
    void tick();
    // From the connections that others opened, as PeerHub tells of them.
    void on_message(NodeId from, SnapshotMessage message);
    void on_session(const std::shared_ptr<PeerSession>& session, bool open);
    [[nodiscard]] const SnapshotStats& stats() const { return flow_.stats(); }
    // A snapshot of what is applied here now, for a client; `on_built` is called on the reactor,
    // or never, once stop() was called or nobody wants it.
    void build_for_client(SnapshotThread::Wanted wanted, SnapshotThread::OnBuilt on_built);

    // Waits for the work under way on the snapshot thread; nothing is carried out
    // afterwards.
    void stop();

  private:
    void carry_out();
    void on_engine(raft::SnapshotMeta snapshot, Result<std::shared_ptr<storage::KvEngine>> engine);
    void on_result(SnapshotResult result);
    void tell(const std::string& work, const Error& error);
    void observe(const SnapshotNote& note);

    boost::asio::io_context& reactor_;
    ReplicaDriver& driver_;
    Hooks hooks_;
    Metrics& metrics_;
    double tick_seconds_;
    SnapshotFlow flow_;
    SnapshotLanes lanes_;
    LogLimit said_{std::chrono::seconds(10)};  // errors
    double untidied_seconds_ = 0;
    bool stopped_ = false;
    // Last, so that it ends first: its callbacks post to the reactor.
    std::unique_ptr<SnapshotThread> thread_;
};

}  // namespace cairn::server::net
