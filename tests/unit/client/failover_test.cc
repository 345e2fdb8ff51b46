// What the client makes of servers that hang, vanish, or are none.
#include <atomic>
#include <future>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "client/async.h"
#include "client/balancer.h"
#include "tests/unit/client/test_client.h"

namespace cairn::client {
namespace {

using boost::asio::ip::tcp;

constexpr std::chrono::milliseconds kDial{300};  // of client_for

// Listens, and accepts nothing: the kernel alone takes the first connections, as for a process that
// hangs. `full`: not even that, as for a machine that is off.
class DeafListener {
  public:
    explicit DeafListener(bool full) {
        acceptor_.open(tcp::v4());
        acceptor_.bind(tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
        acceptor_.listen(full ? 0 : 16);
        if (full) {
            filler_.connect(acceptor_.local_endpoint());
        }
    }

    [[nodiscard]] std::string endpoint() const {
        return fmt::format("127.0.0.1:{}", acceptor_.local_endpoint().port());
    }

    // So far; of one that is not full.
    [[nodiscard]] std::size_t dials() {
        acceptor_.non_blocking(true);
        boost::system::error_code none;
        for (tcp::socket one = acceptor_.accept(none); !none; one = acceptor_.accept(none)) {
            dialled_.push_back(std::move(one));
        }
        return dialled_.size();
    }

  private:
    boost::asio::io_context io_;
    tcp::acceptor acceptor_{io_};
    tcp::socket filler_{io_};
    std::vector<tcp::socket> dialled_;  // open, and nobody says anything
};

// Where nobody listens any more.
std::string nobody() {
    boost::asio::io_context io;
    const tcp::acceptor gone(io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
    return fmt::format("127.0.0.1:{}", gone.local_endpoint().port());
}

// Answers the first bytes of each connection with the same text, and keeps the connection open.
class TextServer {
  public:
    explicit TextServer(std::string text) : text_(std::move(text)), thread_([this] { serve(); }) {}
    ~TextServer() {
        stopping_ = true;
        tcp::socket last(io_);
        last.connect(acceptor_.local_endpoint());
        thread_.join();
    }
    TextServer(const TextServer&) = delete;
    TextServer& operator=(const TextServer&) = delete;

    [[nodiscard]] std::string endpoint() const {
        return fmt::format("127.0.0.1:{}", acceptor_.local_endpoint().port());
    }
    [[nodiscard]] std::size_t accepted() const { return accepted_; }
    // Reads the first connection until the client has closed it.
    void await_first_end() {
        std::vector<char> buffer(1U << 20U);
        boost::system::error_code error;
        while (!error) {
            sockets_.front().read_some(boost::asio::buffer(buffer), error);
        }
    }

  private:
    void serve() {
        while (true) {
            sockets_.push_back(acceptor_.accept());
            if (stopping_) {
                return;
            }
            ++accepted_;
            boost::asio::write(sockets_.back(), boost::asio::buffer(text_));
        }
    }

    const std::string text_;
    boost::asio::io_context io_;
    tcp::acceptor acceptor_{io_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)};
    std::vector<tcp::socket> sockets_;
    std::atomic<std::size_t> accepted_{0};
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

// A server's SETTINGS that allow streams of any length, and the same for the connection.
const std::string kOpenWindows(
    "\0\0\6\4\0\0\0\0\0\0\4\x7f\xff\xff\xff"
    "\0\0\4\x8\0\0\0\0\0\x7f\xff\0\0",
    15 + 13);

// Makes something happen on the I/O thread when the answer to the first call lies in its socket,
// not yet read.
struct Meeting {
    explicit Meeting(FakeReply first)
        : server([this, first = std::move(first)](const FakeRequest&) {
              if (++calls > 1) {
                  return FakeReply{};
              }
              asked.set_value();
              held.get_future().wait();
              return first;
          }) {}

    // After the first call was made.
    void arrange(IoThread& io, const std::function<void()>& action) {
        asked.get_future().wait();
        io.post([this, action, client = client_for({server.endpoint()})]() mutable {
            held.set_value();
            // The same thread answers this, so afterwards.
            later_answered = client.get("a").has_value();
            action();
        });
    }

    std::promise<void> asked;
    std::promise<void> held;
    std::atomic<int> calls{0};
    std::atomic<bool> later_answered{false};
    FakeServer server;  // last: its thread uses the others
};

}  // namespace

TEST_CASE("failover: an endpoint that takes no connection in time costs one dial",
          "[client][failover]") {
    const bool full = GENERATE(false, true);
    INFO(full);
    const DeafListener deaf(full);
    FakeServer good([](const FakeRequest&) { return FakeReply{}; });
    CHECK(client_for({deaf.endpoint(), good.endpoint()}).with_timeout(kDial * 5).put("a", "b"));
}

TEST_CASE("failover: alone, such an endpoint surely got no write", "[client][failover]") {
    const bool full = GENERATE(false, true);
    INFO(full);
    const DeafListener deaf(full);
    const auto put = client_for({deaf.endpoint()}).put("a", "b");
    REQUIRE_FALSE(put);
    CHECK(put.error() == Error{GrpcCode::kUnavailable,
                               "connection error: dial tcp " + deaf.endpoint() + ": i/o timeout",
                               false});
}

// Their time is too short for a dial, and the first alone may be spent on one.
TEST_CASE("failover: a machine that is off holds up no call as long as there is another",
          "[client][failover]") {
    DeafListener deaf(false);
    FakeServer good([](const FakeRequest&) { return FakeReply{}; });
    ClientOptions options = options_for({deaf.endpoint(), good.endpoint()});
    options.dial_timeout = std::chrono::milliseconds(900);
    options.request_timeout = std::chrono::milliseconds(600);
    Client client = *Client::connect(options);
    CHECK_FALSE(client.put("a", "b"));
    for (int i = 0; i < 1'000'000 && deaf.dials() < 3; ++i) {
        REQUIRE(client.put("a", "b"));
    }
    CHECK(deaf.dials() == 3);
}

TEST_CASE("failover: a call with hardly any time goes on to the next all the same",
          "[client][failover]") {
    FakeServer good([](const FakeRequest&) { return FakeReply{}; });
    bool done = false;
    for (int i = 0; i < 100 && !done; ++i) {
        Client client =
            client_for({nobody(), good.endpoint()}).with_timeout(std::chrono::milliseconds(20));
        done = client.put("a", "b").has_value();
    }
    CHECK(done);
}

TEST_CASE("failover: a call whose time is over is not sent", "[client][failover]") {
    std::atomic<int> asked{0};
    FakeServer server([&](const FakeRequest&) {
        ++asked;
        return FakeReply{};
    });
    const auto put =
        client_for({server.endpoint()}).with_timeout(std::chrono::nanoseconds(-1)).put("a", "b");
    REQUIRE_FALSE(put);
    CHECK(put.error() == Error{GrpcCode::kDeadlineExceeded, "context deadline exceeded", false});
    CHECK(asked == 0);
}

TEST_CASE("failover: a server that does not speak HTTP/2", "[client][failover]") {
    const TextServer other("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    FakeServer good([](const FakeRequest&) { return FakeReply{}; });
    CHECK(client_for({other.endpoint(), good.endpoint()}).put("a", "b"));

    const std::size_t before = other.accepted();
    const auto put = client_for({other.endpoint()}).put("a", "b");
    REQUIRE_FALSE(put);
    CHECK(put.error().code == GrpcCode::kUnavailable);
    CHECK_FALSE(put.error().maybe_applied);
    CHECK(other.accepted() - before <= 13);  // 25 ms apart
}

TEST_CASE("failover: a failed endpoint is tried by one call a second", "[client][failover]") {
    std::atomic<int> asked{0};
    FakeServer bad([&](const FakeRequest&) {
        ++asked;
        return unavailable("etcdserver: no leader");
    });
    FakeServer good([](const FakeRequest&) { return FakeReply{}; });
    Client client = client_for({bad.endpoint(), good.endpoint()});
    CHECK(client.get("a"));
    CHECK(asked == 1);
    while (asked < 2) {
        // Together: none of them waits for the answer to another.
        std::vector<std::future<Result<GetResponse>>> calls;
        for (int i = 0; i < 10; ++i) {
            calls.push_back(client.async_get("a", boost::asio::use_future));
        }
        for (std::future<Result<GetResponse>>& call : calls) {
            CHECK(call.get());
        }
    }
    CHECK(asked == 2);
}

TEST_CASE("failover: a connection that falls silent is replaced", "[client][failover]") {
    std::atomic<std::size_t> connection{0};
    FakeServer silent([&](const FakeRequest& request) {
        connection = request.connection;
        return silence();
    });
    Client client = client_for({silent.endpoint()}).with_timeout(kDial + kDial / 3);
    // The first may still hear the end of the handshake.
    for (int i = 0; i < 3 && connection < 2; ++i) {
        const auto put = client.put("a", "b");
        REQUIRE_FALSE(put);
        CHECK(put.error() == Error{GrpcCode::kDeadlineExceeded, "context deadline exceeded", true});
    }
    CHECK(connection == 2);
}

TEST_CASE("failover: also for calls shorter than a dial", "[client][failover]") {
    const TextServer silent(kOpenWindows);
    Client client = client_for({silent.endpoint()}).with_timeout(kDial / 3);
    for (int i = 0; i < 8 && silent.accepted() < 2; ++i) {
        CHECK(client.put("a", "b").error() ==
              Error{GrpcCode::kDeadlineExceeded, "context deadline exceeded", true});
    }
    CHECK(silent.accepted() == 2);
}

TEST_CASE("failover: a server is ready when it speaks HTTP/2, not at its first byte",
          "[client][failover]") {
    const TextServer mute(kOpenWindows.substr(0, 1));
    CHECK(client_for({mute.endpoint()}).put("a", "b").error() ==
          Error{GrpcCode::kUnavailable,
                "connection error: dial tcp " + mute.endpoint() + ": i/o timeout", false});
}

TEST_CASE("failover: a connection given up in the middle of a write is closed",
          "[client][failover]") {
    TextServer silent(kOpenWindows);
    Client client = client_for({silent.endpoint()}).with_timeout(kDial * 2);
    CHECK(client.put("a", std::string(64U << 20U, 'x')).error().maybe_applied);
    silent.await_first_end();
}

TEST_CASE("failover: a slow answer does not cost the connection", "[client][failover]") {
    std::atomic<std::size_t> connection{0};
    FakeServer server([&](const FakeRequest& request) {
        connection = request.connection;
        return silence();
    });
    Client client = client_for({server.endpoint()}).with_timeout(kDial / 3);
    for (int i = 0; i < 5; ++i) {
        CHECK_FALSE(client.get("a"));
    }
    CHECK(connection == 1);
}

TEST_CASE("failover: with a deadline that has passed nothing is sent", "[client][failover]") {
    std::atomic<int> asked{0};
    FakeServer server([&](const FakeRequest&) {
        ++asked;
        return FakeReply{};
    });
    Client client = client_for({server.endpoint()});
    CHECK(client.get("a"));
    const auto put = client.with_timeout(std::chrono::nanoseconds(1)).put("a", "b");
    REQUIRE_FALSE(put);
    CHECK(put.error() == Error{GrpcCode::kDeadlineExceeded, "context deadline exceeded", false});
    CHECK(client.get("a"));
    CHECK(asked == 2);
}

TEST_CASE("failover: a timeout beyond the end of the clock is none", "[client][failover]") {
    FakeServer server([](const FakeRequest& request) {
        return request.timeout_ns ? unavailable("a deadline") : FakeReply{};
    });
    const auto longest = std::chrono::nanoseconds::max();
    CHECK(client_for({server.endpoint()}).with_timeout(longest).put("a", "b"));
}

TEST_CASE("failover: a write whose stream is torn off is in doubt, whatever the reason",
          "[client][failover]") {
    FakeServer server([](const FakeRequest&) {
        FakeReply reply;
        reply.kind = FakeReply::Kind::kReset;
        reply.reset_code = wire::H2Code::kEnhanceYourCalm;
        return reply;
    });
    Client client = client_for({server.endpoint()});
    const auto put = client.put("a", "b");
    REQUIRE_FALSE(put);
    CHECK(put.error() == Error{GrpcCode::kResourceExhausted, "server asks for calm", true});
    CHECK(client.get("a").error() ==
          Error{GrpcCode::kResourceExhausted, "server asks for calm", false});
}

TEST_CASE("failover: a write whose answer is too large for the client is in doubt",
          "[client][failover]") {
    FakeServer server([](const FakeRequest&) {
        FakeReply reply;
        reply.message = std::string(100, 'x');
        return reply;
    });
    IoThread io;
    Balancer balancer(io, {*parse_endpoint(server.endpoint())}, {.answer_bytes_max = 99});
    const auto error_of_call = [&](wire::MethodId method, CallKind kind) {
        std::promise<Result<Bytes>> done;
        std::future<Result<Bytes>> result = done.get_future();
        balancer.call({.method = method, .kind = kind, .message = Bytes::copy_of("x")},
                      [&](Result<Bytes> answer) { done.set_value(std::move(answer)); });
        return result.get().error();
    };
    const std::string text = "grpc: received message larger than max (100 vs. 99)";
    CHECK(error_of_call(wire::MethodId::kKvPut, CallKind::kWrite) ==
          Error{GrpcCode::kResourceExhausted, text, true});
    CHECK(error_of_call(wire::MethodId::kKvRange, CallKind::kRead) ==
          Error{GrpcCode::kResourceExhausted, text, false});
}

TEST_CASE("failover: what the server did not say itself does not make it healthy",
          "[client][failover]") {
    std::atomic<int> asked{0};
    FakeServer bad([&](const FakeRequest&) {
        FakeReply reply = unavailable("etcdserver: no leader");
        if (++asked > 1) {
            reply.kind = FakeReply::Kind::kReset;
            reply.reset_code = wire::H2Code::kEnhanceYourCalm;
        }
        return reply;
    });
    FakeServer good([](const FakeRequest&) { return FakeReply{}; });
    Client client = client_for({bad.endpoint(), good.endpoint()});
    while (asked < 2) {
        [[maybe_unused]] const auto answer = client.get("a");
    }
    for (int i = 0; i < 4; ++i) {
        CHECK(client.get("a"));
    }
    CHECK(asked == 2);
}

TEST_CASE("failover: a call that meets a GOAWAY on its way surely was not sent",
          "[client][failover]") {
    FakeReply away;
    away.kind = FakeReply::Kind::kGoAway;
    Meeting meeting(away);
    std::promise<CallResult> done;
    std::future<CallResult> result = done.get_future();
    IoThread io;
    Channel channel(io, *parse_endpoint(meeting.server.endpoint()), {});
    const CallRequest put{wire::MethodId::kKvPut, Bytes::copy_of("x")};
    channel.call(put, [](const CallResult&) {});
    meeting.arrange(io, [&] {
        channel.call(put, [&](CallResult second) { done.set_value(std::move(second)); });
    });
    const std::future_status status = result.wait_for(std::chrono::seconds(5));
    REQUIRE(status == std::future_status::ready);
    CHECK(meeting.later_answered);
    const CallResult second = result.get();
    CHECK((second.status.is_ok() || !second.sent));
}

TEST_CASE("failover: a call cancelled just when its answer sends it elsewhere",
          "[client][failover]") {
    Meeting meeting(unavailable("etcdserver: no leader"));
    FakeServer other([](const FakeRequest&) { return silence(); });
    std::promise<Result<Bytes>> done;
    std::future<Result<Bytes>> result = done.get_future();
    IoThread io;
    Balancer balancer(
        io, {*parse_endpoint(meeting.server.endpoint()), *parse_endpoint(other.endpoint())}, {});
    const auto call =
        Balancer::prepare({.method = wire::MethodId::kKvRange,
                           .kind = CallKind::kRead,
                           .message = Bytes::copy_of("x")},
                          [&](Result<Bytes> answer) { done.set_value(std::move(answer)); });
    balancer.start(call);
    meeting.arrange(io, [&] { balancer.cancel(call); });
    const std::future_status status = result.wait_for(std::chrono::seconds(5));
    REQUIRE(status == std::future_status::ready);
    CHECK(meeting.later_answered);
    CHECK(result.get().error() == Error{GrpcCode::kCancelled, "context canceled", false});
}

}  // namespace cairn::client
