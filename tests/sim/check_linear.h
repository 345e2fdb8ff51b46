// Is the history of all clients linearizable (R1), given what the log applied?
// Pure; called at the end of a run, and by its own tests.
// Never searches: each answer carries the store's revision, which orders writes and places reads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "proto/cairn/command.pb.h"
#include "sim/basics.h"

namespace cairn::sim {

// kLook is of no key: whoever sent it judges the answer.
enum class OpKind : std::uint8_t { kWrite, kLinearRead, kSerialRead, kLook };
enum class OpOutcome : std::uint8_t {
    kOpen,        // never answered, or answered as Unknown: may take effect at any time, or never
    kDone,        // applied, or read; with `error` refused without effect
    kNotApplied,  // certainly without effect
};

// One call of a client.
struct HistoryOp {
    std::uint64_t tag{};  // names a write in the log
    OpKind kind = OpKind::kWrite;
    // Of a write; TXN for a read whose request is a TxnRequest of Ranges, and not a RangeRequest.
    command::CommandKind command = command::UNKNOWN;
    std::string request{};  // of a read
    Time invoked{};
    Time returned{};  // not for kOpen
    OpOutcome outcome = OpOutcome::kOpen;
    std::optional<Errc> error{};
    std::int64_t revision{};  // of the answer's header
    std::string body{};
};

// One command as the log has it; `tag` is that of its op.
struct LoggedCommand {
    std::uint64_t tag{};
    command::CommandKind kind = command::UNKNOWN;
    Bytes request{};
};

// What is wrong, or nothing. The rules:
//   - each done write is in the log exactly once, no NotApplied one is, and its answer is what the
//     model answers at that place;
//   - each read saw the model's state at its revision; it was refused for a revision that is
//     compacted or not made yet then, and only for such a one;
//   - order of positions agrees with real time: whoever returned before another was invoked stands
//     before it (a write that made revision r stands at r; whatever else saw r, between r and r+1).
std::optional<std::string> check_linear(std::span<const HistoryOp> history,
                                        std::span<const LoggedCommand> log);

}  // namespace cairn::sim
