#include "raft/log.h"

#include <algorithm>
#include <utility>

#include "base/mutant.h"
#include "raft/conf_change.h"

namespace cairn::raft {

Log::Log(SnapshotMeta floor) : floor_(std::move(floor)) {
    confs_.push_back({floor_.last.index, floor_.conf});
    const Index at = floor_.last.index;
    marks_ = {.stable = at, .unsaved_from = at + 1, .commit = at, .handed_out = at, .applied = at};
    flushed_ = at;
}

void Log::start(Index commit, Index applied) {
    CAIRN_ASSERT(floor_.last.index <= applied && applied <= commit && commit <= last());
    marks_ = {.stable = last(),
              .unsaved_from = last() + 1,
              .commit = floor_.last.index,
              .handed_out = applied,
              .applied = applied};
    commit_to(commit);
}

EntryId Log::last_id() const { return ring_.size() == 0 ? floor_.last : at(last()).id; }

const Entry& Log::at(Index index) const {
    CAIRN_ASSERT(index >= first() && index <= last());
    return ring_[slot(index)];
}

std::optional<Term> Log::term_at(Index index) const {
    if (index == floor_.last.index) {
        return floor_.last.term;
    }
    if (index < floor_.last.index || index > last()) {
        return std::nullopt;
    }
    return ring_[slot(index)].id.term;
}

EntryId Log::last_not_above(EntryId limit) const {
    // Terms never fall along a log, so the place can be searched by halves.
    Index low = floor_.last.index;
    Index high = std::min(limit.index, last());
    while (low < high) {
        const Index middle = low + (high - low + 1) / 2;
        if (ring_[slot(middle)].id.term <= limit.term) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low == floor_.last.index ? floor_.last : ring_[slot(low)].id;
}

std::uint64_t Log::copy_from(Index from, std::uint64_t bytes_max, std::vector<Entry>& out) const {
    std::uint64_t bytes = 0;
    Index end = from;
    for (; end <= last(); ++end) {
        const std::uint64_t cost = at(end).cost_bytes();
        if (bytes > 0 && bytes + cost > bytes_max) {
            break;
        }
        bytes += cost;
    }
    if (end > from) {
        out.reserve(out.size() + static_cast<std::size_t>(end - from));
    }
    for (Index index = from; index < end; ++index) {
        out.push_back(at(index));
    }
    return bytes;
}

const ConfState& Log::conf_at(Index index) const {
    auto after =
        std::upper_bound(confs_.begin(), confs_.end(), index,
                         [](Index wanted, const ConfAt& conf) { return wanted < conf.index; });
    return after == confs_.begin() ? confs_.front().conf : std::prev(after)->conf;
}

Result<void> Log::check_confs(Index after, std::span<const Entry> entries) const {
    const auto is_config = [](const Entry& entry) { return entry.kind == EntryKind::kConfig; };
    if (std::none_of(entries.begin(), entries.end(), is_config)) {
        return ok();
    }
    ConfState conf = conf_at(after);
    for (const Entry& entry : entries) {
        if (is_config(entry)) {
            CAIRN_TRY(const ConfChange change, decode_conf_change(entry.payload));
            CAIRN_TRY(conf, apply_conf_change(conf, change));
        }
    }
    return ok();
}

Result<void> Log::append(Entry entry) {
    CAIRN_ASSERT(entry.id.index == last() + 1);
    CAIRN_ASSERT(entry.id.term >= last_id().term);
    if (entry.kind == EntryKind::kConfig) {
        CAIRN_TRY(const ConfChange change, decode_conf_change(entry.payload));
        CAIRN_TRY(ConfState next, apply_conf_change(conf(), change));
        confs_.push_back({entry.id.index, std::move(next)});
    }
    uncommitted_bytes_ += entry.cost_bytes();
    ring_.push_back(std::move(entry));
    return ok();
}

void Log::truncate(Index from) {
    CAIRN_ASSERT(from > marks_.commit && from <= last());
    for (Index index = from; index <= last(); ++index) {
        uncommitted_bytes_ -= CAIRN_MUTANT(uncommitted_bytes_leak) ? 0 : at(index).cost_bytes();
    }
    ring_.drop_back(static_cast<std::size_t>(last() - from + 1));
    while (confs_.back().index >= from && !CAIRN_MUTANT(truncated_conf_stays)) {
        confs_.pop_back();
    }
    marks_.stable =
        std::min(marks_.stable, CAIRN_MUTANT(truncated_stays_stable) ? marks_.stable : from - 1);
    marks_.unsaved_from = std::min(marks_.unsaved_from, from);
}

void Log::compact(Index index) {
    CAIRN_ASSERT(index <= marks_.applied && index <= marks_.stable);
    if (index <= floor_.last.index) {
        return;
    }
    flushed_to(index);
    const SnapshotMeta floor{.last = at(index).id, .conf = conf_at(index)};
    ring_.drop_front(static_cast<std::size_t>(index - floor_.last.index));
    floor_ = floor;
    const auto above = std::find_if(confs_.begin(), confs_.end(),
                                    [&](const ConfAt& conf) { return conf.index > index; });
    confs_.erase(confs_.begin(), above);
    confs_.insert(confs_.begin(), {floor_.last.index, floor_.conf});
}

void Log::restart(SnapshotMeta snapshot) { *this = Log(std::move(snapshot)); }

Index Log::floor_within(std::uint64_t bytes_max, std::uint64_t entries_max) const {
    const auto fits = [&](std::size_t dropped) {
        return ring_.cost() - ring_.cost_of_first(dropped) <= bytes_max;
    };
    // How many must go: at least those beyond the entries, and what is left costs less and less.
    std::size_t low = ring_.size() - std::min<std::uint64_t>(entries_max, ring_.size());
    std::size_t high = fits(low) ? low : ring_.size();
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        if (fits(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return floor_.last.index + low;
}

void Log::take_unsaved(std::vector<Entry>& out) {
    out.reserve(out.size() + static_cast<std::size_t>(last() + 1 - marks_.unsaved_from));
    for (Index index = marks_.unsaved_from; index <= last(); ++index) {
        out.push_back(at(index));
    }
    marks_.unsaved_from = last() + 1;
}

std::uint64_t Log::unflushed_bytes() const {
    return ring_.cost() - ring_.cost_of_first(flushed_ - floor_.last.index);
}

void Log::stable_to(Index index) {
    CAIRN_ASSERT(index < marks_.unsaved_from);
    marks_.stable = std::max(marks_.stable, index);
}

void Log::commit_to(Index index) {
    CAIRN_ASSERT(index <= last());
    while (marks_.commit < index) {
        ++marks_.commit;
        uncommitted_bytes_ -= at(marks_.commit).cost_bytes();
    }
}

bool Log::has_committed(std::uint64_t bytes_max) const {
    const Index ready = std::min(CAIRN_MUTANT(applied_before_committed) ? last() : marks_.commit,
                                 CAIRN_MUTANT(applied_before_durable) ? last() : marks_.stable);
    if (marks_.handed_out >= ready) {
        return false;
    }
    return applying_bytes_ == 0 ||
           applying_bytes_ + at(marks_.handed_out + 1).cost_bytes() <= bytes_max;
}

void Log::take_committed(std::uint64_t bytes_max, std::vector<Entry>& out) {
    while (has_committed(bytes_max)) {
        ++marks_.handed_out;
        const Entry& entry = at(marks_.handed_out);
        applying_bytes_ += entry.cost_bytes();
        out.push_back(entry);
    }
}

void Log::applied_to(Index index) {
    CAIRN_ASSERT(index <= marks_.handed_out);
    while (marks_.applied < index) {
        ++marks_.applied;
        applying_bytes_ -= at(marks_.applied).cost_bytes();
    }
}

void Log::flushed_to(Index index) {
    flushed_ = std::max(flushed_, std::min(index, marks_.applied));
}

}  // namespace cairn::raft
