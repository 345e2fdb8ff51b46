#include "server/net/peer_hub.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "server/net/descriptors.h"
#include "storage/command.h"

namespace cairn::server::net {
namespace {

// What a session has to say, strangers included.
constexpr std::chrono::minutes kSaidEvery{1};

}  // namespace

PeerHub::PeerHub(boost::asio::io_context& reactor, PeerIdentity identity,
                 const std::vector<PeerAddress>& others, Hooks hooks, Metrics& metrics)
    : reactor_(reactor),
      identity_(std::move(identity)),
      hooks_(std::move(hooks)),
      metrics_(metrics),
      sessions_max_(share_descriptors(descriptor_limit()).peers),
      said_(kSaidEvery) {
    session_hooks_ = std::make_shared<const PeerSession::Hooks>(PeerSession::Hooks{
        [this](const peer::Hello& hello) { return on_hello(hello); },
        [this](const std::shared_ptr<PeerSession>& session) { on_greeted(session); },
        hooks_.on_message, [this](NodeId from, const std::string& text) { say(from, text); },
        hooks_.on_snapshot,
        [this](const std::shared_ptr<PeerSession>& session) {
            if (session->lane() == peer::Lane::kSnapshots && hooks_.on_lane) {
                hooks_.on_lane(session, false);
            }
        }});
    for (const auto& other : others) {
        link_to(other);
    }
}

void PeerHub::say(NodeId id, const std::string& text) {
    if (said_.admit(fmt::format("{:x} {}", id.value, text))) {
        hooks_.on_log(id, text);
    }
}

void PeerHub::start() {
    started_ = true;
    for (const auto& [id, link] : links_) {
        link->start();
    }
}

void PeerHub::link_to(const PeerAddress& address) {
    if (parting_.contains(address.id)) {
        drop_link(address.id);  // it was taken in again
    }
    auto& link = links_[address.id];
    if (link != nullptr && link->address() == address) {
        return;
    }
    if (link != nullptr) {
        const bool was_connected = link->connected();
        link->stop();
        if (was_connected) {
            hooks_.on_lost(address.id);  // a link that was stopped does not say so itself
        }
    }
    PeerLink::Hooks hooks{.on_lost = hooks_.on_lost,
                          .on_log = hooks_.on_log,
                          .on_removed = [this, id = address.id] { on_removed_by(id); }};
    link = std::make_shared<PeerLink>(reactor_, address, identity_, std::move(hooks), metrics_);
    if (started_) {
        link->start();
    }
}

// Whoever greeted can be a newcomer: of those only members know who is out.
void PeerHub::on_removed_by(NodeId id) {
    if (std::find(newcomers_.begin(), newcomers_.end(), id) == newcomers_.end()) {
        hooks_.on_removed();
    }
}

void PeerHub::drop_link(NodeId id) {
    if (const auto found = links_.find(id); found != links_.end()) {
        found->second->stop();
        links_.erase(found);
    }
    if (const auto found = parting_.find(id); found != parting_.end()) {
        found->second.link->stop();
        parting_.erase(found);
    }
    for (const peer::Lane lane : {peer::Lane::kMessages, peer::Lane::kSnapshots}) {
        if (const auto found = greeted_.find({id, lane}); found != greeted_.end()) {
            if (const auto session = found->second.lock(); session != nullptr) {
                session->close();
            }
            greeted_.erase(found);
        }
    }
    std::erase(newcomers_, id);
    newest_commands_.erase(id);
}

void PeerHub::part_from(NodeId id) {
    std::erase(newcomers_, id);
    newest_commands_.erase(id);
    auto link = links_.extract(id);
    auto& parting =
        parting_
            .try_emplace(id, Parting{std::move(link.mapped()), boost::asio::steady_timer(reactor_)})
            .first->second;
    parting.end.expires_after(kRemovedStay);
    parting.end.async_wait([this, id](const boost::system::error_code& error) {
        if (!error) {
            drop_link(id);
        }
    });
}

// The flags of a start may be older than the last change of the URLs; and who does not know of that
// change must hear where this member is, or it could never answer.
void PeerHub::greet_as(const command::MemberInfo& self) {
    std::vector<std::string>& urls = *identity_.peer_urls;
    if (std::is_permutation(urls.begin(), urls.end(), self.peer_urls().begin(),
                            self.peer_urls().end())) {
        return;
    }
    urls.assign(self.peer_urls().begin(), self.peer_urls().end());
    for (const auto& [id, link] : links_) {
        link->greet_again();
    }
}

void PeerHub::follow(std::shared_ptr<const PeerSet> peers) {
    peers_ = std::move(peers);
    bool settled = false;
    std::vector<NodeId> kept = newcomers_;
    for (const auto& member : peers_->members) {
        const NodeId id{member.id()};
        if (id == identity_.self) {
            settled = true;
            greet_as(member);
            continue;
        }
        kept.push_back(id);
        std::erase(newcomers_, id);
        const auto address =
            peer_address(id, {member.peer_urls().begin(), member.peer_urls().end()});
        if (address) {
            link_to(*address);
        } else {
            say(id, "the member has no peer URL that can be dialled");
        }
    }
    if (settled) {
        forget_all_but(kept);
    }
}

void PeerHub::forget_all_but(const std::vector<NodeId>& kept) {
    std::vector<NodeId> removed;
    std::vector<NodeId> gone;
    for (const auto& [id, link] : links_) {
        if (std::binary_search(peers_->removed.begin(), peers_->removed.end(), id)) {
            removed.push_back(id);
        } else if (std::find(kept.begin(), kept.end(), id) == kept.end()) {
            gone.push_back(id);
        }
    }
    for (const NodeId id : removed) {
        part_from(id);
    }
    for (const NodeId id : gone) {
        drop_link(id);
    }
}

void PeerHub::stop() {
    for (const auto& [id, link] : links_) {
        link->stop();
    }
    for (const auto& [id, parting] : parting_) {
        parting.link->stop();
    }
    parting_.clear();
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
        std::make_shared<PeerSession>(std::move(socket), identity_.self, session_hooks_, metrics_);
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

peer::HelloReply PeerHub::on_hello(const peer::Hello& hello) {
    peer::HelloReply reply{true, {}, hello.protocol, identity_.cluster, identity_.self};
    if (hello.ask_members) {
        // What is not applied may never come to be; and who was removed, or is no member yet, knows
        // the past alone.
        const auto is_self = [this](const auto& member) {
            return member.id() == identity_.self.value;
        };
        if (std::any_of(peers_->applied.begin(), peers_->applied.end(), is_self)) {
            reply.members = peers_->applied;
            reply.applied_index = peers_->applied_index;
        }
        return reply;
    }
    const peer::Standing standing = standing_of(hello);
    const auto verdict = peer::check_hello(hello, identity_.cluster, identity_.self, standing);
    if (verdict.has_error()) {
        reply.accepted = false;
        reply.removed = verdict.error().code == Errc::kMemberNotFound;
        reply.reason = verdict.error().detail;
        return reply;
    }
    if (standing == peer::Standing::kNewcomer) {
        meet(hello);
    } else if (auto places = peer_endpoints(hello.peer_urls); !places.empty()) {
        links_.at(hello.from)->dial_also(std::move(places));
    }
    newest_commands_[hello.from] = hello.newest_command;
    return reply;
}

peer::Standing PeerHub::standing_of(const peer::Hello& hello) const {
    if (std::binary_search(peers_->removed.begin(), peers_->removed.end(), hello.from)) {
        return peer::Standing::kRemoved;
    }
    if (links_.contains(hello.from)) {
        return peer::Standing::kMember;
    }
    return peer_address(hello.from, hello.peer_urls) ? peer::Standing::kNewcomer
                                                     : peer::Standing::kStranger;
}

void PeerHub::meet(const peer::Hello& hello) {
    if (newcomers_.size() >= kNewcomersMax) {
        drop_link(NodeId{newcomers_.front()});
    }
    newcomers_.push_back(hello.from);
    link_to(*peer_address(hello.from, hello.peer_urls));
}

// A member that comes again has given up its former connection, whose end may not be known here.
void PeerHub::on_greeted(const std::shared_ptr<PeerSession>& session) {
    auto& known = greeted_[{session->from(), session->lane()}];
    if (const auto older = known.lock(); older != nullptr) {
        older->close();
    }
    known = session;
    if (session->lane() == peer::Lane::kSnapshots && hooks_.on_lane) {
        hooks_.on_lane(session, true);
    }
}

void PeerHub::send(const std::vector<raft::Message>& messages) {
    for (const auto& message : messages) {
        if (const auto link = links_.find(message.to); link != links_.end()) {
            link->second->send(message);
        } else if (const auto parting = parting_.find(message.to); parting != parting_.end()) {
            parting->second.link->send(message);
        }
    }
    for (const auto& [id, link] : links_) {
        link->flush();
    }
    for (const auto& [id, parting] : parting_) {
        parting.link->flush();
    }
}

// Until this member is one of them itself, it does not know them all.
command::CommandKind PeerHub::newest_common_command() const {
    std::uint32_t newest = storage::kNewestCommand;
    bool settled = false;
    for (const auto& member : peers_->members) {
        const NodeId id{member.id()};
        if (id == identity_.self) {
            settled = true;
            continue;
        }
        const auto said = newest_commands_.find(id);
        newest = std::min(newest, said == newest_commands_.end() ? 0 : said->second);
    }
    return settled && newest > storage::kCommonCommand ? static_cast<command::CommandKind>(newest)
                                                       : storage::kCommonCommand;
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
