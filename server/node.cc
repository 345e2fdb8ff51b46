#include "server/node.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>
#include <random>
#include <utility>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "base/url.h"
#include "server/attributes.h"
#include "server/first_grant.h"
#include "server/flusher.h"
#include "server/net/acceptor.h"
#include "server/net/client_listener.h"
#include "server/net/node_ports.h"
#include "server/net/peer_hub.h"
#include "server/net/read_pool.h"
#include "server/net/response_budget.h"
#include "server/net/snapshot_driver.h"
#include "server/net/task.h"
#include "server/recovery.h"
#include "server/supervisor.h"
#include "server/trace_log.h"

namespace cairn::server {
namespace {

using namespace std::chrono_literals;
using net::kTask;

// How long calls under way may take to end once the node was told to stop.
constexpr auto kDrainTimeout = 5s;
constexpr auto kDrainPoll = 10ms;
// Beyond any network; a tick's share of it does not overflow.
constexpr std::uint64_t kSnapshotRateMax = std::uint64_t{1} << 45U;

std::uint64_t draw_boot() {
    std::random_device source;
    return (std::uint64_t{source()} << 32U) | source();
}

// It goes on while the machine sleeps, as a lease has to.
std::uint64_t boot_clock_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

std::string hex(std::uint64_t id) { return fmt::format("{:x}", id); }

void log_peer(NodeId peer, const std::string& text) {
    log_line(LogLevel::kInfo, "peer connection", {{"peer", hex(peer.value)}, {"state", text}});
}

// Whom a member that knows nothing yet begins with.
std::vector<net::PeerAddress> seeds_of(const RecoveredNode& recovered) {
    std::vector<net::PeerAddress> seeds;
    for (const auto& member : recovered.seeds) {
        const NodeId id{member.id()};
        auto address =
            net::peer_address(id, {member.peer_urls().begin(), member.peer_urls().end()});
        if (address && id != recovered.identity.member) {
            seeds.push_back(*std::move(address));
        }
    }
    return seeds;
}

// Remembers that the transfer is over.
class TransferWaiter : public net::CallOwner {
  public:
    explicit TransferWaiter(boost::asio::io_context& reactor) : timer(reactor) {}
    void on_completion(std::uint64_t, const Completion&) override { timer.cancel(); }
    void on_turn_end() override {}

    boost::asio::steady_timer timer;
};

}  // namespace

class Node::Impl {
  public:
    Impl(storage::FileSystem& files, ServerConfig config, RecoveredNode recovered);
    ~Impl();
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Result<void> listen();
    Result<void> run();

  private:
    static net::Task<> tick_loop(Impl* self);
    static net::Task<> second_loop(Impl* self);
    static net::Task<> wait_for_signal(Impl* self);
    static net::Task<> hand_over(Impl* self);
    static net::Task<> leave(Impl* self);
    static net::Task<> drain(Impl* self);

    void start();
    void stop_parts();
    void on_halt(const Error& error);
    void on_peers(const std::shared_ptr<const PeerSet>& peers);
    void on_removed();
    [[nodiscard]] net::ScrapeFacts facts() const;
    net::DriverPorts driver_ports();
    net::PeerHub::Hooks hub_hooks();
    [[nodiscard]] net::PeerIdentity peer_identity() const;
    std::unique_ptr<net::SnapshotDriver> make_snapshots(
        storage::FileSystem& files, std::unique_ptr<storage::SnapshotStore> store);

    ServerConfig config_;
    DataDir dir_;
    DataDirIdentity identity_;
    std::unique_ptr<storage::EngineKind> engine_kind_;

