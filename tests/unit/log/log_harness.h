// Runs a program of log operations on a SimFs and checks every state a crash may leave against a
// model.
// Owned by one test; one thread.
// Never looks into files: it sees the log as the replica does.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "log_model.h"
#include "storage/log_store.h"
#include "tests/sim_fs/sim_fs.h"

namespace cairn::storage {

// One call of the log: append of these batches, or seal when there are none.
struct LogStep {
    std::vector<raft::PersistBatch> batches;
};

// Small enough that a few appends visit everything a log does.
inline constexpr LogOptions kTinyLog{.segment_bytes = 16U * 1024U, .recycle_max = 1};
inline constexpr const char* kLogDir = "/data/wal";

inline std::unique_ptr<SimFs> new_disk() {
    auto files = std::make_unique<SimFs>();
    files->make_dirs("/data").value();
    files->sync_dir("/").value();
    return files;
}

// How a run of steps ended: which of them were acknowledged, and what the log had to hold then.
struct LogRun {
    LogModel acknowledged;
    // The step under way when a call failed: may be there after a crash, wholly or not, batch by
    // batch. Empty when all went well.
    std::vector<raft::PersistBatch> in_doubt;
    bool opened = false;
    bool completed = false;
    Error error;
};

// Opens the log (checking nothing) and runs the steps until one fails.
inline LogRun run_steps(SimFs& files, const std::vector<LogStep>& steps) {
    LogRun run;
    auto opened = LogStore::open(files, kLogDir, kTinyLog);
    if (opened.has_error()) {
        run.error = opened.error();
        return run;
    }
    run.opened = true;
    LogStore& log = *opened.value().log;
    std::uint64_t number = 0;
    for (const LogStep& step : steps) {
        const Result<void> result = step.batches.empty() ? log.seal() : log.append(step.batches);
        if (result.has_error()) {
            run.in_doubt = step.batches;
            run.error = result.error();
            return run;
        }
        for (const raft::PersistBatch& batch : step.batches) {
            run.acknowledged.apply(batch);
        }
        // Now and then, so that segments begin with a spare and without one.
        if (++number % 2 == 0) {
            if (const auto prepared = log.prepare(); prepared.has_error()) {
                run.error = prepared.error();
                return run;
            }
        }
    }
    run.completed = true;
    return run;
}

// All acknowledged is there, and of the step in doubt some first batches: nothing else.
inline bool is_allowed(const LogRun& run, const raft::Recovered& recovered) {
    LogModel model = run.acknowledged;
    if (recovered == model.recovered()) {
        return true;
    }
    for (const raft::PersistBatch& batch : run.in_doubt) {
        model.apply(batch);
        if (recovered == model.recovered()) {
            return true;
        }
    }
    return false;
}

// A program that appends, rotates, seals, truncates, compacts, recycles and meets a large batch.
inline std::vector<LogStep> grand_tour() {
    LogModel model;
    std::vector<LogStep> steps;
    const auto add = [&](std::vector<raft::PersistBatch> batches) {
        for (const raft::PersistBatch& batch : batches) {
            model.apply(batch);
        }
        steps.push_back({std::move(batches)});
    };
    raft::PersistBatch bootstrap = entries_batch(1, 1, 3);
    bootstrap.hard_state = raft::HardState{Term{1}, NodeId{}, Index{3}};
    add({bootstrap});
    add({hard_state_batch(2, 1, 3), entries_batch(2, 4, 1)});
    add({});
    for (std::uint64_t index = 5; index <= 9; ++index) {
        add({entries_batch(2, index, 1, 900)});
    }
    add({entries_batch(2, 10, 3, 3000)});  // several blocks
    add({entries_batch(3, 8, 2)});         // over a segment's end back into the one before
    add({floor_batch(model, 6)});
    add({entries_batch(3, 10, 1), hard_state_batch(3, 2, 9)});
    add({floor_batch(model, 8), entries_batch(3, 11, 1)});
    add({entries_batch(3, 12, 1, 40'000)});  // larger than a segment
    add({entries_batch(3, 13, 2)});
    add({floor_batch(model, 13)});
    add({});
    for (std::uint64_t index = 15; index <= 22; ++index) {
        add({entries_batch(4, index, 1), hard_state_batch(4, 3, index - 1)});
    }
    add({floor_batch(model, 21)});
    add({entries_batch(4, 23, 1)});
    return steps;
}

}  // namespace cairn::storage
