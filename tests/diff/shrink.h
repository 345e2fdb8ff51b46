// Makes the script of a difference short: replays it on fresh servers without this or that, and
// keeps what still shows a difference.
// Used by the test's main thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "diff/judge.h"
#include "diff/pair.h"

namespace cairn::diff {

struct Difference {
    std::vector<Step> script;  // the last step's answers differ
    Exchange last;
    std::string text;

    // For people.
    [[nodiscard]] std::string describe() const;
};

// The first difference on fresh servers; nothing when there is none.
std::optional<Difference> replay(const Programs& programs, const std::vector<Step>& script);

// The shortest script found in that time, begun with `found`'s.
Difference shrink(const Programs& programs, Difference found, std::chrono::seconds time);

}  // namespace cairn::diff
