// Hunt: whether the suite would notice a fault. The suspect is cairnd_mutants with one of its
// mutants switched on (base/mutant.h), asked until its first answer that differs from etcd's.
// Used by the test's main thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "diff/pair.h"
#include "diff/shrink.h"

namespace cairn::diff {

// Those mutants of this cairnd that the suite must find, by their names: of the API (api_), and of
// what it reads and writes (kv_). The others are for the museum (tests/mutants).
std::vector<std::string> mutants_of(const std::string& cairnd);

// The first difference on fresh servers: among seeded random steps, else among the scripted cases,
// short ones first.
std::optional<Difference> hunt(const Programs& programs);

}  // namespace cairn::diff
