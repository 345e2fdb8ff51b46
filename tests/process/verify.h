// The end of a run: do the members agree, and does what they hold explain all that clients saw? And
// what is left for whoever looks into a run that failed.
// Called by the test programs, with all members running.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "process/load.h"
#include "process/process_cluster.h"
#include "sim/check_linear.h"

namespace cairn::process {

// What is wrong, or nothing: all members answer the same HashKV at the same revision. Throws
// Failure when one does not serve.
std::optional<std::string> compare_states(const ProcessCluster& cluster);

// The same, and every acknowledged write is there, and the history is linearizable. When something
// is wrong the cluster's folder gets the history, and the order of all writes as far as it is
// known.
std::optional<std::string> verify(ProcessCluster& cluster, std::vector<sim::HistoryOp> history);

// Ends the clients first, whose calls must have failed in no way that nothing excuses.
std::optional<std::string> verify(ProcessCluster& cluster, Load& load);

// What a test program says when it fails, and what it leaves: nothing runs any more, and the folder
// stays, with the history of the clients, if there are any. The exit code.
int report_failure(ProcessCluster& cluster, Load* load, const std::string& text);

// The main of a test program whose class has run(), cluster() and load(), which may be null. The
// exit code.
template <class Test, class Options>
int run_test(const Options& options) {
    std::optional<Test> test;
    try {
        test.emplace(options);
        test->run();
        return 0;
    } catch (const Failure& failure) {
        if (test.has_value()) {
            return report_failure(test->cluster(), test->load(), failure.text);
        }
        fmt::print("FAILED: {}\n", failure.text);
        return 1;
    }
}

}  // namespace cairn::process
