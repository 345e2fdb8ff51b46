// What a single member keeps to, as it shows from outside: rules without a state of the cluster,
// for those who see it to ask.
//   D4 a failed write or sync is the last thing that a member does
// Values; one thread.
// Never asks the member what it thinks it does.
#pragma once

#include "server/replica/effect.h"
#include "sim/basics.h"

namespace cairn::sim {

// D4. Of the turn after a failed write or sync (`is_due`), and of each that has a halt.
void check_halt(NodeIndex node, const server::Effects& effects, bool is_due, Verdict& verdict);

}  // namespace cairn::sim
