// The switch behind base/mutant.h: which mutants a test program has, and which one is on, by the
// environment variable CAIRN_MUTANT. Linked beside objects that were compiled with CAIRN_MUTANTS.
// Decided before main; read-only after that, so any thread.
#pragma once

#include <vector>

namespace cairn::mutants {

// The exit code of a program that was asked for a mutant it has not: at its end, at the latest.
inline constexpr int kUnknownMutant = 70;

// Their names, those of a whole program.
const std::vector<const char*>& all();

// Ends the program at once when CAIRN_MUTANT names none of them.
void require_known();

}  // namespace cairn::mutants
