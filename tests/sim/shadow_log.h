// What a node's log must look like, kept beside it: names of entries and hashes of prefixes.
// Owned by the safety checker; one thread.
// Never forgets the part below the floor: checks ask about any index.
#pragma once

#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "base/ids.h"
#include "raft/persist.h"
#include "raft/types.h"
#include "sim/basics.h"

namespace cairn::sim {

// The hash of everything up to and including an entry.
inline std::uint64_t extend_prefix(std::uint64_t before, const raft::Entry& entry) {
    const std::uint64_t body =
        hash_bytes(entry.payload.data(), entry.payload.size(),
                   entry.id.term.value * 8 + static_cast<std::uint64_t>(entry.kind));
    TraceHash hash;
    hash.mix(before);
    hash.mix(entry.id.index.value);
    hash.mix(body);
    return hash.value();
}

class ShadowLog {
  public:
    struct Slot {
        Term term{};
        std::uint64_t prefix{};
    };

    [[nodiscard]] Index last() const { return Index{slots_.size() - 1}; }
    [[nodiscard]] bool has(Index index) const { return index <= last(); }
    [[nodiscard]] const Slot& at(Index index) const {
        CAIRN_ASSERT(has(index));
        return slots_[index.value];
    }
    [[nodiscard]] const raft::HardState& hard_state() const { return hard_state_; }
    [[nodiscard]] Index floor() const { return floor_; }

    // Same hard state, same entries, same floor.
    [[nodiscard]] bool same_as(const ShadowLog& other) const {
        return hard_state_ == other.hard_state_ && floor_ == other.floor_ &&
               last() == other.last() && at(last()).prefix == other.at(last()).prefix;
    }

    void apply(const raft::PersistBatch& batch) {
        if (batch.floor) {
            floor_ = batch.floor->last.index;
        }
        if (batch.hard_state) {
            hard_state_ = *batch.hard_state;
        }
        if (batch.entries.empty()) {
            return;
        }
        const Index first = batch.entries.front().id.index;
        CAIRN_ASSERT(first.value >= 1 && first <= last() + 1);
        slots_.resize(first.value);
        for (const raft::Entry& entry : batch.entries) {
            append(entry);
        }
    }
    void append(const raft::Entry& entry) {
        slots_.push_back(
            Slot{.term = entry.id.term, .prefix = extend_prefix(slots_.back().prefix, entry)});
    }
    // Replaces what is above the floor by what a restart found. False when the floor is above
    // everything known here.
    bool replace(const raft::Recovered& found) {
        const Index floor = found.floor.last.index;
        if (!has(floor) || at(floor).term != found.floor.last.term) {
            return false;
        }
        floor_ = floor;
        hard_state_ = found.hard_state;
        slots_.resize(floor.value + 1);
        for (const raft::Entry& entry : found.entries) {
            if (entry.id.index != last() + 1) {
                return false;
            }
            append(entry);
        }
        return true;
    }

  private:
    raft::HardState hard_state_{};
    Index floor_{};
    std::vector<Slot> slots_ = std::vector<Slot>(1);  // slots_[0] is the place before the first
};

}  // namespace cairn::sim
