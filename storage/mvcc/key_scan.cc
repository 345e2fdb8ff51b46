#include "storage/mvcc/key_scan.h"

#include <limits>

#include "base/assert.h"
#include "storage/schema.h"

namespace cairn::storage::mvcc {
namespace {

// How far the walk of kLatest follows step by step before it seeks.
constexpr int kStepsMax = 4;

}  // namespace

bool Interval::contains(ByteView other) const {
    if (single) {
        return other == key;
    }
    return other >= key && (open || other < end);
}

Interval interval_of(ByteView key, ByteView range_end) {
    Interval interval;
    interval.key = key;
    interval.single = range_end.empty();
    interval.open = range_end == ByteView("\0", 1);
    interval.end = range_end;
    return interval;
}

KeyScan::KeyScan(const EngineReader& reader, const Interval& interval, std::int64_t revision,
                 ReadGuard* guard)
    : reader_(reader), interval_(interval), revision_(revision), guard_(guard) {}

Result<bool> KeyScan::next() {
    if (interval_.single) {
        return next_single();
    }
    if (interval_.empty()) {
        return false;
    }
    if (!started_) {
        started_ = true;
        keys_ = reader_.iterate(ColumnFamily::kKeys, interval_.key,
                                interval_.open ? ByteView() : interval_.end);
    } else {
        keys_->next();
    }
    for (; keys_->valid(); keys_->next()) {
        if (guard_ != nullptr && ++walked_ % kKeysPerLook == 0) {
            CAIRN_TRY(guard_->go_on());
        }
        CAIRN_TRY(const KeyRecord record, decode_key_record(keys_->value()));
        CAIRN_TRY(const bool alive, look(keys_->key(), record));
        if (alive) {
            return true;
        }
    }
    CAIRN_TRY(keys_->status());
    return false;
}

Result<bool> KeyScan::next_single() {
    if (started_) {
        return false;
    }
    started_ = true;
    CAIRN_TRY(auto bytes, reader_.get(ColumnFamily::kKeys, interval_.key));
    if (!bytes) {
        return false;
    }
    record_ = std::move(*bytes);
    CAIRN_TRY(const KeyRecord record, decode_key_record(record_));
    return look(interval_.key, record);
}

Result<bool> KeyScan::look(ByteView key, const KeyRecord& record) {
    if (record.mod.main > revision_) {
        return look_in_history(key);
    }
    if (record.newest.tombstone) {
        return false;
    }
    show(key, record.mod, record.newest);
    if (!record.value_inline) {
        at_.in_latest = true;
        value_.reset();
    }
    return true;
}

Result<bool> KeyScan::look_in_history(ByteView key) {
    if (history_ == nullptr) {
        // Ends where the interval ends, so that the engine never steps over foreign tombstones.
        std::string upper;
        if (interval_.single) {
            upper = schema::history_prefix(key);
            upper.back() = '\2';
        } else if (!interval_.open) {
            upper = schema::history_prefix(interval_.end);
        }
        history_ =
            reader_.iterate(ColumnFamily::kHistory, schema::history_prefix(interval_.key), upper);
    }
    const std::size_t prefix_size = schema::history_prefix(key).size();
    const std::string wanted =
        schema::history_key(key, {revision_, std::numeric_limits<std::uint32_t>::max()});
    history_->seek(wanted);
    if (!history_->valid()) {
        CAIRN_TRY(history_->status());
        return false;
    }
    if (!history_->key().starts_with(ByteView(wanted).substr(0, prefix_size))) {
        return false;
    }
    CAIRN_TRY(const Revision revision,
              schema::decode_history_revision(history_->key().substr(prefix_size)));
    CAIRN_TRY(const Version version, decode_history_record(history_->value()));
    if (version.tombstone) {
        return false;
    }
    show(key, revision, version);
    return true;
}

void KeyScan::show(ByteView key, Revision mod, const Version& version) {
    at_ = {key, version.create, mod, version.version, version.lease, false};
    value_ = version.value;
}

Result<ByteView> KeyScan::value() {
    if (value_) {
        return *value_;
    }
    if (interval_.single) {
        CAIRN_TRY(auto bytes, reader_.get(ColumnFamily::kLatest, at_.key));
        if (!bytes) {
            return Error(Errc::kCorrupt, "engine: a key without its value");
        }
        latest_value_ = std::move(*bytes);
        value_ = latest_value_;
        return *value_;
    }
    if (latest_ == nullptr) {
        latest_ = reader_.iterate(ColumnFamily::kLatest, at_.key,
                                  interval_.open ? ByteView() : interval_.end);
    }
    for (int steps = 0; steps < kStepsMax && latest_->valid() && latest_->key() < at_.key;
         ++steps) {
        latest_->next();
    }
    if (latest_->valid() && latest_->key() < at_.key) {
        latest_->seek(at_.key);
    }
    if (!latest_->valid() || latest_->key() != at_.key) {
        CAIRN_TRY(latest_->status());
        return Error(Errc::kCorrupt, "engine: a key without its value");
    }
    value_ = latest_->value();
    return *value_;
}

}  // namespace cairn::storage::mvcc
