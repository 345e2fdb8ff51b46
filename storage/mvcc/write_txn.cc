#include "storage/mvcc/write_txn.h"

#include <optional>
#include <utility>

#include "base/mutant.h"
#include "storage/mvcc/key_scan.h"
#include "storage/mvcc/wire.h"
#include "storage/schema.h"

namespace cairn::storage::mvcc {
namespace {

constexpr std::uint32_t kPutPrevKv = 2;
constexpr std::uint32_t kDeleteCount = 2;
constexpr std::uint32_t kDeletePrevKvs = 3;

void append_kv(std::string& body, std::uint32_t field, const KeyValue& kv) {
    wire::append_pair(body, field,
                      {kv.key.view(), kv.create_revision, kv.mod_revision, kv.version, kv.lease,
                       kv.value.view()});
}

}  // namespace

Result<WriteTxn::Previous> WriteTxn::find(const Bytes& key) const {
    Previous previous;
    CAIRN_TRY(const auto bytes, overlay_.get(ColumnFamily::kKeys, key.view()));
    if (!bytes) {
        return previous;
    }
    CAIRN_TRY(const KeyRecord record, decode_key_record(*bytes));
    if (record.newest.tombstone) {
        return previous;
    }
    previous.mod = record.mod;
    previous.in_latest = !record.value_inline;
    previous.kv = {key,
                   Bytes(),
                   record.newest.create,
                   record.mod.main,
                   record.newest.version,
                   record.newest.lease};
    if (record.value_inline) {
        previous.kv.value = Bytes::copy_of(record.newest.value);
        return previous;
    }
    CAIRN_TRY(const auto value, overlay_.get(ColumnFamily::kLatest, key.view()));
    if (!value) {
        return Error(Errc::kCorrupt, "engine: a key without its value");
    }
    previous.kv.value = Bytes::copy_of(*value);
    return previous;
}

Result<void> WriteTxn::put(const etcdserverpb::PutRequest& request, std::string& body) {
    if (request.lease() != 0) {
        return Errc::kLeaseNotFound;
    }
    const Bytes key = Bytes::copy_of(request.key());
    CAIRN_TRY(Previous previous, find(key));
    const bool existed = previous.kv.version != 0;
    if ((request.ignore_value() || request.ignore_lease()) && !existed) {
        return Errc::kKeyNotFound;
    }
    if (request.prev_kv() && existed) {
        append_kv(body, kPutPrevKv, previous.kv);
    }
    KeyValue kv;
    kv.key = key;
    kv.value = request.ignore_value() ? previous.kv.value : Bytes::copy_of(request.value());
    kv.lease = request.ignore_lease() ? previous.kv.lease : 0;
    kv.mod_revision = next_revision().main;
    kv.create_revision = existed ? previous.kv.create_revision : kv.mod_revision;
    kv.version = CAIRN_MUTANT(kv_version_kept) && request.ignore_value() ? previous.kv.version
                                                                         : previous.kv.version + 1;
    kept_bytes_ += previous.kv.value.size();
    write_put(std::move(kv), std::move(previous));
    return ok();
}

void WriteTxn::write_put(KeyValue kv, Previous previous) {
    const Revision revision = next_revision();
    const ByteView key = kv.key.view();
    KeyRecord record;
    record.mod = revision;
    record.value_inline = kv.value.size() <= kInlineValueBytesMax;
    record.newest = {false, kv.create_revision, kv.version, kv.lease, kv.value.view()};
    overlay_.put(ColumnFamily::kKeys, std::string(key), encode_key_record(record));
    if (!record.value_inline) {
        overlay_.put(ColumnFamily::kLatest, std::string(key), std::string(kv.value.view()));
    } else if (previous.in_latest) {
        overlay_.remove(ColumnFamily::kLatest, std::string(key));
    }
    overlay_.put(ColumnFamily::kHistory, schema::history_key(key, revision),
                 encode_history_record(record.newest));
    overlay_.put(ColumnFamily::kRevlog, schema::revlog_key(revision),
                 encode_revlog_record({EventKind::kPut, previous.mod, key}));
    events_.push_back({EventKind::kPut, std::move(kv), std::move(previous.kv)});
}

void WriteTxn::write_tombstone(Previous previous) {
    const Revision revision = next_revision();
    const ByteView key = previous.kv.key.view();
    KeyRecord record;
    record.mod = revision;
    record.newest.tombstone = true;
    overlay_.put(ColumnFamily::kKeys, std::string(key), encode_key_record(record));
    if (previous.in_latest) {
        overlay_.remove(ColumnFamily::kLatest, std::string(key));
    }
    overlay_.put(ColumnFamily::kHistory, schema::history_key(key, revision),
                 encode_history_record(record.newest));
    overlay_.put(ColumnFamily::kRevlog, schema::revlog_key(revision),
                 encode_revlog_record({EventKind::kDelete, previous.mod, key}));
    KeyValue gone;
    gone.key = previous.kv.key;
    gone.mod_revision = revision.main;
    events_.push_back(
        {EventKind::kDelete, std::move(gone), std::move(previous.kv), previous.value_left_out});
}

Result<void> WriteTxn::delete_range(const etcdserverpb::DeleteRangeRequest& request,
                                    std::string& body) {
    // Collected first: a scan must not see the tombstones it causes.
    std::vector<Previous> doomed;
    std::uint64_t answer_bytes = 0;
    KeyScan scan(overlay_, interval_of(request.key(), request.range_end()), bounds().revision);
    for (;;) {
        CAIRN_TRY(const bool found, scan.next());
        if (!found) {
            break;
        }
        const LiveKey& at = scan.at();
        Previous previous;
        previous.mod = at.mod;
        previous.in_latest = at.in_latest;
        previous.kv = {
            Bytes::copy_of(at.key), Bytes(), at.create, at.mod.main, at.version, at.lease};
        previous.value_left_out = !request.prev_kv() && !may_keep();
        if (!previous.value_left_out) {
            CAIRN_TRY(const ByteView value, scan.value());
            previous.kv.value = Bytes::copy_of(value);
            kept_bytes_ += value.size();
        }
        if (request.prev_kv()) {
            answer_bytes += at.key.size() + previous.kv.value.size();
            if (answer_bytes > bounds_.answer_bytes_max) {
                return Errc::kMessageTooLarge;
            }
        }
        doomed.push_back(std::move(previous));
    }
    wire::append_int(
        body, kDeleteCount,
        static_cast<std::int64_t>(CAIRN_MUTANT(kv_delete_counts_one) ? 1 : doomed.size()));
    for (Previous& previous : doomed) {
        if (request.prev_kv()) {
            append_kv(body, kDeletePrevKvs, previous.kv);
        }
        write_tombstone(std::move(previous));
    }
    return ok();
}

std::shared_ptr<const EventBatch> WriteTxn::take_events() {
    if (events_.empty()) {
        return nullptr;
    }
    auto batch = std::make_shared<EventBatch>();
    batch->revision = bounds_.revision + 1;
    batch->events = std::move(events_);
    events_.clear();
    return batch;
}

}  // namespace cairn::storage::mvcc
