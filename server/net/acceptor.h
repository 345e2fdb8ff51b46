// Listens on one address and hands over every connection.
// Owned by the Node; on the reactor's thread.
// Never stops because one accept failed: out of file descriptors is waited out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "server/net/task.h"

namespace cairn::server::net {

class Acceptor : public std::enable_shared_from_this<Acceptor> {
  public:
    using OnSocket = std::function<void(boost::asio::ip::tcp::socket)>;
    using OnProblem = std::function<void(const std::string&)>;

    // Binds and listens at once. kIo with the address and the system's words.
    static Result<std::shared_ptr<Acceptor>> listen(boost::asio::io_context& reactor,
                                                    const std::string& host, std::uint16_t port);
    void start(OnSocket on_socket, OnProblem on_problem);
    void stop();

  private:
    explicit Acceptor(boost::asio::io_context& reactor);
    static Task<> run(std::shared_ptr<Acceptor> self);

    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::steady_timer pause_;
    OnSocket on_socket_;
    OnProblem on_problem_;
};

}  // namespace cairn::server::net
