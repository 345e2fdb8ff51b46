// Asks running members who is in their cluster, for one that is to join it.
// Used at start, before there is a reactor: blocks the calling thread.
// Never mixes answers: of several the newest is believed.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/net/peer_link.h"
#include "server/peer/peer_hello.h"

namespace cairn::server::net {

struct Unanswered {
    PeerEndpoint peer;
    std::string cause;
    bool refused = false;  // nobody listens there
};

// All at once, for a few seconds at most, whatever name servers do. kConnection when none answers
// with members. `unanswered` gets those who did not.
Result<peer::HelloReply> ask_for_members(std::span<const PeerEndpoint> peers,
                                         std::vector<Unanswered>& unanswered);

}  // namespace cairn::server::net
