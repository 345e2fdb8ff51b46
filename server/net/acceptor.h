// Listens on one address and hands over every connection.
// Owned by the Node; on the reactor's thread.
// Never stops because one accept failed: out of file descriptors is waited out.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "server/net/log_limit.h"
#include "server/net/task.h"

namespace cairn::server::net {

// Of the addresses of one name, at least one: the first IPv4 one if there is one. etcdctl's default
// is 127.0.0.1, where a localhost that became ::1 would not answer.
boost::asio::ip::tcp::endpoint choose_endpoint(
    const std::vector<boost::asio::ip::tcp::endpoint>& found);

class Acceptor : public std::enable_shared_from_this<Acceptor> {
  public:
    using OnSocket = std::function<void(boost::asio::ip::tcp::socket)>;
    using OnProblem = std::function<void(const std::string&)>;

    // Binds and listens at once, on the IPv4 address of a name that has both. kIo with the address
    // and the system's words.
    static Result<std::shared_ptr<Acceptor>> listen(boost::asio::io_context& reactor,
                                                    const std::string& host, std::uint16_t port);
    // `on_problem` hears of the same problem once a second.
    void start(OnSocket on_socket, OnProblem on_problem);
    void stop();

  private:
    explicit Acceptor(boost::asio::io_context& reactor);
    static Task<> run(std::shared_ptr<Acceptor> self);

    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::steady_timer pause_;
    OnSocket on_socket_;
    OnProblem on_problem_;
    LogLimit said_{std::chrono::seconds(1)};
};

}  // namespace cairn::server::net
