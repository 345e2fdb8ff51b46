#include "raft/forward_window.h"

#include <algorithm>
#include <tuple>

namespace cairn::raft {

void ForwardWindow::reset() {
    runs_.clear();
    uses_ = 0;
}

void ForwardWindow::close_oldest(NodeId member) {
    Run* oldest = nullptr;
    std::size_t open_count = 0;
    for (Run& run : runs_) {
        if (run.member != member || run.seen.empty()) {
            continue;
        }
        ++open_count;
        if (oldest == nullptr || run.last_use < oldest->last_use) {
            oldest = &run;
        }
    }
    if (open_count >= kOpenRunsMax) {
        oldest->seen = {};
    }
}

ForwardWindow::Run* ForwardWindow::open(const ProposalId& id) {
    const auto place = std::lower_bound(
        runs_.begin(), runs_.end(), id, [](const Run& run, const ProposalId& wanted) {
            return std::tie(run.member, run.boot) < std::tie(wanted.member, wanted.boot);
        });
    if (place != runs_.end() && place->member == id.member && place->boot == id.boot) {
        return &*place;
    }
    if (runs_.size() >= kRunsMax) {
        return nullptr;
    }
    const auto offset = place - runs_.begin();
    close_oldest(id.member);
    Run fresh{.member = id.member, .boot = id.boot, .last_use = 0, .highest = 0, .seen = {}};
    fresh.seen.resize(kSequences / 64);
    return &*runs_.insert(runs_.begin() + offset, std::move(fresh));
}

void ForwardWindow::advance(Run& run, std::uint64_t sequence) {
    const std::uint64_t step = sequence - run.highest;
    if (step >= kSequences) {
        std::fill(run.seen.begin(), run.seen.end(), 0);
    } else {
        // The places between now stand for numbers that have not been seen.
        for (std::uint64_t passed = run.highest + 1; passed < sequence; ++passed) {
            run.seen[(passed % kSequences) / 64] &= ~(1ULL << (passed % 64));
        }
        run.seen[(sequence % kSequences) / 64] &= ~(1ULL << (sequence % 64));
    }
    run.highest = sequence;
}

ForwardWindow::Verdict ForwardWindow::take(const ProposalId& id) {
    Run* run = open(id);
    if (run == nullptr) {
        return Verdict::kFull;
    }
    if (run->seen.empty()) {
        return Verdict::kOld;
    }
    run->last_use = ++uses_;
    if (id.sequence > run->highest) {
        advance(*run, id.sequence);
    } else if (run->highest - id.sequence >= kSequences) {
        return Verdict::kOld;
    }
    std::uint64_t& word = run->seen[(id.sequence % kSequences) / 64];
    const std::uint64_t bit = 1ULL << (id.sequence % 64);
    if ((word & bit) != 0) {
        return Verdict::kOld;
    }
    word |= bit;
    return Verdict::kNew;
}

}  // namespace cairn::raft
