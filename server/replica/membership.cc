#include "server/replica/membership.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/buggify.h"
#include "base/probe.h"
#include "storage/command.h"
#include "storage/member_store.h"

namespace cairn::server {
namespace {

// Changes of members are rare; nobody waits for more than a few.
constexpr std::size_t kWantedMax = 64;
// Entries that a new voter may still lack: a few round trips' worth, since with its vote the
// cluster may have to wait for it.
constexpr std::uint64_t kVoterLagMax = 1000;

bool contains(const std::vector<NodeId>& ids, NodeId id) {
    return std::binary_search(ids.begin(), ids.end(), id);
}

bool in_conf(const raft::ConfState& conf, NodeId id) {
    return contains(conf.voters, id) || contains(conf.voters_outgoing, id) ||
           contains(conf.learners, id) || contains(conf.learners_next, id);
}

std::uint64_t quorum_of(std::uint64_t voters) { return voters / 2 + 1; }

}  // namespace

// The voters of the applied list, as etcd counts them.
struct Membership::Count {
    std::uint64_t voters{};
    std::uint64_t started{};  // they have said their name
    std::uint64_t active{};   // heard of lately, this one included
};

Membership::Membership(NodeId self, MembershipLimits limits,
                       std::shared_ptr<const storage::Membership> applied)
    : self_(self), limits_(limits), applied_(std::make_shared<const storage::Membership>()) {
    on_applied(std::move(applied));
}

void Membership::on_applied(std::shared_ptr<const storage::Membership> applied) {
    if (applied != nullptr) {
        applied_ = std::move(applied);
    }
}

bool Membership::want(WantedChange change) {
    if (wanted_.size() >= kWantedMax || CAIRN_BUGGIFY("replica.no_room_for_changes")) {
        return false;
    }
    wanted_.push_back(std::move(change));
    return true;
}

std::optional<WantedChange> Membership::judge_next(const raft::Raft& raft, Index applied,
                                                   const Reach& reach) {
    if (wanted_.empty()) {
        return std::nullopt;
    }
    const bool leads = raft.role() == raft::Role::kLeader && raft.term() == wanted_.front().term;
    if (leads && (!raft.takes_conf_change() || applied < raft.conf_index() ||
                  (reach.is_early && !all_heard(reach)))) {
        CAIRN_PROBE("replica.change_waits");
        return std::nullopt;
    }
    WantedChange next = std::move(wanted_.front());
    wanted_.pop_front();
    next.change.refusal = leads ? refusal(next.change.payload, raft, reach) : Errc::kLeaderChanged;
    return next;
}

// What etcd's members and then its log refuse, in this order.
std::optional<Errc> Membership::refusal(const Bytes& payload, const raft::Raft& raft,
                                        const Reach& reach) const {
    const auto change = raft::decode_conf_change(payload);
    if (change.has_error()) {
        return Errc::kMalformedRequest;
    }
    const auto command = storage::decode_command(change.value().context);
    command::MemberInfo info;
    if (command.has_error() || !storage::is_member_change(command.value().kind) ||
        !info.ParseFromArray(command.value().request.data(),
                             static_cast<int>(command.value().request.size())) ||
        info.id() != change.value().node.value) {
        return Errc::kMalformedRequest;
    }
    const command::CommandKind kind = command.value().kind;
    if (kind == command::MEMBER_PROMOTE) {
        if (const auto reason = check_promotion(change.value().node, raft.status())) {
            return reason;
        }
    }
    if (limits_.strict) {
        const auto reason = kind == command::MEMBER_REMOVE
                                ? check_quorum_without(change.value().node, raft.conf(), reach)
                                : check_quorum(info, kind, reach);
        if (reason) {
            return reason;
        }
    }
    return check_sense(info, kind);
}

const command::MemberInfo* Membership::find(NodeId id) const {
    const auto found =
        std::find_if(applied_->members.begin(), applied_->members.end(),
                     [id](const command::MemberInfo& member) { return member.id() == id.value; });
    return found == applied_->members.end() ? nullptr : &*found;
}

bool Membership::was_removed(NodeId id) const { return contains(applied_->removed, id); }

bool Membership::is_heard(NodeId id, const Reach& reach) const {
    return id == self_ || reach.is_connected(id);
}

bool Membership::all_heard(const Reach& reach) const {
    return std::all_of(
        applied_->members.begin(), applied_->members.end(),
        [&](const command::MemberInfo& member) { return is_heard(NodeId{member.id()}, reach); });
}

Membership::Count Membership::count_voters(const Reach& reach) const {
    Count count;
    for (const command::MemberInfo& member : applied_->members) {
        if (member.is_learner()) {
            continue;
        }
        ++count.voters;
        count.started += member.id() == self_.value || !member.name().empty() ? 1U : 0U;
        count.active += is_heard(NodeId{member.id()}, reach) ? 1U : 0U;
    }
    return count;
}

// etcd: a learner is ready when it has nine tenths of the leader's log. One that has died since is
// not: its vote would count, and never come.
std::optional<Errc> Membership::check_promotion(NodeId id, const raft::Status& status) const {
    const auto peer = status.peers.find(id);
    if (id != self_ && peer == status.peers.end()) {
        return Errc::kMemberNotFound;
    }
    const std::uint64_t last = status.last.value;
    if (id != self_ && (!peer->second.active || peer->second.match.value < last - last / 10)) {
        return Errc::kLearnerNotReady;
    }
    return std::nullopt;
}

// etcd's --strict-reconfig-check.
std::optional<Errc> Membership::check_quorum(const command::MemberInfo& info,
                                             command::CommandKind kind, const Reach& reach) const {
    if (kind == command::MEMBER_UPDATE) {
        return std::nullopt;
    }
    const Count count = count_voters(reach);
    // Who is promoted runs already.
    const bool promotion = kind == command::MEMBER_PROMOTE;
    const std::uint64_t started = count.started + (promotion ? 1U : 0U);
    // One that stands alone may always get a second; a learner costs no quorum.
    const bool first = count.voters == 1 && count.started == 1;
    if (!info.is_learner() && !first && started < quorum_of(count.voters + 1)) {
        return Errc::kMemberNotEnoughStarted;
    }
    // The newcomer counts as one that is down, a learner too.
    const bool lives_on = promotion || first || count.active >= quorum_of(count.voters + 1);
    return lives_on ? std::nullopt : std::optional(Errc::kUnhealthy);
}

// The same for a removal. As etcd counts, and as the core does: who is a voter to clients has no
// vote yet while its log is being filled, and helps nobody.
std::optional<Errc> Membership::check_quorum_without(NodeId id, const raft::ConfState& conf,
                                                     const Reach& reach) const {
    const command::MemberInfo* member = find(id);
    if (member != nullptr && member->is_learner()) {
        return std::nullopt;
    }
    const Count count = count_voters(reach);
    const bool counts = member != nullptr;
    const bool was_started = counts && (id == self_ || !member->name().empty());
    if (count.started - (was_started ? 1U : 0U) < quorum_of(count.voters - (counts ? 1U : 0U))) {
        return Errc::kMemberNotEnoughStarted;
    }
    std::vector<NodeId> rest = conf.voters;
    std::erase(rest, id);
    const auto active = static_cast<std::uint64_t>(std::count_if(
        rest.begin(), rest.end(), [&](NodeId voter) { return is_heard(voter, reach); }));
    const bool lives_on = active >= quorum_of(rest.size()) &&
                          (!is_heard(id, reach) || count.active - 1 >= quorum_of(count.voters - 1));
    return lives_on ? std::nullopt : std::optional(Errc::kUnhealthy);
}

// What etcd's members refuse when they apply it.
std::optional<Errc> Membership::check_sense(const command::MemberInfo& info,
                                            command::CommandKind kind) const {
    const command::MemberInfo* member = find(NodeId{info.id()});
    if (kind != command::MEMBER_ADD) {
        if (member == nullptr) {
            return Errc::kMemberNotFound;
        }
        if (kind == command::MEMBER_PROMOTE && !member->is_learner()) {
            return Errc::kMemberNotLearner;
        }
        return kind == command::MEMBER_UPDATE && url_taken(info)
                   ? std::optional(Errc::kPeerUrlExists)
                   : std::nullopt;
    }
    if (was_removed(NodeId{info.id()})) {
        return Errc::kMemberNotFound;
    }
    if (member != nullptr) {
        return Errc::kMemberExists;
    }
    if (url_taken(info)) {
        return Errc::kPeerUrlExists;
    }
    const auto learners = static_cast<std::uint64_t>(
        std::count_if(applied_->members.begin(), applied_->members.end(),
                      [](const command::MemberInfo& other) { return other.is_learner(); }));
    return info.is_learner() && learners >= limits_.learners_max
               ? std::optional(Errc::kTooManyLearners)
               : std::nullopt;
}

bool Membership::url_taken(const command::MemberInfo& info) const {
    return std::any_of(
        applied_->members.begin(), applied_->members.end(), [&](const command::MemberInfo& other) {
            return other.id() != info.id() &&
                   std::find_first_of(other.peer_urls().begin(), other.peer_urls().end(),
                                      info.peer_urls().begin(),
                                      info.peer_urls().end()) != other.peer_urls().end();
        });
}

bool Membership::is_learner(NodeId id) const {
    const command::MemberInfo* member = find(id);
    return member != nullptr && member->is_learner();
}

std::optional<Bytes> Membership::vote_due(const raft::Raft& raft, Index applied) const {
    const std::vector<NodeId>& learners = raft.conf().learners;
    const auto waits = [this](NodeId id) { return find(id) != nullptr && !is_learner(id); };
    if (std::none_of(learners.begin(), learners.end(), waits) || !raft.takes_conf_change() ||
        applied < raft.conf_index()) {
        return std::nullopt;
    }
    CAIRN_PROBE("replica.voter_waits_for_its_vote");
    const raft::Status status = raft.status();
    const auto due = std::find_if(learners.begin(), learners.end(), [&](NodeId id) {
        const raft::PeerStatus& peer = status.peers.at(id);
        return waits(id) && peer.active && peer.match + kVoterLagMax >= status.commit;
    });
    if (due == learners.end()) {
        return std::nullopt;
    }
    command::MemberInfo info;
    info.set_id(due->value);
    const Bytes context =
        storage::encode_command({.kind = command::MEMBER_PROMOTE,
                                 .id = {},
                                 .decided_in = raft.term(),
                                 .request = Bytes::copy_of(info.SerializeAsString())});
    return raft::encode_conf_change({raft::ConfChangeKind::kAddVoter, *due, context});
}

bool Membership::follow(const raft::Raft& raft, Index applied) {
    Basis basis{applied_, raft.entry_id(raft.conf_index()), raft.conf_settled()};
    if (basis == basis_) {
        return false;
    }
    basis_ = std::move(basis);
    peers_ = std::make_shared<const PeerSet>(make_peers(raft, applied));
    return true;
}

// Whom an entry brings in must be reached before that entry can be committed, and whom one throws
// out until the configuration without it is.
PeerSet Membership::make_peers(const raft::Raft& raft, Index applied) const {
    std::map<std::uint64_t, command::MemberInfo> members;
    for (const command::MemberInfo& member : peers_->members) {
        if (!raft.conf_settled() || in_conf(raft.conf(), NodeId{member.id()})) {
            members[member.id()] = member;
        }
    }
    for (const command::MemberInfo& member : applied_->members) {
        members[member.id()] = member;
    }
    const Index first = std::max(applied + 1, raft.first_index());
    for (Index index = first; index <= raft.conf_index(); ++index) {
        const raft::Entry& entry = raft.entry(index);
        if (entry.kind != raft::EntryKind::kConfig) {
            continue;
        }
        const auto change = raft::decode_conf_change(entry.payload);
        auto member = change.has_value() ? storage::member_of(change.value()) : change.error();
        if (member.has_value() && member.value()) {
            members[member.value()->id()] = *std::move(member).value();
        }
    }
    const auto is_out = [&](NodeId id) { return raft.conf_settled() && !in_conf(raft.conf(), id); };
    PeerSet peers{
        .members = {}, .removed = {}, .applied = applied_->members, .applied_index = applied};
    for (auto& [id, member] : members) {
        // Also before the removal is applied, which may be long after a start.
        if (is_out(NodeId{id})) {
            peers.removed.push_back(NodeId{id});
        } else {
            peers.members.push_back(std::move(member));
        }
    }
    std::copy_if(applied_->removed.begin(), applied_->removed.end(),
                 std::back_inserter(peers.removed), is_out);
    std::sort(peers.removed.begin(), peers.removed.end());
    return peers;
}

}  // namespace cairn::server
