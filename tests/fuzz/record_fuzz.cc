// Whatever stands in the engine is refused or read; what is read survives the way back to bytes,
// and the order of keys is that of what they mean.

#include "storage/mvcc/record.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "storage/schema.h"

namespace cairn::storage {
namespace {

// Keys have one form each.
void check_keys(ByteView bytes) {
    if (const auto key = schema::decode_history_key(bytes); key.has_value()) {
        CAIRN_ASSERT(schema::history_key(key.value().user_key, key.value().revision) == bytes);
    }
    if (const auto revision = schema::decode_revlog_key(bytes); revision.has_value()) {
        CAIRN_ASSERT(schema::revlog_key(revision.value()) == bytes);
    }
    if (const auto applied = schema::decode_applied(bytes); applied.has_value()) {
        CAIRN_ASSERT(schema::encode_applied(applied.value()) == bytes);
    }
    if (const auto number = schema::decode_i64(bytes); number.has_value()) {
        CAIRN_ASSERT(schema::encode_i64(number.value()) == bytes);
    }
}

// A record's numbers may be written longer than need be: what is written again is the short form.
template <class Record>
void check_record(ByteView bytes, Result<Record> (*decode)(ByteView),
                  std::string (*encode)(const Record&)) {
    const auto record = decode(bytes);
    if (!record.has_value()) {
        return;
    }
    const std::string written = encode(record.value());
    CAIRN_ASSERT(written.size() <= bytes.size());
    const auto again = decode(written);
    CAIRN_ASSERT(again.has_value() && encode(again.value()) == written);
}

void check_order(ByteView bytes) {
    const ByteView left = bytes.substr(0, bytes.size() / 2);
    const ByteView right = bytes.substr(bytes.size() / 2);
    const std::string escaped_left = schema::history_prefix(left);
    const std::string escaped_right = schema::history_prefix(right);
    CAIRN_ASSERT((escaped_left <=> escaped_right) == (left <=> right));
    // The first of two keys ends itself.
    const std::string both = escaped_left + escaped_right;
    ByteView in(both);
    std::string first;
    std::string second;
    CAIRN_ASSERT(schema::take_escaped(in, first) && schema::take_escaped(in, second));
    CAIRN_ASSERT(in.empty() && first == left && second == right);
}

}  // namespace
}  // namespace cairn::storage

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cairn::storage;
    const cairn::ByteView bytes(reinterpret_cast<const char*>(data), size);
    check_keys(bytes);
    check_record(bytes, &mvcc::decode_key_record, &mvcc::encode_key_record);
    check_record(bytes, &mvcc::decode_history_record, &mvcc::encode_history_record);
    check_record(bytes, &mvcc::decode_revlog_record, &mvcc::encode_revlog_record);
    check_order(bytes);
    return 0;
}
