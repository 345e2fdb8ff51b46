#include "storage/schema.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "storage/coding.h"

namespace cairn::storage::schema {
namespace {

Error corrupt(const char* what) { return {Errc::kCorrupt, std::string("engine: bad ") + what}; }

void append_revision_descending(std::string& out, mvcc::Revision revision) {
    append_u64_be(out, ~static_cast<std::uint64_t>(revision.main));
    append_u32_be(out, ~revision.sub);
}

}  // namespace

void append_escaped(std::string& out, ByteView user_key) {
    for (std::size_t start = 0;;) {
        const std::size_t zero = user_key.find('\0', start);
        if (zero == ByteView::npos) {
            out += user_key.substr(start);
            break;
        }
        out += user_key.substr(start, zero + 1 - start);
        out.push_back('\xff');
        start = zero + 1;
    }
    out.push_back('\0');
    out.push_back('\1');
}

bool take_escaped(ByteView& in, std::string& user_key) {
    for (;;) {
        const std::size_t zero = in.find('\0');
        if (zero == ByteView::npos || zero + 1 == in.size()) {
            return false;
        }
        const char kind = in[zero + 1];
        user_key += in.substr(0, zero);
        in.remove_prefix(zero + 2);
        if (kind == '\1') {
            return true;
        }
        if (kind != '\xff') {
            return false;
        }
        user_key.push_back('\0');
    }
}

std::string history_prefix(ByteView user_key) {
    std::string key;
    key.reserve(user_key.size() + 14);
    append_escaped(key, user_key);
    return key;
}

std::string history_key(ByteView user_key, mvcc::Revision revision) {
    std::string key = history_prefix(user_key);
    append_revision_descending(key, revision);
    return key;
}

Result<mvcc::Revision> decode_history_revision(ByteView suffix) {
    std::uint64_t main = 0;
    std::uint32_t sub = 0;
    if (!take_u64_be(suffix, main) || !take_u32_be(suffix, sub) || !suffix.empty()) {
        return corrupt("history key");
    }
    return mvcc::Revision{static_cast<std::int64_t>(~main), ~sub};
}

Result<HistoryKey> decode_history_key(ByteView key) {
    HistoryKey decoded;
    if (!take_escaped(key, decoded.user_key)) {
        return corrupt("history key");
    }
    CAIRN_TRY(decoded.revision, decode_history_revision(key));
    return decoded;
}

std::string revlog_key(mvcc::Revision revision) {
    std::string key;
    append_u64_be(key, static_cast<std::uint64_t>(revision.main));
    append_u32_be(key, revision.sub);
    return key;
}

Result<mvcc::Revision> decode_revlog_key(ByteView key) {
    std::uint64_t main = 0;
    std::uint32_t sub = 0;
    if (!take_u64_be(key, main) || !take_u32_be(key, sub) || !key.empty()) {
        return corrupt("revlog key");
    }
    return mvcc::Revision{static_cast<std::int64_t>(main), sub};
}

std::string member_key(NodeId id) {
    std::string key;
    append_u64_be(key, id.value);
    return key;
}

std::string encode_applied(raft::EntryId applied) {
    std::string value;
    append_u64_be(value, applied.index.value);
    append_u64_be(value, applied.term.value);
    return value;
}

Result<raft::EntryId> decode_applied(ByteView value) {
    raft::EntryId applied;
    if (!take_u64_be(value, applied.index.value) || !take_u64_be(value, applied.term.value) ||
        !value.empty() || std::max(applied.index.value, applied.term.value) > 2 * kTermOrIndexMax) {
        return corrupt("applied index");
    }
    return applied;
}

std::string encode_i64(std::int64_t number) {
    std::string value;
    append_u64_be(value, static_cast<std::uint64_t>(number));
    return value;
}

Result<std::int64_t> decode_i64(ByteView value) {
    std::uint64_t number = 0;
    if (!take_u64_be(value, number) || !value.empty()) {
        return corrupt("number");
    }
    return static_cast<std::int64_t>(number);
}

Result<std::optional<std::uint32_t>> read_format(const EngineReader& reader) {
    CAIRN_TRY(const auto stamp, reader.get(ColumnFamily::kMeta, kMetaFormat));
    if (!stamp) {
        return std::optional<std::uint32_t>();
    }
    ByteView in(*stamp);
    std::uint32_t version = 0;
    if (!take_u32_be(in, version) || !in.empty()) {
        return corrupt("format stamp");
    }
    if (version != kFormatVersion && version != kFormatWithoutConf) {
        return Error(Errc::kUnsupportedVersion, "the data is of format " + std::to_string(version) +
                                                    ", this build knows " +
                                                    std::to_string(kFormatWithoutConf) + " and " +
                                                    std::to_string(kFormatVersion));
    }
    return std::optional(version);
}

void stamp_format(WriteBatch& batch) {
    std::string stamp;
    append_u32_be(stamp, kFormatVersion);
    batch.put(ColumnFamily::kMeta, std::string(kMetaFormat), std::move(stamp));
}

}  // namespace cairn::storage::schema
