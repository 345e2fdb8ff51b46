// The log in memory: every entry above the floor, the configurations in it, and the marks that say
// how far it is durable, committed, handed out and applied.
// Owned by the core, on the replica's thread.
// Never truncates at or below its commit mark, and never reads a disk.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "raft/entry_ring.h"
#include "raft/types.h"

namespace cairn::raft {

class Log {
  public:
    // Invariants: floor <= applied <= handed_out <= min(commit, stable); commit <= last;
    // stable < unsaved_from <= last + 1.
    struct Marks {
        Index stable;        // durable here, all of it: a batch in flight does not count
        Index unsaved_from;  // the first index not yet in any batch
        Index commit;
        Index handed_out;  // given to the state machine
        Index applied;
    };

    // An empty log above `floor`; entries follow by append, then start() sets the marks.
    explicit Log(SnapshotMeta floor);
    // Everything present is durable; `applied` has been applied in an earlier run.
    void start(Index commit, Index applied);

    [[nodiscard]] const SnapshotMeta& floor() const { return floor_; }
    [[nodiscard]] Index first() const { return floor_.last.index + 1; }
    [[nodiscard]] Index last() const { return floor_.last.index + ring_.size(); }
    [[nodiscard]] EntryId last_id() const;
    [[nodiscard]] const Marks& marks() const { return marks_; }
    // Cost of the entries above commit, of all, and of those handed out and not yet applied.
    [[nodiscard]] std::uint64_t uncommitted_bytes() const { return uncommitted_bytes_; }
    [[nodiscard]] std::uint64_t bytes() const { return ring_.cost(); }
    [[nodiscard]] std::uint64_t applying_bytes() const { return applying_bytes_; }
    // The same of those that the state machine has not flushed.
    [[nodiscard]] std::uint64_t unflushed_bytes() const;
    [[nodiscard]] Index flushed() const { return flushed_; }
    // The lowest floor that leaves at most so much above it, in cost and in entries. In time of the
    // logarithm of the log's length.
    [[nodiscard]] Index floor_within(std::uint64_t bytes_max, std::uint64_t entries_max) const;

    // `index` must be in the log, above the floor.
    [[nodiscard]] const Entry& at(Index index) const;
    // None outside [floor, last].
    [[nodiscard]] std::optional<Term> term_at(Index index) const;
    [[nodiscard]] bool holds(EntryId id) const { return term_at(id.index) == id.term; }
    // Of the entries at or below `limit.index`, the last whose term is at most `limit.term`; where
    // a search for the common prefix of two logs may go on. The floor when there is none above it.
    [[nodiscard]] EntryId last_not_above(EntryId limit) const;
    // Entries from `from`, at least one if there is any, up to `bytes_max` in cost. Appends to
    // `out`; returns their cost.
    std::uint64_t copy_from(Index from, std::uint64_t bytes_max, std::vector<Entry>& out) const;

    // The configuration in effect: that of the newest entry, committed or not (dissertation §4.1).
    [[nodiscard]] const ConfState& conf() const { return confs_.back().conf; }
    [[nodiscard]] Index conf_index() const { return confs_.back().index; }
    [[nodiscard]] const ConfState& conf_at(Index index) const;
    // Whether the configuration entries among `entries` make sense after what stands at `after`.
    [[nodiscard]] Result<void> check_confs(Index after, std::span<const Entry> entries) const;

    // entry.id.index must be last() + 1. Fails only on a bad configuration entry, without a change.
    Result<void> append(Entry entry);
    // Drops `from` and everything behind it; from > commit.
    void truncate(Index from);
    // Drops everything up to `index`; index <= applied and <= stable.
    void compact(Index index);
    // A snapshot was installed: begins anew above it, with nothing, all of it durable and applied.
    void restart(SnapshotMeta snapshot);

    // Moves the entries not yet in any batch into `out` (copies that share the payloads).
    void take_unsaved(std::vector<Entry>& out);
    void stable_to(Index index);
    // commit never moves back; index <= last.
    void commit_to(Index index);
    // Copies what is committed and stable and not yet handed out: at most `bytes_max` beyond what
    // is still being applied, but at least one entry when nothing is.
    void take_committed(std::uint64_t bytes_max, std::vector<Entry>& out);
    [[nodiscard]] bool has_committed(std::uint64_t bytes_max) const;
    // index <= handed_out.
    void applied_to(Index index);
    // The state machine has what is applied up to `index` over any crash.
    void flushed_to(Index index);

  private:
    struct ConfAt {
        Index index;
        ConfState conf;
    };

    [[nodiscard]] std::size_t slot(Index index) const {
        return static_cast<std::size_t>(index - first());
    }

    SnapshotMeta floor_;
    EntryRing ring_;
    std::vector<ConfAt> confs_;  // by index; the first is the floor's; never empty
    Marks marks_;
    std::uint64_t uncommitted_bytes_ = 0;
    std::uint64_t applying_bytes_ = 0;
    Index flushed_;  // Invariant: floor <= flushed_ <= applied
};

}  // namespace cairn::raft
