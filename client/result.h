// client::Result: a value, or the Error that a call ended with; must be looked at.
// Plain values; any thread. Of its own, so that an embedder needs no Boost to read an answer.
// Reading the value of a failed result, or the error of a good one, aborts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "proto/wire/grpc_status.h"

namespace cairn::client {

using GrpcCode = wire::GrpcCode;

// How a call failed. `code` and `message` are the server's, or the client's own where no server
// spoke, or none that made sense (docs/client.md says which).
struct Error {
    GrpcCode code = GrpcCode::kUnknown;
    std::string message;
    // True when the request may have been applied all the same: it was sent, and no answer said
    // what became of it. Always false for reads.
    bool maybe_applied = false;

    bool operator==(const Error&) const = default;
};

struct Done {};

template <class T = Done>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
    Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }

    T& value() {
        CAIRN_ASSERT(has_value());
        return std::get<0>(state_);
    }
    [[nodiscard]] const T& value() const {
        CAIRN_ASSERT(has_value());
        return std::get<0>(state_);
    }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    T& operator*() { return value(); }
    const T& operator*() const { return value(); }

    [[nodiscard]] const Error& error() const {
        CAIRN_ASSERT(!has_value());
        return std::get<1>(state_);
    }

  private:
    std::variant<T, Error> state_;
};

}  // namespace cairn::client
