// Writes protobuf fields straight into a response buffer: no message objects for long answers.
// Pure functions; any thread. Field numbers are those of proto/etcd/*.proto.
// Like proto3 itself never writes a field that has its default value.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "storage/coding.h"

namespace cairn::storage::mvcc::wire {

inline void append_tag(std::string& out, std::uint32_t field, std::uint32_t type) {
    append_varint(out, (static_cast<std::uint64_t>(field) << 3U) | type);
}

inline void append_int(std::string& out, std::uint32_t field, std::int64_t value) {
    if (value != 0) {
        append_tag(out, field, 0);
        append_varint(out, static_cast<std::uint64_t>(value));
    }
}

inline void append_bytes(std::string& out, std::uint32_t field, ByteView value) {
    if (!value.empty()) {
        append_tag(out, field, 2);
        append_varint(out, value.size());
        out += value;
    }
}

// A message field, present even when the message is empty.
inline void append_message(std::string& out, std::uint32_t field, ByteView message) {
    append_tag(out, field, 2);
    append_varint(out, message.size());
    out += message;
}

inline std::size_t varint_bytes(std::uint64_t value) {
    std::size_t bytes = 1;
    for (; value >= 0x80U; value >>= 7U) {
        ++bytes;
    }
    return bytes;
}

// mvccpb.KeyValue as a plain record of views.
struct PairView {
    ByteView key;
    std::int64_t create{};
    std::int64_t mod{};
    std::int64_t version{};
    std::int64_t lease{};
    ByteView value;
};

inline std::size_t int_field_bytes(std::int64_t value) {
    return value == 0 ? 0 : 1 + varint_bytes(static_cast<std::uint64_t>(value));
}

inline std::size_t bytes_field_bytes(ByteView value) {
    return value.empty() ? 0 : 1 + varint_bytes(value.size()) + value.size();
}

inline void append_pair(std::string& out, std::uint32_t field, const PairView& pair) {
    append_tag(out, field, 2);
    append_varint(out, bytes_field_bytes(pair.key) + int_field_bytes(pair.create) +
                           int_field_bytes(pair.mod) + int_field_bytes(pair.version) +
                           bytes_field_bytes(pair.value) + int_field_bytes(pair.lease));
    append_bytes(out, 1, pair.key);
    append_int(out, 2, pair.create);
    append_int(out, 3, pair.mod);
    append_int(out, 4, pair.version);
    append_bytes(out, 5, pair.value);
    append_int(out, 6, pair.lease);
}

// A nested response's header: its revision alone (etcd: "inside a TxnResponse").
inline void append_header(std::string& out, std::int64_t revision) {
    std::string header;
    append_int(header, 3, revision);
    append_message(out, 1, header);
}

}  // namespace cairn::storage::mvcc::wire
