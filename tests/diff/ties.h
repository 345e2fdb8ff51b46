// Ties: pairs that a sort finds equal. etcd sorts more than twelve pairs unstably and then cuts
// them off at the limit: so in which order ties stand, and which of them are left, is arbitrary.
// Pure functions; any thread. Must never hide a pair that etcd could not have answered.
#pragma once

#include <optional>

#include "diff/pair.h"
#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::diff {

// For a Range by itself whose limit cut an unstable sort: the Range that answers, unsorted, all
// that the limit chose from. Nothing for all other requests and answers.
std::optional<etcdserverpb::RangeRequest> request_for_candidates(const Message& request,
                                                                 const Answer& etcd);

// Puts ties in order, by key. Of those that the limit chose from, leaves what they have in common,
// in place of those
//   that are candidates, each once, in a Range by itself;
//   that the other server did not choose, in a transaction, whose state nobody can ask for again.
// True: it changed something.
bool settle_ties(Exchange& exchange);

}  // namespace cairn::diff
