#include "storage/mvcc/record.h"

#include "storage/coding.h"

namespace cairn::storage::mvcc {
namespace {

// The first byte of a key or history record.
constexpr unsigned kFlagTombstone = 1;
constexpr unsigned kFlagInline = 2;

Error corrupt(const char* what) { return {Errc::kCorrupt, std::string("engine: bad ") + what}; }

bool take_flags(ByteView& in, unsigned known, unsigned& flags) {
    if (in.empty()) {
        return false;
    }
    flags = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    return (flags & ~known) == 0;
}

bool take_i64(ByteView& in, std::int64_t& value) {
    std::uint64_t bits = 0;
    if (!take_varint(in, bits)) {
        return false;
    }
    value = static_cast<std::int64_t>(bits);
    return true;
}

bool take_revision(ByteView& in, Revision& revision) {
    std::uint64_t sub = 0;
    if (!take_i64(in, revision.main) || !take_varint(in, sub) || sub > UINT32_MAX) {
        return false;
    }
    revision.sub = static_cast<std::uint32_t>(sub);
    return true;
}

void append_revision(std::string& out, Revision revision) {
    append_varint(out, static_cast<std::uint64_t>(revision.main));
    append_varint(out, revision.sub);
}

void append_attributes(std::string& out, const Version& version) {
    append_varint(out, static_cast<std::uint64_t>(version.create));
    append_varint(out, static_cast<std::uint64_t>(version.version));
    append_varint(out, static_cast<std::uint64_t>(version.lease));
}

bool take_attributes(ByteView& in, Version& version) {
    return take_i64(in, version.create) && take_i64(in, version.version) &&
           take_i64(in, version.lease);
}

}  // namespace

std::string encode_key_record(const KeyRecord& record) {
    std::string out;
    out.reserve(24 + (record.value_inline ? record.newest.value.size() : 0));
    const unsigned flags =
        (record.newest.tombstone ? kFlagTombstone : 0U) | (record.value_inline ? kFlagInline : 0U);
    out.push_back(static_cast<char>(flags));
    append_revision(out, record.mod);
    if (record.newest.tombstone) {
        return out;
    }
    append_attributes(out, record.newest);
    if (record.value_inline) {
        out += record.newest.value;
    }
    return out;
}

Result<KeyRecord> decode_key_record(ByteView bytes) {
    KeyRecord record;
    unsigned flags = 0;
    if (!take_flags(bytes, kFlagTombstone | kFlagInline, flags) ||
        !take_revision(bytes, record.mod)) {
        return corrupt("key record");
    }
    record.newest.tombstone = (flags & kFlagTombstone) != 0;
    record.value_inline = (flags & kFlagInline) != 0;
    if (!record.newest.tombstone && !take_attributes(bytes, record.newest)) {
        return corrupt("key record");
    }
    if (!bytes.empty() && !record.value_inline) {
        return corrupt("key record");
    }
    record.newest.value = bytes;
    return record;
}

std::string encode_history_record(const Version& version) {
    std::string out;
    if (version.tombstone) {
        out.push_back(static_cast<char>(kFlagTombstone));
        return out;
    }
    out.reserve(16 + version.value.size());
    out.push_back('\0');
    append_attributes(out, version);
    out += version.value;
    return out;
}

Result<Version> decode_history_record(ByteView bytes) {
    Version version;
    unsigned flags = 0;
    if (!take_flags(bytes, kFlagTombstone, flags)) {
        return corrupt("history record");
    }
    version.tombstone = flags != 0;
    if (version.tombstone ? !bytes.empty() : !take_attributes(bytes, version)) {
        return corrupt("history record");
    }
    version.value = bytes;
    return version;
}

std::string encode_revlog_record(const RevlogRecord& record) {
    std::string out;
    out.reserve(12 + record.key.size());
    out.push_back(record.kind == EventKind::kDelete ? '\1' : '\0');
    append_revision(out, record.replaced);
    out += record.key;
    return out;
}

Result<RevlogRecord> decode_revlog_record(ByteView bytes) {
    RevlogRecord record;
    unsigned kind = 0;
    if (!take_flags(bytes, 1, kind) || !take_revision(bytes, record.replaced)) {
        return corrupt("revlog record");
    }
    record.kind = kind == 1 ? EventKind::kDelete : EventKind::kPut;
    record.key = bytes;
    return record;
}

}  // namespace cairn::storage::mvcc
