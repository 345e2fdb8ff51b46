#include "server/first_grant.h"

#include <variant>

#include "base/log.h"

namespace cairn::server {

void FirstGrant::on_tick() {
    if (!done_ && gate_.is_open()) {
        done_ = true;
        log_line(LogLevel::kInfo, "up to date with the cluster, all reads are served",
                 {{"applied", std::to_string(driver_.view().applied.value)}});
    } else if (!done_ && !in_flight_ && driver_.view().leader &&
               replayed_.is_reached(driver_.view())) {
        in_flight_ = true;
        driver_.submit_read(shared_from_this(), 0);
    }
}

void FirstGrant::on_completion(std::uint64_t /*token*/, const Completion& completion) {
    in_flight_ = false;
    if (std::holds_alternative<ReadGranted>(completion.result)) {
        gate_.on_granted();
    }
}

}  // namespace cairn::server