    boost::asio::io_context reactor_{1};
    net::ReadPool readers_;
    std::shared_ptr<net::ResponseBudget> responses_;
    net::Metrics metrics_;
    api::Dispatcher dispatcher_;
    std::unique_ptr<net::PeerHub> hub_;
    std::unique_ptr<net::ReplicaDriver> driver_;
    const storage::StateMachine* machine_ = nullptr;  // the driver's
    std::unique_ptr<net::SnapshotDriver> snapshots_;
    std::unique_ptr<net::NodePorts> ports_;
    std::shared_ptr<net::ClientListener> clients_;
    std::shared_ptr<AttributePublisher> publisher_;
    std::shared_ptr<FirstGrant> first_grant_;
    std::unique_ptr<Flusher> flusher_;
    std::vector<std::shared_ptr<net::Acceptor>> client_acceptors_;
    std::vector<std::shared_ptr<net::Acceptor>> peer_acceptors_;
    boost::asio::steady_timer tick_timer_{reactor_};
    boost::asio::steady_timer second_timer_{reactor_};
    boost::asio::signal_set signals_{reactor_, SIGTERM, SIGINT};
    boost::asio::steady_timer leave_timer_{reactor_};
    std::optional<Error> halted_;
    bool removed_ = false;
};

Node::Impl::Impl(storage::FileSystem& files, ServerConfig config, RecoveredNode recovered)
    : config_(std::move(config)),
      dir_(std::move(recovered.dir)),
      identity_(recovered.identity),
      engine_kind_(std::move(recovered.engine_kind)),
      responses_(std::make_shared<net::ResponseBudget>(reactor_.get_executor(),
                                                       config_.response_budget_bytes)),
      dispatcher_({identity_.cluster, identity_.member},
                  {config_.max_txn_ops, config_.max_request_bytes}) {
    hub_ = std::make_unique<net::PeerHub>(reactor_, peer_identity(), seeds_of(recovered),
                                          hub_hooks(), metrics_);
    machine_ = recovered.machine.get();
    driver_ = std::make_unique<net::ReplicaDriver>(
        reactor_,
        net::ReplicaDriver::Parts{std::move(recovered.replica), std::move(recovered.log),
                                  std::move(recovered.machine)},
        driver_ports(), metrics_);
    snapshots_ = make_snapshots(files, std::move(recovered.snapshots));
    wire::H2Limits limits;
    // etcd: what the log takes, and room for the envelope of gRPC.
    limits.message_bytes_max = config_.max_request_bytes + 512U * 1024U;
    limits.budget = std::make_shared<wire::H2Budget>();
    limits.concurrent_streams_max =
        std::min(limits.concurrent_streams_max, config_.max_concurrent_streams);
    limits.ping_interval_ms_min = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(config_.grpc_keepalive_min_time)
            .count());
    ports_ = std::make_unique<net::NodePorts>(net::NodePorts{*driver_,
                                                             *hub_,
                                                             dispatcher_,
                                                             metrics_,
                                                             readers_,
                                                             responses_,
                                                             [this] { return facts(); },
                                                             limits,
                                                             files,
                                                             *snapshots_,
                                                             {},
                                                             driver_->newest_view()->alarms()});
    clients_ = std::make_shared<net::ClientListener>(reactor_, *ports_);
    command::MemberInfo self;
    self.set_id(identity_.member.value);
    self.set_name(config_.name);
    self.mutable_peer_urls()->Assign(config_.initial_advertise_peer_urls.begin(),
                                     config_.initial_advertise_peer_urls.end());
    self.mutable_client_urls()->Assign(config_.advertise_client_urls.begin(),
                                       config_.advertise_client_urls.end());
    publisher_ = std::make_shared<AttributePublisher>(*driver_, std::move(self));
    first_grant_ = std::make_shared<FirstGrant>(*driver_, ports_->reads);
    flusher_ =
        std::make_unique<Flusher>(reactor_, *driver_, *machine_, metrics_,
                                  Flusher::LogKept{config_.log_bytes_max, config_.log_entries_max});
}

Node::Impl::~Impl() { stop_parts(); }

net::DriverPorts Node::Impl::driver_ports() {
    return {[this](std::vector<raft::Message>& messages) { hub_->send(messages); },
            [this](const std::shared_ptr<const PeerSet>& peers) { on_peers(peers); },
            [this](const Error& error) { on_halt(error); },
            [](const std::vector<TraceEvent>& events) { log_trace(events); },
            config_.lease_reads ? std::function(boot_clock_ns) : nullptr,
            [this](const Effects& effects, const NodeView& view) {
                snapshots_->on_turn(effects, view);
            }};
}

std::unique_ptr<net::SnapshotDriver> Node::Impl::make_snapshots(
    storage::FileSystem& files, std::unique_ptr<storage::SnapshotStore> store) {
    const auto tick_ms = static_cast<std::uint64_t>(config_.heartbeat_interval.count());
    net::SnapshotDriver::Options options;
    options.identity = hub_->identity();
    options.tick_seconds = static_cast<double>(tick_ms) / 1000;
    options.limits = SnapshotLimits::for_ticks_of(tick_ms);
    options.rate_bytes = config_.snapshot_rate_bytes;
    if (config_.snapshot_rate_bytes > 0) {
        options.limits.bytes_per_tick = std::max<std::uint64_t>(
            1, std::min(config_.snapshot_rate_bytes, kSnapshotRateMax) / 1000 * tick_ms);
    }
    return std::make_unique<net::SnapshotDriver>(
        reactor_, options, net::SnapshotDriver::Parts{files, std::move(store), *driver_, *hub_},
        net::SnapshotDriver::Hooks{log_peer, log_snapshot, log_snapshot_error}, metrics_);
}

