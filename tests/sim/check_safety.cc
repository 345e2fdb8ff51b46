#include "sim/check_safety.h"

#include <algorithm>
#include <string>
#include <variant>

#include <fmt/format.h>

namespace cairn::sim {

SafetyChecker::SafetyChecker(std::uint32_t nodes, Verdict& verdict, FirstApply on_first_apply)
    : verdict_(verdict), on_first_apply_(std::move(on_first_apply)), nodes_(nodes) {}

// Ids are neither dense nor in the order of the positions' hashes, only sorted.
NodeId SafetyChecker::id_of(NodeIndex node) { return NodeId{0x1000 + 0x11 * (node + 1ULL)}; }
NodeIndex SafetyChecker::index_of(NodeId id) {
    return static_cast<NodeIndex>((id.value - 0x1000) / 0x11 - 1);
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
                                       .in_term = entry.id.term});
    }
}

// The log found must be the durable one with some first part of what was being written (D2): what
// was reported as durable is there, and nothing that was never asked for.
void SafetyChecker::on_start(NodeIndex node, const raft::Recovered& recovered, Index applied) {
    Node& it = nodes_[node];
    ShadowLog expected = it.durable;
    ShadowLog found;
    bool matched = false;
    for (std::size_t written = 0; written <= it.in_flight.size(); ++written) {
        if (written > 0) {
            expected.apply(it.in_flight[written - 1]);
        }
        ShadowLog candidate = expected;
        if (candidate.replace(recovered) && candidate.same_as(expected)) {
            matched = true;
            found = expected;
        }
    }
    if (!matched) {
        const raft::HardState& was = it.durable.hard_state();
        fail(
            "D2", node,
            fmt::format("the log found is not the one written: term {} vote {:x} last {} floor {}, "
                        "durable was term {} vote {:x} last {} floor {}, {} batches in flight",
                        recovered.hard_state.term.value, recovered.hard_state.vote.value,
                        recovered.floor.last.index.value + recovered.entries.size(),
                        recovered.floor.last.index.value, was.term.value, was.vote.value,
                        it.durable.last().value, it.durable.floor().value, it.in_flight.size()));
        return;
    }
    it.durable = found;
    it.wanted = std::move(found);
    it.in_flight.clear();
    it.applied = applied;
    it.facts = NodeFacts{};
    it.up = true;
    check_vote(node, it.durable.hard_state());
}

void SafetyChecker::on_crash(NodeIndex node) { nodes_[node].up = false; }

void SafetyChecker::on_persist_wanted(NodeIndex node, const raft::PersistBatch& batch) {
    Node& it = nodes_[node];
    if (!batch.entries.empty()) {
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
    it.wanted.apply(batch);
    it.in_flight.push_back(batch);
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
    for (; count > 0; --count) {
        const raft::HardState before = it.durable.hard_state();
        it.durable.apply(it.in_flight.front());
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
    if (reply->match > it.durable.last()) {
        return fail("G3", node,
                    fmt::format("acknowledges {}, durable up to {}", reply->match.value,
                                it.durable.last().value));
    }
    const Node& leader = nodes_[index_of(message.to)];
    const bool leads =
        leader.up && leader.facts.role == raft::Role::kLeader && leader.facts.term == message.term;
    if (leads && (!leader.wanted.has(reply->match) ||
                  leader.wanted.at(reply->match).prefix != it.durable.at(reply->match).prefix)) {
        fail("G3", node,
             fmt::format("acknowledges {} where its log is not the leader's", reply->match.value));
    }
}

void SafetyChecker::on_turn(NodeIndex node, const NodeFacts& facts) {
    Node& it = nodes_[node];
    const NodeFacts before = it.facts;
    if (facts.term < before.term || facts.commit < before.commit ||
        facts.applied < before.applied) {
        return fail("E4", node, "term, commit or applied falls");
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
    if (facts.commit > before.commit) {
        check_commit(node, facts);
    }
}

void SafetyChecker::check_new_leader(NodeIndex node, Term term) {
    const auto [place, fresh] = leaders_.emplace(term, node);
    if (!fresh && place->second != node) {
        return fail("E1", node,
                    fmt::format("leads term {} as node {} did", term.value, place->second));
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

bool SafetyChecker::durable_on_quorum(const ShadowLog& log, Index index) const {
    const std::uint64_t prefix = log.at(index).prefix;
    const auto copies = static_cast<std::size_t>(
        std::count_if(nodes_.begin(), nodes_.end(), [&](const Node& other) {
            return other.durable.has(index) && other.durable.at(index).prefix == prefix;
        }));
    return copies > nodes_.size() / 2;
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
    if (!durable_on_quorum(it.wanted, facts.commit)) {
        return fail("C1", node,
                    fmt::format("commits index {}, not durable on a quorum", facts.commit.value));
    }
    for (Index index = committed() + 1; index <= facts.commit; ++index) {
        committed_.push_back(Committed{.prefix = it.wanted.at(index).prefix,
                                       .entry_term = it.wanted.at(index).term,
                                       .in_term = it.led});
    }
}

void SafetyChecker::on_leader_status(NodeIndex node, const raft::Status& status) {
    const Node& leader = nodes_[node];
    for (const auto& [id, peer] : status.peers) {
        const Node& follower = nodes_[index_of(id)];
        if (peer.match > leader.wanted.last()) {
            return fail("G3", node, "match beyond its own log");
        }
        if (follower.durable.hard_state().term > leader.facts.term) {
            continue;  // it may have cut off since what this leader of the past knew of it
        }
        if (!follower.durable.has(peer.match) ||
            follower.durable.at(peer.match).prefix != leader.wanted.at(peer.match).prefix) {
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
        on_first_apply_(entry);
    }
}

void SafetyChecker::on_digest(NodeIndex node, Index applied, std::uint64_t digest) {
    const auto [place, fresh] = digests_.emplace(applied, digest);
    if (!fresh && place->second != digest) {
        fail("D3", node, fmt::format("another digest of the state at {}", applied.value));
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

void SafetyChecker::on_acknowledged(Index index) {
    const auto copies = static_cast<std::size_t>(
        std::count_if(nodes_.begin(), nodes_.end(), [&](const Node& other) {
            return index <= committed() && other.durable.has(index) &&
                   other.durable.at(index).prefix == committed_[index.value].prefix;
        }));
    if (copies <= nodes_.size() / 2) {
        verdict_.fail("D1", fmt::format("index {} is acknowledged and on {} disks only",
                                        index.value, copies));
    }
}

}  // namespace cairn::sim
