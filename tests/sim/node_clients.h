// Whom a simulated member tells what becomes of the calls that reach it.
// Implemented by the workload; one thread.
// Never told of a call that went to another member.
#pragma once

#include <cstdint>

#include "server/api/dispatcher.h"
#include "server/replica/completion.h"
#include "sim/basics.h"

namespace cairn::sim {

class NodeClients {
  public:
    virtual ~NodeClients() = default;
    // The call goes to the log with this command, in this start of the node.
    virtual void on_proposed(std::uint64_t op, std::uint64_t boot,
                             const server::Propose& propose) = 0;
    // What became of it, which the reply that follows may leave open.
    virtual void on_outcome(std::uint64_t op, const server::ProposalOutcome& outcome) = 0;
    // All that the client hears. `seen`: the revision that the call met, or 0; a refusal lacks it.
    virtual void on_reply(std::uint64_t op, const server::api::Reply& reply, std::int64_t seen) = 0;
    virtual void on_node_down(NodeIndex node) = 0;
};

}  // namespace cairn::sim
