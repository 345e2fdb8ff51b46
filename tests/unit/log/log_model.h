// What a log must hold after a sequence of batches, in the simplest possible way, and makers of
// batches for the tests.
// Owned by one test; values.
// Never knows anything of files, segments or checksums.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "raft/persist.h"

namespace cairn::storage {

class LogModel {
  public:
    void apply(const raft::PersistBatch& batch) {
        if (batch.floor) {
            if (batch.restart) {
                entries_.clear();
                last_ = batch.floor->last.index;
            }
            floor_ = *batch.floor;
            if (floor_.last.index > last_) {
                last_ = floor_.last.index;
            }
        }
        if (batch.hard_state) {
            hard_state_ = *batch.hard_state;
        }
        for (const raft::Entry& entry : batch.entries) {
            entries_.erase(entries_.lower_bound(entry.id.index), entries_.end());
            entries_[entry.id.index] = entry;
            last_ = entry.id.index;
        }
        entries_.erase(entries_.begin(), entries_.upper_bound(floor_.last.index));
    }

    [[nodiscard]] raft::Recovered recovered() const {
        raft::Recovered recovered{hard_state_, floor_, {}};
        for (const auto& [index, entry] : entries_) {
            recovered.entries.push_back(entry);
        }
        return recovered;
    }
    [[nodiscard]] Index last() const { return last_; }
    [[nodiscard]] Index floor() const { return floor_.last.index; }
    [[nodiscard]] Term last_term() const {
        return entries_.empty() ? floor_.last.term : entries_.rbegin()->second.id.term;
    }
    [[nodiscard]] Term term_at(Index index) const {
        const auto found = entries_.find(index);
        return found == entries_.end() ? floor_.last.term : found->second.id.term;
    }

    bool operator==(const LogModel&) const = default;

  private:
    raft::HardState hard_state_;
    raft::SnapshotMeta floor_;
    std::map<Index, raft::Entry> entries_;
    Index last_;
};

// `count` command entries of `term` from `index`, each with a payload of `bytes` that names it.
inline raft::PersistBatch entries_batch(std::uint64_t term, std::uint64_t index,
                                        std::uint64_t count, std::size_t bytes = 20) {
    raft::PersistBatch batch;
    for (std::uint64_t i = 0; i < count; ++i) {
        std::string payload = std::to_string(term) + ":" + std::to_string(index + i) + " ";
        const std::size_t name = payload.size();
        payload.resize(std::max(bytes, name));
        for (std::size_t at = name; at < payload.size(); ++at) {
            payload[at] = payload[at - name];
        }
        batch.entries.push_back(
            {{Term{term}, Index{index + i}}, raft::EntryKind::kCommand, Bytes::copy_of(payload)});
    }
    return batch;
}

inline raft::PersistBatch hard_state_batch(std::uint64_t term, std::uint64_t vote,
                                           std::uint64_t commit) {
    raft::PersistBatch batch;
    batch.hard_state = raft::HardState{Term{term}, NodeId{vote}, Index{commit}};
    return batch;
}

inline raft::SnapshotMeta floor_at(raft::EntryId last) {
    raft::SnapshotMeta floor;
    floor.last = last;
    floor.conf.voters = {NodeId{1}, NodeId{2}, NodeId{3 + last.index.value}};
    floor.conf.learners = {NodeId{9}};
    return floor;
}

// A floor at `index`, which must be in the model's log.
inline raft::PersistBatch floor_batch(const LogModel& model, std::uint64_t index) {
    raft::PersistBatch batch;
    batch.floor = floor_at({model.term_at(Index{index}), Index{index}});
    return batch;
}

// An installed snapshot's floor at `index` of `term`, wherever the log ends.
inline raft::PersistBatch restart_batch(std::uint64_t term, std::uint64_t index) {
    raft::PersistBatch batch;
    batch.floor = floor_at({Term{term}, Index{index}});
    batch.restart = true;
    return batch;
}

}  // namespace cairn::storage
