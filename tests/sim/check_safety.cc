#include "sim/check_safety.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <variant>

#include <fmt/format.h>

#include "sim/quorums.h"

namespace cairn::sim {

SafetyChecker::SafetyChecker(std::uint32_t nodes, Verdict& verdict, FirstApply on_first_apply)
    : verdict_(verdict), on_first_apply_(std::move(on_first_apply)), nodes_(nodes) {
    for (NodeIndex node = 0; node < nodes; ++node) {
        name(node, NodeId{0x1000 + 0x11 * (node + 1ULL)});
    }
}

void SafetyChecker::name(NodeIndex node, NodeId id) { ids_.emplace_front(id, node); }

NodeId SafetyChecker::id_of(NodeIndex node) const {
    return std::find_if(ids_.begin(), ids_.end(), [&](const auto& it) { return it.second == node; })
        ->first;
}

NodeIndex SafetyChecker::index_of(NodeId id) const {
    const auto place =
        std::find_if(ids_.begin(), ids_.end(), [&](const auto& it) { return it.first == id; });
    CAIRN_ASSERT(place != ids_.end());
    return place->second;
}

bool SafetyChecker::knows(NodeId id) const {
    return std::any_of(ids_.begin(), ids_.end(), [&](const auto& it) { return it.first == id; });
}

void SafetyChecker::fail(const char* invariant, NodeIndex node, std::string detail) {
    verdict_.fail(invariant, fmt::format("node {}: {}", node, detail));
}

void SafetyChecker::on_bootstrap(const raft::PersistBatch& batch) {
    ShadowLog log;
    for (const raft::Entry& entry : batch.entries) {
        log.append(entry);
        committed_.push_back(Committed{.prefix = log.at(entry.id.index).prefix,
                                       .entry_term = entry.id.term,
                                       .in_term = entry.id.term,
                                       .conf = log.conf(),
                                       .active = log.conf()});
    }
}

// A snapshot's batch replaces the log by what is committed up to there.
void SafetyChecker::apply_batch(ShadowLog& log, const raft::PersistBatch& batch) const {
    if (batch.restart) {
        const std::size_t count = batch.floor->last.index.value + 1;
        CAIRN_ASSERT(count <= committed_.size());
        std::vector<ShadowLog::Slot> slots;
        slots.reserve(count);
        for (std::size_t at = 0; at < count; ++at) {
            slots.push_back({.term = committed_[at].entry_term, .prefix = committed_[at].prefix});
        }
        log.restart(std::move(slots), committed_[count - 1].conf);
    }
    log.apply(batch);
}

void SafetyChecker::on_persist_wanted(NodeIndex node, const raft::PersistBatch& batch) {
    Node& it = nodes_[node];
    if (batch.floor && !is_committed(*batch.floor)) {
        return fail("S1", node,
                    fmt::format("the floor {}/{} is not what is committed there, or not with its "
                                "configuration",
                                batch.floor->last.term.value, batch.floor->last.index.value));
    }
    if (!batch.entries.empty() && !batch.restart) {
        const Index first = batch.entries.front().id.index;
        if (first > it.wanted.last() + 1 || first.value == 0) {
            return fail("G1", node, fmt::format("a gap before index {}", first.value));
        }
        if (first <= it.wanted.last()) {
            if (first <= it.facts.commit) {
                return fail("C4", node, fmt::format("cuts off committed index {}", first.value));
            }
            if (it.facts.role == raft::Role::kLeader && it.led == batch.entries.front().id.term) {
                return fail("G2", node, fmt::format("a leader cuts off index {}", first.value));
            }
        }
    }
    apply_batch(it.wanted, batch);
    it.in_flight.push_back(batch);
    if (it.wanted.senseless()) {
        return fail("M1", node, "a change of the configuration that makes no sense is in its log");
    }
    check_new_entries(node, batch);
}

void SafetyChecker::check_new_entries(NodeIndex node, const raft::PersistBatch& batch) {
    const ShadowLog& log = nodes_[node].wanted;
    for (const raft::Entry& entry : batch.entries) {
        const Index index = entry.id.index;
        if (known_.size() <= index.value) {
            known_.resize(index.value + 1);
        }
        const ShadowLog::Slot& slot = log.at(index);
        auto& seen = known_[index.value];
        const auto same = std::find_if(seen.begin(), seen.end(), [&](const ShadowLog::Slot& other) {
            return other.term == slot.term;
        });
        if (same == seen.end()) {
            seen.push_back(slot);
        } else if (same->prefix != slot.prefix) {
            return fail("G1", node,
                        fmt::format("another log has another entry or prefix at {}/{}",
                                    slot.term.value, index.value));
        }
        if (log.at(index - 1).term > slot.term) {
            return fail("G1", node, fmt::format("the term falls at index {}", index.value));
        }
    }
}

void SafetyChecker::on_persisted(NodeIndex node, std::size_t count) {
    Node& it = nodes_[node];
    note_newest(it, count);
    for (; count > 0; --count) {
        const raft::HardState before = it.durable.hard_state();
        apply_batch(it.durable, it.in_flight.front());
        it.in_flight.pop_front();
        const raft::HardState& after = it.durable.hard_state();
        if (after.term < before.term) {
            return fail("E4", node, "the durable term falls");
        }
        check_vote(node, after);
    }
}

void SafetyChecker::check_vote(NodeIndex node, const raft::HardState& state) {
    if (!state.vote) {
        return;
    }
    auto& votes = nodes_[node].votes;
    if (!votes.empty() && votes.back().first == state.term) {
        if (votes.back().second != state.vote) {
            fail("E2", node, fmt::format("two votes in term {}", state.term.value));
        }
        return;
    }
    votes.emplace_back(state.term, state.vote);
}

void SafetyChecker::on_send(NodeIndex node, const raft::Message& message) {
    const Node& it = nodes_[node];
    const raft::HardState& durable = it.durable.hard_state();
    const auto* pre_vote_reply = std::get_if<raft::PreVoteReply>(&message.body);
    if (std::holds_alternative<raft::PreVote>(message.body) ||
        (pre_vote_reply != nullptr && pre_vote_reply->granted)) {
        return;  // they promise nothing; their term is the asked one
    }
    if (message.term > durable.term) {
        return fail("E2", node,
                    fmt::format("sends kind {} of term {}, durable is term {}",
                                message.body.index(), message.term.value, durable.term.value));
    }
    const bool as_leader = std::holds_alternative<raft::Append>(message.body) ||
                           std::holds_alternative<raft::Heartbeat>(message.body) ||
                           std::holds_alternative<raft::TimeoutNow>(message.body);
    if (as_leader && leaders_.emplace(message.term, node).first->second != node) {
        return fail(
            "E1", node,
            fmt::format("speaks as leader of term {}, which another one led", message.term.value));
    }
    const bool current = message.term == durable.term;
    if (std::holds_alternative<raft::Vote>(message.body) && current &&
        durable.vote != message.from) {
        return fail("E2", node, "asks for votes before its own is durable");
    }
    const auto* vote = std::get_if<raft::VoteReply>(&message.body);
    if (vote != nullptr && vote->granted && current && durable.vote != message.to) {
        return fail("E2", node, "grants a vote that is not durable");
    }
    const auto* reply = std::get_if<raft::AppendReply>(&message.body);
    if (reply == nullptr || !reply->success) {
        return;
    }
    if (reply->match > std::max(it.durable.last(), it.installed)) {
        return fail("G3", node,
                    fmt::format("acknowledges {}, durable up to {}", reply->match.value,
                                it.durable.last().value));
    }
    const Node& leader = nodes_[index_of(message.to)];
    const bool leads =
        leader.up && leader.facts.role == raft::Role::kLeader && leader.facts.term == message.term;
    if (leads && (!leader.wanted.has(reply->match) ||
                  !holds(it, reply->match, leader.wanted.at(reply->match).prefix))) {
        fail("G3", node,
             fmt::format("acknowledges {} where its log is not the leader's", reply->match.value));
    }
}

void SafetyChecker::on_turn(NodeIndex node, const NodeFacts& facts) {
    Node& it = nodes_[node];
    const NodeFacts before = it.facts;
    // What is durable was so in an earlier turn, or when this life began.
    const raft::HardState& durable = it.durable.hard_state();
    const Term term = std::max(before.term, durable.term);
    const Index commit = std::max(before.commit, durable.commit);
    if (facts.term < term || facts.commit < commit || facts.applied < before.applied) {
        return fail("E4", node,
                    fmt::format("term {}, commit {} or applied {} falls, from {}, {}, {}",
                                facts.term.value, facts.commit.value, facts.applied.value,
                                term.value, commit.value, before.applied.value));
    }
    if (facts.applied > facts.commit || facts.commit > facts.last ||
        facts.last != it.wanted.last()) {
        return fail("C4", node,
                    fmt::format("applied {} commit {} last {}, asked to write up to {}",
                                facts.applied.value, facts.commit.value, facts.last.value,
                                it.wanted.last().value));
    }
    it.facts = facts;
    if (facts.role == raft::Role::kLeader && it.led != facts.term) {
        it.led = facts.term;
        check_new_leader(node, facts.term);
    }
    if (facts.role == raft::Role::kLeader) {
        check_one_change(node, facts.commit);
    }
    if (facts.commit > before.commit) {
        check_commit(node, facts);
    }
    it.turn_conf = it.wanted.conf();
}

void SafetyChecker::check_new_leader(NodeIndex node, Term term) {
    const auto [place, fresh] = leaders_.emplace(term, node);
    if (!fresh && place->second != node) {
        return fail("E1", node,
                    fmt::format("leads term {} as node {} did", term.value, place->second));
    }
    // E3. One that a change not known to be committed leaves out may lead on (dissertation §4.2.2).
    const ShadowLog& own = nodes_[node].wanted;
    const auto votes = [&](const raft::ConfState& conf) {
        const NodeId id = id_of(node);
        return std::binary_search(conf.voters.begin(), conf.voters.end(), id) ||
               std::binary_search(conf.voters_outgoing.begin(), conf.voters_outgoing.end(), id);
    };
    if (!votes(*own.conf()) && !votes(*own.conf_at(nodes_[node].facts.commit))) {
        return fail("E3", node, fmt::format("leads term {} without a vote of its own", term.value));
    }
    // E2: whoever voted has said so to its disk first, the new leader itself as well.
    const auto voted = [&](NodeId voter) {
        const auto& given = nodes_[index_of(voter)].votes;
        return std::find(given.begin(), given.end(), std::pair(term, id_of(node))) != given.end();
    };
    if (!is_quorum(*own.conf(), voted) && !is_quorum(*nodes_[node].turn_conf, voted)) {
        return fail("E2", node,
                    fmt::format("leads term {} without a quorum of durable votes", term.value));
    }
    // Committed in an earlier term, or in this one when it leads again after a crash.
    const auto end =
        std::partition_point(committed_.begin() + 1, committed_.end(),
                             [&](const Committed& entry) { return entry.in_term <= term; });
    const Index newest{static_cast<std::uint64_t>(end - committed_.begin()) - 1};
    const ShadowLog& log = nodes_[node].wanted;
    if (!log.has(newest) || log.at(newest).prefix != committed_[newest.value].prefix) {
        fail("C2", node,
             fmt::format("leads term {} without committed index {}", term.value, newest.value));
    }
}

// M1: the next change comes when the one before is committed; what changes voters is joint first,
// with the old voters beside the new ones.
void SafetyChecker::check_one_change(NodeIndex node, Index commit) {
    const ShadowLog& log = nodes_[node].wanted;
    if (log.conf_changes_above(commit) > 1) {
        return fail("M1", node,
                    fmt::format("two changes of the configuration above commit {}", commit.value));
    }
    if (log.conf_changes_above(commit) == 0) {
        return;
    }
    const raft::ConfState& before = *log.conf_at(commit);
    const raft::ConfState& after = *log.conf();
    const bool leaves = !before.voters_outgoing.empty();
    const bool right =
        leaves ? after.voters_outgoing.empty() && after.voters == before.voters
               : after.voters == before.voters || after.voters_outgoing == before.voters;
    if (!right) {
        fail("M1", node, "voters change without a joint configuration");
    }
}

bool SafetyChecker::holds(const Node& node, Index index, std::uint64_t prefix) const {
    // What its log held before an install may still be there, until the log has followed.
    if (index <= node.installed) {
        return committed_[index.value].prefix == prefix;
    }
    return node.durable.has(index) && node.durable.at(index).prefix == prefix;
}

// On a majority of each half of a joint configuration.
bool SafetyChecker::durable_on_quorum(const raft::ConfState& conf, Index index,
                                      std::uint64_t prefix) const {
    return is_quorum(conf,
                     [&](NodeId voter) { return holds(nodes_[index_of(voter)], index, prefix); });
}

void SafetyChecker::check_commit(NodeIndex node, const NodeFacts& facts) {
    const Node& it = nodes_[node];
    const Index known = std::min(facts.commit, committed());
    if (it.wanted.at(known).prefix != committed_[known.value].prefix) {
        return fail("C3", node, fmt::format("commits another log up to {}", known.value));
    }
    if (facts.commit <= committed()) {
        return;
    }
    // Somebody is the first to know: a leader, or one that stopped being it in this very turn.
    if (it.wanted.at(facts.commit).term != it.led) {
        return fail("C1", node,
                    fmt::format("commits index {} of term {}, led {} last", facts.commit.value,
                                it.wanted.at(facts.commit).term.value, it.led.value));
    }
    // A change that this turn has appended came after the count, or before it.
    ConfPtr active = it.wanted.conf();
    const std::uint64_t prefix = it.wanted.at(facts.commit).prefix;
    if (!durable_on_quorum(*active, facts.commit, prefix) && it.turn_conf) {
        active = it.turn_conf;
    }
    if (!durable_on_quorum(*active, facts.commit, prefix)) {
        return fail("C1", node,
                    fmt::format("commits index {}, not durable on a quorum", facts.commit.value));
    }
    for (Index index = committed() + 1; index <= facts.commit; ++index) {
        committed_.push_back(Committed{.prefix = it.wanted.at(index).prefix,
                                       .entry_term = it.wanted.at(index).term,
                                       .in_term = it.led,
                                       .conf = it.wanted.conf_at(index),
                                       .active = active});
    }
}

void SafetyChecker::on_leader_status(NodeIndex node, const raft::Status& status) {
    const Node& leader = nodes_[node];
    if (status.conf != *leader.wanted.conf()) {
        return fail("M1", node, "goes by another configuration than its log says");
    }
    for (const auto& [id, peer] : status.peers) {
        const Node& follower = nodes_[index_of(id)];
        if (peer.match > leader.wanted.last()) {
            return fail("G3", node, "match beyond its own log");
        }
        if (follower.durable.hard_state().term > leader.facts.term) {
            continue;  // it may have cut off since what this leader of the past knew of it
        }
        if (!holds(follower, peer.match, leader.wanted.at(peer.match).prefix)) {
            return fail("G3", node,
                        fmt::format("match {} of node {} is not durable there", peer.match.value,
                                    index_of(id)));
        }
    }
}

void SafetyChecker::on_apply(NodeIndex node, std::span<const raft::Entry> entries) {
    Node& it = nodes_[node];
    for (const raft::Entry& entry : entries) {
        const Index index = entry.id.index;
        if (index != it.applied + 1) {
            return fail("C3", node,
                        fmt::format("applies {} after {}", index.value, it.applied.value));
        }
        it.applied = index;
        if (index > committed() || index > it.durable.last()) {
            return fail("C4", node,
                        fmt::format("applies {} before it is committed and durable", index.value));
        }
        if (it.durable.at(index).prefix != committed_[index.value].prefix) {
            return fail("C3", node, fmt::format("applies another log at {}", index.value));
        }
        if (index.value <= applied_log_.size()) {
            if (applied_log_[index.value - 1] != entry) {
                return fail("C3", node, fmt::format("applies another entry at {}", index.value));
            }
            continue;
        }
        applied_log_.push_back(entry);
        applied_conf_ = committed_[index.value].conf;
        if (entry.kind == raft::EntryKind::kConfig) {
            for (const auto* ids : {&applied_conf_->voters, &applied_conf_->learners}) {
                for (const NodeId id : *ids) {
                    members_ever_.insert(index_of(id));
                }
            }
        }
        on_first_apply_(entry);
    }
}

// Its last entry, with the configuration in effect there.
bool SafetyChecker::is_committed(const raft::SnapshotMeta& snapshot) const {
    const Index index = snapshot.last.index;
    return index <= committed() && committed_[index.value].entry_term == snapshot.last.term &&
           snapshot.conf == conf_at(index);
}

void SafetyChecker::on_built(NodeIndex node, const raft::SnapshotMeta& snapshot) {
    if (!is_committed(snapshot) || snapshot.last.index > nodes_[node].applied) {
        fail("S1", node,
             fmt::format("makes a snapshot at {} that is not what it has applied",
                         snapshot.last.index.value));
    }
}

void SafetyChecker::on_installed(NodeIndex node, const raft::SnapshotMeta& snapshot) {
    Node& it = nodes_[node];
    const Index index = snapshot.last.index;
    if (!is_committed(snapshot)) {
        return fail("S1", node,
                    fmt::format("installs a snapshot at {} that is not what is "
                                "committed there",
                                index.value));
    }
    if (index <= it.applied || index <= it.facts.commit) {
        return fail(
            "S1", node,
            fmt::format("a snapshot at {} takes it back from {}", index.value, it.applied.value));
    }
    it.installed = index;
    it.applied = index;
}

void SafetyChecker::on_digest(NodeIndex node, Index applied, std::uint64_t digest) {
    const auto [place, fresh] = digests_.emplace(applied, digest);
    if (!fresh && place->second != digest) {
        fail("D3", node, fmt::format("another digest of the state at {}", applied.value));
    }
}

// E4, over any restart and all nodes: what has applied more is of no older revision.
void SafetyChecker::on_revisions(NodeIndex node, Index applied, const Revisions& revisions) {
    const auto here = revisions_.try_emplace(applied, revisions).first;
    const auto falls = [](const Revisions& from, const Revisions& to) {
        return to.newest < from.newest || to.compacted < from.compacted;
    };
    const auto next = std::next(here);
    if (here->second != revisions ||
        (here != revisions_.begin() && falls(std::prev(here)->second, revisions)) ||
        (next != revisions_.end() && falls(revisions, next->second))) {
        fail("E4", node,
             fmt::format("revision {}, compacted {} do not go with what is applied, {}",
                         revisions.newest, revisions.compacted, applied.value));
    }
}

void SafetyChecker::on_events(NodeIndex node, std::int64_t revision, std::uint64_t hash) {
    const auto at = static_cast<std::size_t>(revision);
    if (events_.size() <= at) {
        events_.resize(at + 1);
    }
    if (events_[at] != 0 && events_[at] != hash) {
        return fail("D3", node, fmt::format("revision {} changed something else", revision));
    }
    events_[at] = hash;
}

std::vector<ConfPtr> SafetyChecker::deciding_confs() const {
    const ConfPtr& newest = committed_.back().conf;
    std::vector<ConfPtr> confs = {newest};
    for (const std::vector<NodeId>* ids :
         {&newest->voters, &newest->voters_outgoing, &newest->learners}) {
        for (const NodeId id : *ids) {
            const Node& it = nodes_[index_of(id)];
            if (it.up && it.wanted.conf_changes_above(committed()) > 0) {
                confs.push_back(it.wanted.conf());
            }
        }
    }
    return confs;
}

std::optional<NodeIndex> SafetyChecker::leader() const {
    std::optional<NodeIndex> leader;
    for (NodeIndex node = 0; node < nodes_.size(); ++node) {
        const Node& it = nodes_[node];
        if (it.up && it.facts.role == raft::Role::kLeader &&
            (!leader || it.facts.term > term_of(*leader))) {
            leader = node;
        }
    }
    return leader;
}

bool SafetyChecker::is_below_floor(NodeIndex node, NodeIndex leader) const {
    const ShadowLog& log = nodes_[leader].wanted;
    return !holds(nodes_[node], log.floor(), log.at(log.floor()).prefix);
}

void SafetyChecker::on_acknowledged(Index index) {
    if (index > committed() || !durable_on_quorum(*committed_[index.value].active, index,
                                                  committed_[index.value].prefix)) {
        verdict_.fail("D1", fmt::format("index {} is acknowledged and not on the disks of a quorum",
                                        index.value));
    }
}

}  // namespace cairn::sim
