// Answer: all that a server said to a call, taken apart.
// Values and pure functions; any thread. Must never leave out what was on the wire.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "diff/channel.h"
#include "diff/step.h"
#include "proto/wire/grpc_status.h"

namespace cairn::diff {

// What the header of an answer should say of the server that gave it.
struct Identity {
    std::uint64_t cluster_id = 0;
    std::uint64_t member_id = 0;
    std::uint64_t raft_term = 0;
};

struct Answer {
    wire::GrpcCode code = wire::GrpcCode::kOk;
    std::string text{};                   // grpc-message, as it was sent
    std::shared_ptr<Message> response{};  // null when there was none
    // All else, in the order in which it came: the headers, whether there was a message and how it
    // was packed, the trailers, how the stream broke.
    std::string envelope{};
    Identity server{};

    [[nodiscard]] Answer copy() const;
};

// As `step` goes to the wire with this message.
RawCall raw_call(const Step& step, const std::string& message);
Answer answer_of(const Step& step, const RawAnswer& raw);

std::string describe(const Answer& answer);

}  // namespace cairn::diff
