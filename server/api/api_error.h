// How an Errc looks on the wire: gRPC code and text, those of etcd 3.5.30 wherever it has one.
// Constant data; any thread.
// Never shows a client what is inside: file names and the like stay in the log.
#pragma once

#include <string_view>

#include "base/error.h"
#include "proto/wire/grpc_status.h"

namespace cairn::server::api {

struct ApiError {
    wire::GrpcCode code = wire::GrpcCode::kUnknown;
    std::string_view text;  // static storage; clients match on it, to the byte
    // The error's detail is for the client and follows the text, which may be empty.
    bool with_detail = false;
};

// The wire form of `code`. Total: every Errc has one.
ApiError api_error(Errc code);

// The status a call ends with.
wire::GrpcStatus to_status(const Error& error);

}  // namespace cairn::server::api
