#include "storage/mvcc/garbage.h"

#include <utility>

#include "base/mutant.h"
#include "base/probe.h"
#include "storage/coding.h"
#include "storage/schema.h"

namespace cairn::storage::mvcc {

std::string Collector::encode(const State& state) {
    std::string out;
    append_u64_be(out, static_cast<std::uint64_t>(state.done));
    append_u64_be(out, static_cast<std::uint64_t>(state.target));
    out += schema::revlog_key(state.cursor);
    return out;
}

Result<Collector::State> Collector::decode(ByteView bytes) {
    State state;
    std::uint64_t done = 0;
    std::uint64_t target = 0;
    if (!take_u64_be(bytes, done) || !take_u64_be(bytes, target)) {
        return Error(Errc::kCorrupt, "engine: bad collector state");
    }
    state.done = static_cast<std::int64_t>(done);
    state.target = static_cast<std::int64_t>(target);
    CAIRN_TRY(state.cursor, schema::decode_revlog_key(bytes));
    return state;
}

Result<Collector> Collector::open(const EngineReader& reader) {
    Collector collector;
    CAIRN_TRY(const auto bytes, reader.get(ColumnFamily::kMeta, schema::kMetaCollector));
    if (bytes) {
        CAIRN_TRY(collector.state_, decode(*bytes));
    }
    return collector;
}

Result<void> Collector::step(KvEngine& engine, std::int64_t compacted, std::uint64_t budget) {
    if (!has_work(compacted) || budget == 0) {
        return ok();
    }
    State next = state_;
    if (next.target == next.done) {
        next.target = compacted;
        next.cursor = {next.done, 0};
    }
    WriteBatch batch;
    // collect() judges by the walk this step belongs to.
    state_ = next;
    auto it = engine.iterate(ColumnFamily::kRevlog, schema::revlog_key(next.cursor),
                             schema::revlog_key({next.target + 1, 0}));
    for (; it->valid() && budget > 0; it->next(), --budget) {
        CAIRN_TRY(const Revision at, schema::decode_revlog_key(it->key()));
        CAIRN_TRY(const RevlogRecord change, decode_revlog_record(it->value()));
        CAIRN_TRY(collect(engine, at, change, batch));
        next.cursor = {at.main, at.sub + 1};
    }
    CAIRN_TRY(it->status());
    if (!it->valid()) {
        next.done = next.target;
    }
    batch.put(ColumnFamily::kMeta, std::string(schema::kMetaCollector), encode(next));
    CAIRN_TRY(engine.write(batch));
    state_ = next;
    return ok();
}

Result<void> Collector::collect(const EngineReader& reader, Revision at, const RevlogRecord& change,
                                WriteBatch& batch) const {
    if (change.replaced.main != 0) {
        const bool went_before = at.main == state_.done && change.replaced.main != state_.done;
        const bool stays =
            change.replaced.main == state_.target && !CAIRN_MUTANT(version_at_compaction_lost);
        if (went_before || stays) {
            CAIRN_PROBE("garbage.version_stays");
        }
        if (!went_before && !stays) {
            batch.single_delete(ColumnFamily::kHistory,
                                schema::history_key(change.key, change.replaced));
        }
    }
    if (at.main >= state_.target + (CAIRN_MUTANT(delete_at_compaction_lost) ? 1 : 0)) {
        return ok();
    }
    batch.single_delete(ColumnFamily::kRevlog, schema::revlog_key(at));
    if (change.kind != EventKind::kDelete) {
        return ok();
    }
    batch.single_delete(ColumnFamily::kHistory, schema::history_key(change.key, at));
    CAIRN_TRY(const auto stub, reader.get(ColumnFamily::kKeys, change.key));
    if (!stub) {
        CAIRN_PROBE("garbage.stub_gone_before");
        return ok();
    }
    CAIRN_TRY(const KeyRecord record, decode_key_record(*stub));
    if (record.newest.tombstone && (record.mod == at || CAIRN_MUTANT(newer_tombstone_dropped))) {
        batch.remove(ColumnFamily::kKeys, std::string(change.key));
    }
    return ok();
}

}  // namespace cairn::storage::mvcc
