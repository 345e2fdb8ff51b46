// write_answer: a read of the store into a HeldAnswer, which it asks for memory and whether it is
// still wanted. On whatever thread reads.
// Never leaves memory charged that the answer does not hold.
#pragma once

#include "server/api/read_answer.h"
#include "server/net/node_ports.h"
#include "server/net/response_budget.h"
#include "storage/mvcc/read_view.h"

namespace cairn::server::net {

// On the reactor's thread: as things are now.
api::ReadFacts read_facts(NodePorts& node, const Read& read);

Result<void> write_answer(const Read& read, const storage::mvcc::ReadView& view,
                          const api::ReadFacts& facts, HeldAnswer& answer);

}  // namespace cairn::server::net
