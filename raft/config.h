// What a core is told once, at restore.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "base/result.h"

namespace cairn::raft {

// Times are in ticks of Input::Tick; a tick is the shell's heartbeat interval by default.
struct Config {
    NodeId id;  // not none
    // A follower that hears nothing campaigns after a random time in
    // [election_ticks, 2 * election_ticks). Also the leader lease of §4.2.3 and check-quorum's
    // span.
    std::uint32_t election_ticks = 10;
    std::uint32_t heartbeat_ticks = 1;  // < election_ticks

    bool pre_vote = true;
    bool check_quorum = true;

    // Replication limits, each per follower.
    std::uint64_t append_bytes_max = 1024U * 1024U;  // entries of one Append; one entry always fits
    std::uint32_t inflight_count_max = 512;          // Appends sent and not answered
    std::uint64_t inflight_bytes_max = 16U * 1024U * 1024U;

    // Proposals not yet committed, on a leader; over it: Errc::kTooManyRequests. One always fits.
    std::uint64_t uncommitted_bytes_max = 64U * 1024U * 1024U;
    // Entries handed out in one Ready::committed.
    std::uint64_t apply_bytes_max = 4U * 1024U * 1024U;
    // Committed and not yet applied, in entries, above which the leader refuses proposals
    // (etcd: the commit-apply gap of 5000).
    std::uint64_t apply_gap_max = 5000;

    // What is kept of the log, in memory and on disk, for members that lack it, beyond what this
    // member's own state machine needs; one that lacks more gets a snapshot. Entries have a bound
    // of their own, because many small ones take more memory and time than their bytes say.
    std::uint64_t log_bytes_max = 128U * 1024U * 1024U;
    std::uint64_t log_entries_max = 1'000'000;
    // Entries dropped from the log at once, at each heartbeat: of hundreds of thousands it takes
    // longer than a heartbeat to free them.
    std::uint64_t compact_entries_max = 32'768;
    // The same for what was written since a snapshot for a member was asked for: without it a
    // snapshot that travels longer than the log lasts would be followed by another, without end.
    std::uint64_t catch_up_bytes_max = 512U * 1024U * 1024U;
    std::uint64_t catch_up_entries_max = 4'000'000;
    // What the state machine needs over a crash, since it has not flushed it: beyond it a leader
    // refuses proposals and a follower takes no entries, until Input::Compact says that it has.
    std::uint64_t unflushed_bytes_max = 512U * 1024U * 1024U;

    // Leader lease for reads (§6.4.1). Not 0: a member that answers a heartbeat votes for nobody
    // else for so many nanoseconds of its clock, and a leader with a quorum of such answers grants
    // reads for nine tenths of it by its own clock, without asking. Holds as long as no member's
    // clock gains more than a tenth on another's in that time. Needs an Input::ClockRead each turn.
    std::uint64_t lease_promise_ns = 0;

    std::uint64_t seed = 0;  // for election jitter; differs between members

    [[nodiscard]] Result<void> validate() const;
};

}  // namespace cairn::raft
