// The ResponseHeader in front of a reply: field 1 of every reply that has one, so that it can be
// written before a body that is already serialized.
// Pure functions; any thread. Never parses or re-serializes the body.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"

namespace cairn::server::api {

// Who answers.
struct Identity {
    ClusterId cluster;
    NodeId member;
};

struct HeaderFields {
    Identity identity;
    std::int64_t revision{};  // 0 leaves it out, as replies about members do
    Term term;                // this member's raft term
};

// Appends the header field to an empty reply; the rest of the message follows behind it.
void append_header(const HeaderFields& fields, std::string& reply);

// The reply: the header field, then `body`. One allocation.
Bytes with_header(const HeaderFields& fields, ByteView body);

}  // namespace cairn::server::api
