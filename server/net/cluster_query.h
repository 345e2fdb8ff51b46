// Asks running members who is in their cluster, for one that is to join it.
// Used at start, before there is a reactor: blocks the calling thread.
// Never believes more than one answer: whoever answers first is asked no further.
#pragma once

#include <span>

#include "base/result.h"
#include "server/net/peer_link.h"
#include "server/peer/peer_hello.h"

namespace cairn::server::net {

// In turn, until one of them answers with members. kConnection when none does.
Result<peer::HelloReply> ask_for_members(std::span<const PeerEndpoint> peers);

}  // namespace cairn::server::net
