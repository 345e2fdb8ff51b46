// Connection: one TCP connection with one HTTP/2 session on it, from dialling to its end.
// On the I/O thread only; kept alive by its own coroutines until the socket is closed.
// Must never open a second socket, nor know of deadlines: its channel does.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "client/net/call.h"
#include "client/net/task.h"
#include "proto/wire/h2_session.h"

namespace cairn::client {

// What a connection tells its channel. Called on the I/O thread, never after close().
struct ConnectionHooks {
    // The server has spoken HTTP/2: one whose process hangs takes connections all the same.
    std::function<void()> on_ready;
    // No more calls can be started here; those started go on.
    std::function<void()> on_draining;
    // It is over; every call started on it was given out before. `why` is for people.
    std::function<void(const std::string& why)> on_closed;
    std::function<void(const CallPtr& call, CallResult result)> on_result;
};

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(boost::asio::io_context& io, Endpoint endpoint, const ChannelOptions& options,
               ConnectionHooks hooks);

    // Begins to dial; once.
    void open();
    // After on_ready. False: it takes no new calls; the call is as before.
    bool start(const CallPtr& call);
    // Ends the call's stream; no result follows.
    void cancel(const Call& call);
    // Lets the server send as much more as has come of this call's stream.
    void credit(const Call& call);
    // Takes no new calls, and closes when those under way have ended: now, when there are none.
    void drain();
    // After a call without an answer: pings the server, at most once in five seconds. When nothing
    // at all comes for `dial_timeout` the connection drains, and says so.
    void ask_for_life();
    // Whether the server has said nothing at all since this call was started here.
    [[nodiscard]] bool silent_since(const Call& call) const { return heard_at_ < call.started; }
    // Closes the socket; no hook is called any more, and calls are forgotten.
    void close();

  private:
    static Task<> run(std::shared_ptr<Connection> self);
    static Task<> watch_dial(std::shared_ptr<Connection> self);
    static Task<> watch_silence(std::shared_ptr<Connection> self);
    // As long as there are calls whose answers are streams, for these have no end in time.
    static Task<> watch_streams(std::shared_ptr<Connection> self);
    static Task<> write_all(std::shared_ptr<Connection> self);
    // One address of the endpoint, for as long as its share of the time is.
    static Task<boost::system::error_code> reach(std::shared_ptr<Connection> self,
                                                 boost::asio::ip::tcp::endpoint endpoint,
                                                 std::chrono::nanoseconds share);
    static Task<bool> dial(std::shared_ptr<Connection> self);
    static Task<> read_all(std::shared_ptr<Connection> self);

    bool begin_session();
    void wake_writer();
    void ping();
    [[nodiscard]] bool has_streams() const;
    void take_events();
    void on_event(wire::StreamEvent& event);
    void on_message(wire::Message& message);
    // Nothing is left to write.
    void on_written();
    void end_if_drained();
    // Gives the call out, with the answer it has.
    void end_call(wire::StreamId stream, CallResult result);
    // The end by error: gives out every call, then on_closed.
    void fail(const std::string& why);

    const Endpoint endpoint_;
    const ChannelOptions options_;
    const std::string authority_;
    ConnectionHooks hooks_;

    boost::asio::ip::tcp::socket socket_;
    boost::asio::steady_timer dial_timer_;    // until ready, then of ask_for_life
    boost::asio::steady_timer stream_timer_;  // of watch_streams
    boost::asio::steady_timer writer_wake_;   // the writer sleeps on it; cancelling wakes it

    std::optional<wire::H2Session> session_;
    std::unordered_map<wire::StreamId, CallPtr> calls_;
    std::vector<wire::StreamEvent> events_;
    std::string dial_error_;
    std::array<char, 64 * 1024> input_;
    TimePoint heard_at_;  // when the latest bytes came
    TimePoint asked_at_;  // when the latest ping left
    bool ready_ = false;  // on_ready was called
    bool closed_ = false;
    bool draining_ = false;
    bool watching_streams_ = false;
};

}  // namespace cairn::client
