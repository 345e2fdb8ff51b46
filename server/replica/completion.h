// How the replica answers a call: the other API-facing half of its boundary.
// Values, moved from the replica to the session that owns the call; no raft types.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"

namespace cairn::server {

// The command was applied. With `error`, its deterministic outcome was a refusal without effect.
struct Applied {
    std::optional<Errc> error;
    std::int64_t revision{};  // for the header
    Bytes body;               // the response without its header
    bool operator==(const Applied&) const = default;
};

// It certainly never took effect and never will: safe to try again.
struct NotApplied {
    Errc reason{};
    bool operator==(const NotApplied&) const = default;
};

// It may have taken effect, or may still: must not be repeated blindly.
struct Unknown {
    Errc reason{};
    bool operator==(const Unknown&) const = default;
};

using ProposalOutcome = std::variant<Applied, NotApplied, Unknown>;

// A linearizable read may run now, on a view that has applied at least `applied`.
struct ReadGranted {
    Index applied;
    bool operator==(const ReadGranted&) const = default;
};
struct ReadFailed {
    Errc reason{};
    bool operator==(const ReadFailed&) const = default;
};

// Leadership was handed over (or could not be, with the reason).
struct TransferDone {
    std::optional<Errc> error;
    bool operator==(const TransferDone&) const = default;
};

struct Completion {
    CallId call{};
    Term term{};  // this member's raft term at completion, for the header
    std::variant<ProposalOutcome, ReadGranted, ReadFailed, TransferDone> result;
    bool operator==(const Completion&) const = default;
};

}  // namespace cairn::server
