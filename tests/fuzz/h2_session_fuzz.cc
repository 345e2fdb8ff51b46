// Any bytes to either role of a session: an error or events, bounded memory, no crash.
// The first byte chooses role, size of pieces and whether the application answers.
#include "proto/wire/h2_session.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/assert.h"

namespace cairn::wire {
namespace {

constexpr std::size_t kPieceSizes[] = {1, 9, 100, 65'536};
constexpr std::size_t kCalls = 3;  // that the client has open when the bytes arrive

H2Limits small_limits() {
    H2Limits limits;
    limits.concurrent_streams_max = 20;
    limits.header_list_bytes_max = 4096;
    limits.message_bytes_max = 10'000;
    limits.partial_bytes_max = 30'000;
    limits.resets_max = 50;
    limits.idle_frames_max = 200;
    return limits;
}

void answer(H2Session& session, const std::vector<StreamEvent>& events, const H2Limits& limits) {
    for (const StreamEvent& event : events) {
        if (const Message* message = std::get_if<Message>(&event)) {
            CAIRN_ASSERT(message->payload.size() <= limits.message_bytes_max);
            session.send_message(message->stream, message->payload);
        } else if (const RemoteClosed* closed = std::get_if<RemoteClosed>(&event)) {
            session.send_trailers(closed->stream, {GrpcCode::kAborted, "done"});
        } else if (const RequestStarted* started = std::get_if<RequestStarted>(&event)) {
            CAIRN_ASSERT(started->full_path().size() <= limits.header_list_bytes_max);
        }
    }
}

void begin_calls(H2Session& session) {
    RequestOptions options;
    options.path = "/etcdserverpb.Watch/Watch";
    options.authority = "x";
    for (std::size_t i = 0; i < kCalls; ++i) {
        const Result<StreamId> id = session.start_request(options);
        CAIRN_ASSERT(id.has_value() && session.send_message(id.value(), ByteView("question")));
    }
}

void drive(ByteView input) {
    const auto choice = static_cast<std::uint8_t>(input.front());
    input.remove_prefix(1);
    const Role role = (choice & 1U) != 0 ? Role::kClient : Role::kServer;
    const bool answers = role == Role::kServer && (choice & 2U) != 0;
    const std::size_t piece_bytes = kPieceSizes[(choice >> 2U) & 3U];
    const H2Limits limits = small_limits();

    Result<H2Session> created = H2Session::create(role, limits);
    CAIRN_ASSERT(created.has_value());
    H2Session& session = created.value();
    if (role == Role::kClient) {
        begin_calls(session);
    }
    std::vector<StreamEvent> events;
    std::string out;
    bool alive = true;
    while (alive && !input.empty()) {
        const std::size_t count = std::min(piece_bytes, input.size());
        alive = session.feed(input.substr(0, count)).has_value();
        input.remove_prefix(count);
        session.take_events(events);
        if (answers) {
            answer(session, events, limits);
        }
        out.clear();
        session.take_output(out);
        CAIRN_ASSERT(session.open_streams() <= limits.concurrent_streams_max + kCalls);
        CAIRN_ASSERT(session.partial_bytes() <= limits.partial_bytes_max);
    }
    if (!alive) {
        CAIRN_ASSERT(!session.feed("more").has_value());
    }
    session.shutdown();
    out.clear();
    session.take_output(out);
}

}  // namespace
}  // namespace cairn::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 0) {
        cairn::wire::drive({reinterpret_cast<const char*>(data), size});
    }
    return 0;
}
