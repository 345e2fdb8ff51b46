// Call: one unary call under way, shared between its channel and its connection.
// On the I/O thread only.
#pragma once

#include <map>
#include <memory>

#include "client/channel.h"
#include "proto/wire/stream_event.h"

namespace cairn::client {

class Connection;
struct Call;
using CallPtr = std::shared_ptr<Call>;

struct Call {
    CallRequest request;
    CallDone done;
    bool finished = false;  // done was called

    std::weak_ptr<Connection> connection;  // once it was started on one
    wire::StreamId stream = 0;
    TimePoint started;  // there
    bool has_answer = false;
    Bytes answer;

    // Its place among the channel's deadlines; valid until finished.
    std::multimap<TimePoint, CallPtr>::iterator deadline;
};

}  // namespace cairn::client