net::PeerIdentity Node::Impl::peer_identity() const {
    return {identity_.cluster, identity_.member,
            std::make_shared<std::vector<std::string>>(config_.initial_advertise_peer_urls)};
}

net::PeerHub::Hooks Node::Impl::hub_hooks() {
    return {[this](raft::Message message) { driver_->post(Receive{std::move(message)}); },
            [this](NodeId peer) { driver_->post(PeerLost{peer}); },
            log_peer,
            [this](NodeId from, SnapshotMessage message) {
                snapshots_->on_message(from, std::move(message));
            },
            [this](const std::shared_ptr<net::PeerSession>& session, bool open) {
                snapshots_->on_session(session, open);
            },
            [this] { on_removed(); }};
}

Result<void> Node::Impl::listen() {
    for (const auto& address : config_.listen_client_urls) {
        CAIRN_TRY(auto acceptor, net::Acceptor::listen(reactor_, address.host, address.port));
        client_acceptors_.push_back(std::move(acceptor));
    }
    for (const auto& address : config_.listen_peer_urls) {
        CAIRN_TRY(auto acceptor, net::Acceptor::listen(reactor_, address.host, address.port));
        peer_acceptors_.push_back(std::move(acceptor));
    }
    return ok();
}

void Node::Impl::start() {
    const auto on_problem = [](const std::string& text) {
        log_line(LogLevel::kWarn, "accept failed", {{"error", text}});
    };
    for (const auto& acceptor : client_acceptors_) {
        acceptor->start(
            [this](boost::asio::ip::tcp::socket socket) { clients_->accept(std::move(socket)); },
            on_problem);
    }
    for (const auto& acceptor : peer_acceptors_) {
        acceptor->start(
            [this](boost::asio::ip::tcp::socket socket) { hub_->accept(std::move(socket)); },
            on_problem);
    }
    hub_->start();
    // Nothing was applied since the engine was opened: what is there is what was flushed.
    flusher_->start(driver_->read_view()->applied().index);
    net::spawn(reactor_.get_executor(), tick_loop(this), "ticker");
    net::spawn(reactor_.get_executor(), second_loop(this), "second");
    net::spawn(reactor_.get_executor(), wait_for_signal(this), "signals");
    if (driver_->view().voters == 1 && !driver_->view().is_learner) {
        // Nobody else could lead, so there is nothing to wait for.
        for (std::uint32_t tick = 0; tick < 2 * config_.election_ticks(); ++tick) {
            driver_->post(Tick{});
        }
    }
}

Result<void> Node::Impl::run() {
    start();
    reactor_.run();
    stop_parts();
    if (halted_.has_value()) {
        return *halted_;
    }
    CAIRN_TRY(machine_->flush());
    return ok();
}

void Node::Impl::stop_parts() {
    signals_.clear();  // nobody waits for them any more: the next one ends the process
    for (const auto& acceptor : client_acceptors_) {
        acceptor->stop();
    }
    for (const auto& acceptor : peer_acceptors_) {
        acceptor->stop();
    }
    clients_->close();
    hub_->stop();
    snapshots_->stop();
    flusher_->stop();
    readers_.stop();
    responses_->stop();
    driver_->stop();
    reactor_.stop();
}

void Node::Impl::on_halt(const Error& error) {
    log_line(LogLevel::kError, "member halts", {{"error", to_string(error)}});
    halted_ = error;
    reactor_.stop();
}

void Node::Impl::on_peers(const std::shared_ptr<const PeerSet>& peers) {
    hub_->follow(peers);
    if (std::binary_search(peers->removed.begin(), peers->removed.end(), identity_.member)) {
        on_removed();
    }
}

void Node::Impl::on_removed() {
    if (!std::exchange(removed_, true)) {
        log_line(LogLevel::kError, "the member has been permanently removed from the cluster",
                 {{"member-id", hex(identity_.member.value)},
                  {"data-dir", dir_.path()},
                  {"advice",
                   "the data directory is of no use any more; to come back, the member "
                   "is added anew and starts with an empty one"}});
        net::spawn(reactor_.get_executor(), leave(this), "leave");
    }
}

net::Task<> Node::Impl::leave(Impl* self) {
    self->leave_timer_.expires_after(net::kRemovedStay);
    co_await self->leave_timer_.async_wait(kTask);
    tell_supervisor("STOPPING=1");
    co_await drain(self);
    self->reactor_.stop();
}

