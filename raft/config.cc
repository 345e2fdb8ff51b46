#include "raft/config.h"

namespace cairn::raft {

Result<void> Config::validate() const {
    if (!id) {
        return Error{Errc::kInvalidConfig, "raft: the member id must not be 0"};
    }
    if (heartbeat_ticks == 0) {
        return Error{Errc::kInvalidConfig, "raft: heartbeat_ticks must be at least 1"};
    }
    if (election_ticks <= heartbeat_ticks) {
        return Error{Errc::kInvalidConfig, "raft: election_ticks must exceed heartbeat_ticks"};
    }
    if (append_bytes_max == 0 || inflight_count_max == 0 || inflight_bytes_max == 0 ||
        uncommitted_bytes_max == 0 || apply_bytes_max == 0 || apply_gap_max == 0 ||
        log_bytes_max == 0 || log_entries_max == 0 || catch_up_bytes_max == 0 ||
        catch_up_entries_max == 0 || unflushed_bytes_max == 0 || compact_entries_max == 0) {
        return Error{Errc::kInvalidConfig, "raft: a limit is 0; each must be at least 1"};
    }
    return ok();
}

}  // namespace cairn::raft
