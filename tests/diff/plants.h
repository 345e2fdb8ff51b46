// The planted differences: what a faulty api layer of cairn would answer, each only now and then,
// where a fault would hide.
// Pure functions; any thread.
#pragma once

#include <vector>

#include "diff/pair.h"

namespace cairn::diff {

struct PlantedFault {
    const char* name;
    Plant plant;
};

const std::vector<PlantedFault>& planted_faults();

}  // namespace cairn::diff
