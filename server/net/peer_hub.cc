#include "server/net/peer_hub.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "server/net/descriptors.h"

namespace cairn::server::net {
namespace {

// What a session has to say, strangers included.
constexpr std::chrono::minutes kSaidEvery{1};

}  // namespace

PeerHub::PeerHub(boost::asio::io_context& reactor, PeerIdentity identity,
                 const std::vector<PeerAddress>& others, const Hooks& hooks, Metrics& metrics)
    : identity_(identity),
      metrics_(metrics),
      on_lane_(hooks.on_lane),
      sessions_max_(share_descriptors(descriptor_limit()).peers),
      said_(kSaidEvery) {
    for (const auto& other : others) {
        const PeerLink::Hooks link_hooks{hooks.on_lost, hooks.on_log};
        links_.emplace(other.id,
                       std::make_shared<PeerLink>(reactor, other, identity, link_hooks, metrics));
    }
    session_hooks_ = std::make_shared<const PeerSession::Hooks>(PeerSession::Hooks{
        [this](NodeId id) { return links_.contains(id); },
        [this](const std::shared_ptr<PeerSession>& session) { on_greeted(session); },
        hooks.on_message,
        [this, on_log = hooks.on_log](NodeId from, const std::string& text) {
            if (said_.admit(fmt::format("{:x} {}", from.value, text))) {
                on_log(from, text);
            }
        },
        hooks.on_snapshot,
        [this](const std::shared_ptr<PeerSession>& session) {
            if (session->lane() == peer::Lane::kSnapshots && on_lane_) {
                on_lane_(session, false);
            }
        }});
}

void PeerHub::start() {
    for (const auto& [id, link] : links_) {
        link->start();
    }
}

void PeerHub::stop() {
    for (const auto& [id, link] : links_) {
        link->stop();
    }
    for (const auto& weak : sessions_) {
        if (const auto session = weak.lock(); session != nullptr) {
            session->close();
        }
    }
    sessions_.clear();
}

void PeerHub::accept(boost::asio::ip::tcp::socket socket) {
    std::erase_if(sessions_, [](const auto& weak) { return weak.expired(); });
    if (sessions_.size() >= sessions_max_) {
        ++metrics_.connections_refused;
        if (!close_oldest_stranger()) {
            return;
        }
    }
    const auto session =
        std::make_shared<PeerSession>(std::move(socket), identity_, session_hooks_, metrics_);
    sessions_.push_back(session);
    session->start();
}

bool PeerHub::close_oldest_stranger() {
    const auto oldest = std::find_if(sessions_.begin(), sessions_.end(), [this](const auto& weak) {
        const auto session = weak.lock();
        const auto known = greeted_.find({session->from(), session->lane()});
        return known == greeted_.end() || known->second.lock() != session;
    });
    if (oldest == sessions_.end()) {
        return false;
    }
    oldest->lock()->close();
    sessions_.erase(oldest);
    return true;
}

// A member that comes again has given up its former connection, whose end may not be known here.
void PeerHub::on_greeted(const std::shared_ptr<PeerSession>& session) {
    auto& known = greeted_[{session->from(), session->lane()}];
    if (const auto older = known.lock(); older != nullptr) {
        older->close();
    }
    known = session;
    if (session->lane() == peer::Lane::kSnapshots && on_lane_) {
        on_lane_(session, true);
    }
}

void PeerHub::send(const std::vector<raft::Message>& messages) {
    for (const auto& message : messages) {
        if (const auto link = links_.find(message.to); link != links_.end()) {
            link->second->send(message);
        }
    }
    for (const auto& [id, link] : links_) {
        link->flush();
    }
}

std::optional<PeerAddress> PeerHub::address_of(NodeId id) const {
    const auto link = links_.find(id);
    return link == links_.end() ? std::nullopt : std::optional(link->second->address());
}

std::size_t PeerHub::connected() const {
    return static_cast<std::size_t>(std::count_if(
        links_.begin(), links_.end(), [](const auto& item) { return item.second->connected(); }));
}

}  // namespace cairn::server::net
