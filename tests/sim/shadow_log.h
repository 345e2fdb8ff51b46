// What a node's log must look like, kept beside it: names of entries and hashes of prefixes.
// Owned by the safety checker; one thread.
// Never forgets the part below the floor: checks ask about any index.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/ids.h"
#include "raft/persist.h"
#include "raft/types.h"
#include "sim/basics.h"
#include "sim/shadow_conf.h"

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

using ConfPtr = std::shared_ptr<const raft::ConfState>;

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
    // The configuration in effect: that of the newest entry that made one.
    [[nodiscard]] const ConfPtr& conf() const { return confs_.back().conf; }
    // The same as of `index`, which must not lie below the newest snapshot that replaced the log.
    [[nodiscard]] const ConfPtr& conf_at(Index index) const {
        std::size_t at = confs_.size() - 1;
        while (at > 0 && confs_[at].index > index) {
            --at;
        }
        return confs_[at].conf;
    }
    // How many changes stand above `index`.
    [[nodiscard]] std::size_t conf_changes_above(Index index) const {
        std::size_t count = 0;
        while (count < confs_.size() && confs_[confs_.size() - 1 - count].index > index) {
            ++count;
        }
        return count;
    }
    // A configuration entry that makes no sense was appended.
    [[nodiscard]] bool senseless() const { return senseless_; }

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
        truncate(first);
        for (const raft::Entry& entry : batch.entries) {
            append(entry);
        }
    }
    void append(const raft::Entry& entry) {
        slots_.push_back(
            Slot{.term = entry.id.term, .prefix = extend_prefix(slots_.back().prefix, entry)});
        if (entry.kind != raft::EntryKind::kConfig) {
            return;
        }
        const auto change = read_change(entry.payload);
        auto next = change ? conf_after(*conf(), *change) : std::nullopt;
        if (!next) {
            senseless_ = true;
            return;
        }
        confs_.push_back(ConfAt{.index = entry.id.index,
                                .conf = std::make_shared<const raft::ConfState>(*std::move(next))});
    }
    // Becomes what a snapshot says: `slots` from the place before the first entry on.
    void restart(std::vector<Slot> slots, ConfPtr conf) {
        slots_ = std::move(slots);
        floor_ = last();
        confs_ = {ConfAt{.index = floor_, .conf = std::move(conf)}};
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
        truncate(floor + 1);
        for (const raft::Entry& entry : found.entries) {
            if (entry.id.index != last() + 1) {
                return false;
            }
            append(entry);
        }
        return true;
    }

  private:
    struct ConfAt {
        Index index{};
        ConfPtr conf{};
    };
    // Drops everything from `first` on.
    void truncate(Index first) {
        slots_.resize(first.value);
        while (confs_.size() > 1 && confs_.back().index >= first) {
            confs_.pop_back();
        }
    }

    raft::HardState hard_state_{};
    Index floor_{};
    std::vector<Slot> slots_ = std::vector<Slot>(1);  // slots_[0] is the place before the first
    std::vector<ConfAt> confs_ = {
        ConfAt{.index = {}, .conf = std::make_shared<const raft::ConfState>()}};
    bool senseless_ = false;
};

}  // namespace cairn::sim
