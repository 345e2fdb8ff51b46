// FakeServer: an HTTP/2 server on a loopback port whose answers a test writes.
// Owned by the test; the handler runs on the server's own thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proto/wire/h2_session.h"

namespace cairn::client {

// What a test does with one request: nothing at all, an answer, the end of the connection, or what
// a process does that was stopped: `stream`, and from then on not even an answer to a PING.
struct FakeReply {
    enum class Kind { kAnswer, kSilence, kReset, kClose, kGoAway, kFreeze };
    Kind kind = Kind::kAnswer;
    wire::GrpcStatus status;
    std::string message;                               // the serialized answer, when status is ok
    wire::H2Code reset_code = wire::H2Code::kNoError;  // for kReset
    std::vector<std::string> stream = {};              // instead of `message`, also before an error
};

struct FakeRequest {
    std::string path;
    std::string message;
    std::optional<std::int64_t> timeout_ns;
    std::size_t connection = 0;  // from 1, in the order of accepting
    bool native_snapshot = false;
};

class FakeServer {
  public:
    using Handler = std::function<FakeReply(const FakeRequest&)>;

    // Listens at once, on a free port.
    explicit FakeServer(Handler handler);
    ~FakeServer();
    FakeServer(const FakeServer&) = delete;
    FakeServer& operator=(const FakeServer&) = delete;

    [[nodiscard]] std::string endpoint() const;

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

// An address where nobody listens.
std::string dead_endpoint();

}  // namespace cairn::client
