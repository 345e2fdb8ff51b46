// HTTP/1.1 on the client port: /health, /livez, /readyz, /version, /metrics.
// Lives as long as its coroutine; on the reactor's thread.
// Never keeps a body: none of these needs one. Never waits long for a request that has begun.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "server/net/client_connection.h"
#include "server/net/http_pages.h"
#include "server/net/node_ports.h"
#include "server/net/task.h"

namespace cairn::server::net {

class Http1Session : public ClientConnection, public std::enable_shared_from_this<Http1Session> {
  public:
    // `first` is what was already read from the socket.
    Http1Session(boost::asio::ip::tcp::socket socket, NodePorts& node, ByteView first);

    void start() override;
    void drain() override;
    void close() override;
    void on_second(std::uint64_t) override {}

    using Alarms = Result<std::vector<etcdserverpb::AlarmMember>>;

  private:
    using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
    using Request = boost::beast::http::request<boost::beast::http::buffer_body>;

    static Task<> run(std::shared_ptr<Http1Session> self);
    // One request; false when the connection must end.
    static Task<bool> serve_one(std::shared_ptr<Http1Session> self);
    static Task<> linger(std::shared_ptr<Http1Session> self);
    static Task<bool> drop_body(std::shared_ptr<Http1Session> self);
    bool drop_chunks();
    // False when the connection must end.
    static Task<bool> send(std::shared_ptr<Http1Session> self, HttpReply reply, unsigned version,
                           bool keep);
    static Task<HttpReply> answer(std::shared_ptr<Http1Session> self, HttpTarget target);
    static Task<HttpReply> health(std::shared_ptr<Http1Session> self, HttpTarget target);
    static Task<HttpReply> checks(std::shared_ptr<Http1Session> self, HttpTarget target);
    // The failure of one check, nothing when it passed.
    static Task<std::optional<std::string>> check(std::shared_ptr<Http1Session> self,
                                                  std::string name);
    // Waits for the replica's grant; the failure, if any.
    static Task<std::optional<std::string>> linearizable_read(std::shared_ptr<Http1Session> self);
    [[nodiscard]] std::optional<std::string> serializable_read() const;
    static Task<Alarms> alarms(std::shared_ptr<Http1Session> self);
    static void read_alarms(const boost::asio::any_io_executor& executor, NodePorts& node);
    [[nodiscard]] static std::string alarm_reason(const Alarms& alarms, const HttpTarget& target);
    void arm_deadline(std::chrono::seconds after);

    boost::asio::ip::tcp::socket socket_;
    NodePorts& node_;
    boost::asio::steady_timer deadline_;
    boost::beast::flat_buffer buffer_;
    std::optional<Parser> parser_;      // of the request under way
    std::array<char, 4096> scratch_{};  // for what is dropped
    bool draining_ = false;
    bool reading_ = false;  // waits for its client
};

}  // namespace cairn::server::net
