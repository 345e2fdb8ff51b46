#include "storage/snapshot_status.h"

#include <algorithm>
#include <memory>

#include "proto/etcd/rpc_kv.pb.h"
#include "storage/mvcc/read_view.h"
#include "storage/schema.h"
#include "storage/state_machine.h"

namespace cairn::storage {
namespace {

Result<mvcc::ReadView> view_of(std::shared_ptr<const EngineReader> reader) {
    CAIRN_TRY(const AppliedState state, read_applied_state(*reader));
    std::int64_t compacted = 0;
    CAIRN_TRY(const auto stored, reader->get(ColumnFamily::kMeta, schema::kMetaCompacted));
    if (stored) {
        CAIRN_TRY(compacted, schema::decode_i64(*stored));
    }
    return mvcc::ReadView(std::move(reader), state.applied, state.revision,
                          std::max<std::int64_t>(compacted, 0), nullptr);
}

Result<std::int64_t> count_keys(const mvcc::ReadView& view) {
    etcdserverpb::RangeRequest request;
    request.set_key(std::string(1, '\0'));
    request.set_range_end(std::string(1, '\0'));
    request.set_count_only(true);
    std::string body;
    CAIRN_TRY(view.range(request, body));
    etcdserverpb::RangeResponse response;
    if (!response.ParseFromString(body)) {
        return Error(Errc::kInternal, "the count of keys does not parse");
    }
    return response.count();
}

}  // namespace

Result<SnapshotFacts> read_snapshot_facts(EngineKind& kind, const std::string& dir) {
    CAIRN_TRY(auto reader, kind.open_to_read(dir));
    CAIRN_TRY(const mvcc::ReadView view, view_of(std::move(reader)));
    SnapshotFacts facts;
    CAIRN_TRY(const auto hash, view.hash_kv(0));
    facts.hash = hash.hash;
    facts.revision = view.revision();
    CAIRN_TRY(facts.keys, count_keys(view));
    return facts;
}

}  // namespace cairn::storage
