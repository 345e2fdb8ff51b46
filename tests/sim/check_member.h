// What a single member keeps to, as it shows from outside: rules without a state of the cluster,
// for those who see it to ask.
//   D4 a failed write or sync is the last thing that a member does
//   R2 nobody sees the past of what a client was told before
// Values, of whoever asks; one thread.
// Never asks the member what it thinks it does.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "server/replica/effect.h"
#include "sim/basics.h"

namespace cairn::sim {

// D4. Of the turn after a failed write or sync (`is_due`), and of each that has a halt.
void check_halt(NodeIndex node, const server::Effects& effects, bool is_due, Verdict& verdict);

// What clients were told by one member in one life of it.
struct Told {
    std::uint32_t life{};
    std::uint64_t term{};
    std::int64_t revision{};
    Index members{};  // since when they were as in the newest list
};

// R2. Of an answer with `revision` in its header; `before`: when its call arrived.
void check_told(NodeIndex node, const Told& before, std::int64_t revision, Verdict& verdict);

}  // namespace cairn::sim
