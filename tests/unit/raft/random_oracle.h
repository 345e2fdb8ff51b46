// What a random cluster of cores must agree on, over all time.
// Owned by one run of random_cluster_test.cc.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "unit/raft/fixture.h"

namespace cairn::raft::testing {

inline bool contains(const std::vector<NodeId>& ids, NodeId id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
}

inline bool is_member(const ConfState& conf, NodeId id) {
    return contains(conf.voters, id) || contains(conf.voters_outgoing, id) ||
           contains(conf.learners, id);
}

class Oracle {
  public:
    void leads(Term term, NodeId node) {
        const auto [place, fresh] = leaders_.emplace(term, node);
        INFO("E1: two leaders in term " << term.value);
        REQUIRE(place->second == node);
    }
    // Log matching: one name, one entry and one predecessor.
    void holds(const Entry& entry, EntryId before) {
        const auto [place, fresh] = entries_.emplace(entry.id, std::pair(entry.payload, before));
        INFO("G1: two entries are called " << describe(entry.id));
        REQUIRE(place->second == std::pair(entry.payload, before));
        if (fresh && entry.kind == EntryKind::kCommand) {
            const std::string name(entry.payload.view());
            INFO("R3: proposal " << name << " is in the log of another term than its own");
            REQUIRE(bound_.at(name) == entry.id.term);
            INFO("R3: proposal " << name << " has entered a log twice");
            REQUIRE(entered_.insert(name).second);
            INFO("R3: proposal " << name << " was refused and has entered a log");
            REQUIRE(refused_.count(name) == 0);
        }
    }
    void committed(EntryId id) {
        const auto [place, fresh] = committed_.emplace(id.index, id.term);
        INFO("C3: two entries are committed at " << id.index.value);
        REQUIRE(place->second == id.term);
        top_ = std::max(top_, id.index);
    }
    // Entries come in order at each member, so the first to hand one out is the next of all.
    void handed_out(const Entry& entry) {
        committed(entry.id);
        if (entry.kind == EntryKind::kConfig && entry.id.index > confs_.rbegin()->first) {
            const ConfChange change = decode_conf_change(entry.payload).value();
            const auto conf = apply_conf_change(confs_.rbegin()->second, change);
            REQUIRE(conf.has_value());
            confs_[entry.id.index] = conf.value();
        }
    }
    // The configuration that a snapshot up to `index` carries.
    [[nodiscard]] const ConfState& conf_at(Index index) const {
        return std::prev(confs_.upper_bound(index))->second;
    }
    [[nodiscard]] Term term_at(Index index) const { return committed_.at(index); }
    // It was a member and is not, by what is committed.
    [[nodiscard]] bool was_removed(NodeId id) const {
        const auto has = [id](const auto& at) { return is_member(at.second, id); };
        return std::any_of(confs_.begin(), confs_.end(), has) && !has(*confs_.rbegin());
    }
    [[nodiscard]] std::size_t conf_count() const { return confs_.size(); }
    void proposed(const std::string& name, Term term) { bound_[name] = term; }
    void refused(const std::string& name) {
        refused_.insert(name);
        INFO("R3: proposal " << name << " has entered a log and was refused");
        REQUIRE(entered_.count(name) == 0);
    }
    [[nodiscard]] Index top() const { return top_; }
    [[nodiscard]] const std::map<Index, Term>& all_committed() const { return committed_; }
    [[nodiscard]] std::size_t leader_count() const { return leaders_.size(); }

  private:
    std::map<Term, NodeId> leaders_;
    std::map<EntryId, std::pair<Bytes, EntryId>> entries_;
    std::map<Index, Term> committed_;
    std::map<Index, ConfState> confs_{{Index{}, ConfState{}}};
    std::map<std::string, Term> bound_;
    std::set<std::string> entered_;
    std::set<std::string> refused_;
    Index top_;
};

}  // namespace cairn::raft::testing
