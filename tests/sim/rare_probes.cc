// Which probes a batch of simulated runs need not reach, and why.
#include "sim/probe_tally.h"

namespace cairn::sim {

const std::vector<RareProbe>& rare_probes() {
    // So many runs are asked for that to miss one by chance is about one in a hundred thousand.
    // What 8,400 runs had counted were hits and not runs that hit: half of them was taken for runs.
    static const std::vector<RareProbe> kRare = {
        {"garbage.stub_gone_before", 0, "a guard: the collector sees each deletion once, in order"},
        {"raft.second_change_refused", 0, "a guard: server/replica holds a change back until then"},
        {"wal.floor_beyond_log", 0, "a guard: a floor beyond the log comes with its restart"},
        {"flow.whole_but_refused", 3'000, "needs a new term in the very turn in which all is read"},
        {"raft.snapshot_replaces_longer_log", 10'000,
         "needs a former leader's tail longer than what the others commit and compact meanwhile"},
        {"snapshot.file_was_bad", 10'000,
         "needs a crash of a receiver, rot, and the same snapshot again"},
        {"raft.transferee_left", 10'000, "needs a transfer to a leaver in its joint configuration"},
        {"flow.other_sender_takes_over", 1'500, "needs a new leader while a snapshot comes"},
        {"raft.snapshot_not_needed", 5'000, "needs appends that overtake a snapshot"},
        {"sim.install_finished_at_start", 1'500, "needs a crash between two steps of an install"},
        {"store.log_follows_install", 1'500, "the same crash"},
        {"raft.conflict_hint_goes_back", 5'000, "needs logs that disagree over several terms"},
        {"snapshot.resumed", 1'000, "needs a crash in a file, and the same snapshot again"},
        {"flow.piece_was_bad", 500, "needs rot on the way of a snapshot"},
        {"wal.torn_tail_cut", 500, "needs a power cut that tears a write in two"},
        {"raft.pre_candidate_votes", 500, "needs a vote asked for between pre-vote and vote"},
        {"flow.receiver_was_removed", 1'000, "needs a removal while a snapshot goes"},
        {"raft.left_out_and_not_committed", 500,
         "needs a leader whom a change not committed leaves out"},
        {"raft.append_while_installing", 500, "needs appends that meet an install"},
        {"raft.refused_apply_gap", 500, "one in six runs has the limit, and it must be hit"},
        {"raft.catch_up_limit_reached", 500, "needs a member that catches up behind a small limit"},
        {"raft.conf_truncated", 500, "needs a change of the members that is cut off"},
        {"flow.receive_resumed", 300, "needs a connection that breaks in the middle of a snapshot"},
        {"flow.send_resumed", 300, "the same break"},
        {"raft.snapshot_given_up", 300, "needs a snapshot that fails for good"},
        {"raft.snapshot_within_log", 200, "needs a snapshot where the log would do"},
        {"wal.segment_for_a_large_batch", 200, "needs a write larger than the run's segments"},
    };
    return kRare;
}

}  // namespace cairn::sim