net::Task<> Node::Impl::tick_loop(Impl* self) {
    const auto interval = self->config_.heartbeat_interval;
    auto next = std::chrono::steady_clock::now() + interval;
    while (true) {
        self->tick_timer_.expires_at(next);
        auto [error] = co_await self->tick_timer_.async_wait(kTask);
        if (error) {
            break;
        }
        self->driver_->tick();
        self->snapshots_->tick();
        self->publisher_->on_tick();
        self->first_grant_->on_tick();
        next += interval;
        // After a pause of the whole process the missed ticks are not made up for: peers' answers
        // that wait in the sockets must be read first.
        if (const auto now = std::chrono::steady_clock::now(); next < now) {
            next = now + interval;
        }
    }
}

net::Task<> Node::Impl::second_loop(Impl* self) {
    while (true) {
        self->second_timer_.expires_after(1s);
        auto [error] = co_await self->second_timer_.async_wait(kTask);
        if (error) {
            break;
        }
        const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
        self->clients_->on_second(static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(since_start).count()));
        self->metrics_.log_lines_dropped = log_lines_dropped();
        self->flusher_->on_second();
    }
}

net::Task<> Node::Impl::wait_for_signal(Impl* self) {
    auto [error, number] = co_await self->signals_.async_wait(kTask);
    if (error) {
        co_return;
    }
    log_line(LogLevel::kInfo, "received a signal, shutting down",
             {{"signal", number == SIGTERM ? "terminated" : "interrupt"}});
    tell_supervisor("STOPPING=1");
    // A second signal ends the process at once.
    self->signals_.clear();
    for (const auto& acceptor : self->client_acceptors_) {
        acceptor->stop();
    }
    co_await hand_over(self);
    co_await drain(self);
    self->reactor_.stop();
}

// A leader that leaves costs the cluster an election timeout; one that hands over, a round trip.
net::Task<> Node::Impl::hand_over(Impl* self) {
    if (!self->driver_->view().is_leader || self->driver_->view().voters < 2) {
        co_return;
    }
    const auto waiter = std::make_shared<TransferWaiter>(self->reactor_);
    waiter->timer.expires_after(2 * self->config_.election_timeout);
    const CallId call = self->driver_->transfer_leader(waiter, 0, NodeId{});
    co_await waiter->timer.async_wait(kTask);
    self->driver_->cancel(call);
}

net::Task<> Node::Impl::drain(Impl* self) {
    self->driver_->post(Shutdown{});
    self->clients_->drain();
    // Every connection ends by itself once its last answer has left and its client has seen the
    // GOAWAY; a client that does not answer that is not waited for any longer than half the time.
    // A signal may come while a removed member drains already: each has its own timer.
    boost::asio::steady_timer timer(self->reactor_);
    const auto begin = std::chrono::steady_clock::now();
    bool insisted = false;
    while (self->clients_->open() > 0 && std::chrono::steady_clock::now() < begin + kDrainTimeout) {
        timer.expires_after(kDrainPoll);
        co_await timer.async_wait(kTask);
        if (!insisted && std::chrono::steady_clock::now() > begin + kDrainTimeout / 2) {
            insisted = true;
            self->clients_->drain();
        }
    }
}

net::ScrapeFacts Node::Impl::facts() const {
    net::ScrapeFacts facts;
    facts.node = driver_->view();
    facts.revision = driver_->read_view()->revision();
    facts.compacted = driver_->read_view()->compacted();
    facts.db_bytes = machine_->engine()->bytes_used();
    facts.wal_bytes_written = driver_->log_stats().bytes_written;
    facts.wal_segments = driver_->log_stats().segments;
    facts.open_calls = driver_->calls_open();
    facts.peers_known = hub_->known();
    facts.peers_connected = hub_->connected();
    facts.newest_common_command = static_cast<std::uint64_t>(hub_->newest_common_command());
    facts.requests = *ports_->limits.budget;
    facts.response_bytes_held = responses_->held_bytes();
    facts.response_bytes_max = responses_->bytes_max();
    facts.snapshots = snapshots_->stats();
    return facts;
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;

Result<std::unique_ptr<Node>> Node::open(storage::FileSystem& files, ServerConfig config) {
    const std::uint64_t boot = draw_boot();
    CAIRN_TRY(auto recovered, recover_node(files, config, boot));
    log_line(LogLevel::kInfo, "recovered",
             {{"data-dir", config.data_dir},
              {"cluster-id", hex(recovered.identity.cluster.value)},
              {"member-id", hex(recovered.identity.member.value)},
              {"first-start", recovered.first_start ? "true" : "false"},
              {"log-entries", std::to_string(recovered.log_entries)},
              {"torn-bytes", std::to_string(recovered.torn_bytes)}});
    auto impl = std::make_unique<Impl>(files, std::move(config), std::move(recovered));
    CAIRN_TRY(impl->listen());
    return std::unique_ptr<Node>(new Node(std::move(impl)));
}

Result<void> Node::run() { return impl_->run(); }

}  // namespace cairn::server
