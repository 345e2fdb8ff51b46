// The alarms raised in the cluster, in the family kMeta.
// Functions over a reader and the overlay of an apply call; reads from any thread.
// Never raises anything by itself: alarms come and go by commands.
#pragma once

#include <vector>

#include "base/result.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "storage/engine.h"
#include "storage/mvcc/overlay.h"

namespace cairn::storage {

// Sorted by (member, type).
Result<std::vector<etcdserverpb::AlarmMember>> list_alarms(const EngineReader& reader);

// Lists, raises or lowers, and says in `response` which alarms that concerned (etcd: a list is of
// one type for all members; NONE lists every type; raising twice answers like once; lowering what
// is not raised answers nothing). kMalformedRequest for an unknown action.
Result<void> apply_alarm(mvcc::Overlay& overlay, const etcdserverpb::AlarmRequest& request,
                         etcdserverpb::AlarmResponse& response);

}  // namespace cairn::storage
