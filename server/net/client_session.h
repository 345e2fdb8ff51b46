// One gRPC connection of a client: bytes to calls, answers to bytes.
// Lives as long as its coroutines and the calls that name it; on the reactor's thread.
// Never decides what a request means: server/api does.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/bytes.h"
#include "proto/wire/h2_session.h"
#include "server/net/client_connection.h"
#include "server/net/node_ports.h"
#include "server/net/response_budget.h"
#include "server/net/snapshot_stream.h"
#include "server/net/stall_watch.h"
#include "server/net/task.h"
#include "server/net/waiting_calls.h"

namespace cairn::server::net {

class ClientSession : public ClientConnection,
                      public CallOwner,
                      public ResponseBudget::Waiter,
                      public SnapshotStream::Client,
                      public std::enable_shared_from_this<ClientSession> {
  public:
    // `first` is what was already read from the socket.
    static Result<std::shared_ptr<ClientSession>> create(boost::asio::ip::tcp::socket socket,
                                                         NodePorts& node, ByteView first);

    void start() override;
    void drain() override;
    void close() override;
    // About once a second, for the limits that are in time.
    void on_second(std::uint64_t now_ms) override;

    void on_completion(std::uint64_t token, const Completion& completion) override;
    void on_turn_end() override;
    void on_room() override;
    void on_snapshot_message(wire::StreamId stream, std::shared_ptr<HeldAnswer> message) override;
    void on_snapshot_end(wire::StreamId stream, wire::GrpcStatus status) override;

  private:
    using Clock = std::chrono::steady_clock;
    using Deadlines = std::multimap<Clock::time_point, wire::StreamId>;

    // One call from its headers to its trailers.
    struct Call {
        api::Call request;
        bool has_message = false;
        CallId waiting;  // for the replica; none when not
        // What to do once it may.
        std::variant<std::monostate, Read, Propose, SendSnapshot> work;
        ReadPool::Wanted wanted;           // of a read that the pool runs
        std::uint64_t claim{};             // what its answer is known to take at the least
        std::shared_ptr<const void> room;  // a write's: claimed until its answer is there
        std::optional<Clock::time_point> first_starved;
        std::optional<Deadlines::iterator> deadline;
    };

    ClientSession(boost::asio::ip::tcp::socket socket, NodePorts& node, wire::H2Session session,
                  ByteView first);

    static Task<> read_loop(std::shared_ptr<ClientSession> self);
    // Feeds the session and acts on what came; false when the connection has ended.
    bool feed(ByteView bytes);
    void act_on_events();

    void on_event(wire::RequestStarted& event);
    void on_event(wire::Message& event);
    void on_event(wire::RemoteClosed& event);
    void on_event(wire::StreamReset& event);
    void on_event(wire::GoAwayReceived& event);
    void on_event(wire::ResponseStarted& event);
    void on_event(wire::ResponseEnded& event);

    void dispatch(wire::StreamId stream, Call& call);
    // `what`: Read or SendSnapshot; may have to wait for the replica's grant.
    template <class What>
    void begin_read(wire::StreamId stream, Call& call, What what);
    void begin(wire::StreamId stream, Call& call, Propose propose);
    // The call's work, unless it must wait before.
    void run(wire::StreamId stream, Call& call);
    void run_point_read(wire::StreamId stream, Call& call);
    void run_read_elsewhere(wire::StreamId stream, Call& call);
    // A write whose answer may be long.
    void run_claimed_write(wire::StreamId stream, Call& call);
    void on_too_long_for_claim(wire::StreamId stream, Call& call);
    void begin_snapshot(wire::StreamId stream);
    void feed_snapshots();
    void look_after_snapshots();
    void run_held();
    void run_starved();
    [[nodiscard]] bool may_run() const;
    void on_read_done(wire::StreamId stream, const Result<void>& done,
                      std::shared_ptr<HeldAnswer> answer);
    void on_answer(wire::StreamId stream, Call& call, const Result<void>& done,
                   std::shared_ptr<HeldAnswer> answer);
    // Until there is room for its answer.
    void starve(wire::StreamId stream, Call& call);
    void refuse_long_starved();
    void finish(wire::StreamId stream, Call& call, api::Reply reply);
    // Behind the message, if there is one.
    void end_call(wire::StreamId stream, Call& call, wire::GrpcStatus status);
    void forget(wire::StreamId stream);
    void count_cancelled(const Call& call);
    // The call has ended, one way or the other: nobody waits for anything on its behalf.
    void release(wire::StreamId stream, Call& call);
    void let_go_of_pool(Call& call);
    void release_all();

    void arm_deadline();
    void on_deadline();
    void flush();
    void end_if_stalled();
    // All was said: the client is told, and what it still sends is taken for a while, lest it
    // lose what it has not read yet.
    void end_sending();
    void on_written(const boost::system::error_code& error, std::size_t count);

    boost::asio::ip::tcp::socket socket_;
    NodePorts& node_;
    wire::H2Session session_;
    boost::asio::steady_timer deadline_timer_;
    Deadlines deadlines_;
    Clock::time_point armed_for_ = Clock::time_point::max();  // what deadline_timer_ waits for
    std::unordered_map<wire::StreamId, Call> calls_;          // bounded by concurrent_streams_max
    std::map<wire::StreamId, std::shared_ptr<SnapshotStream>> snapshots_;  // their calls are in it
    WaitingCalls waiting_;
    std::size_t reads_elsewhere_ = 0;
    StallWatch stall_;
    std::vector<wire::StreamEvent> events_;
    std::array<char, 16U * 1024U> buffer_{};
    std::string first_;
    std::string output_;
    std::size_t written_ = 0;  // of output_, while writing_
    bool writing_ = false;
    bool read_ended_ = false;
    bool broken_ = false;  // no call goes on; what is left to say is why
    bool all_sent_ = false;
    Clock::time_point close_at_ = Clock::time_point::max();
    bool closed_ = false;
};

}  // namespace cairn::server::net
