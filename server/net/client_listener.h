// The client port: tells gRPC from HTTP/1.1 by the first bytes, and keeps count of connections.
// Owned by the Node; on the reactor's thread.
// Never keeps a connection that does not say within a few seconds what it is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "server/net/client_connection.h"
#include "server/net/node_ports.h"
#include "server/net/task.h"

namespace cairn::server::net {

class ClientListener : public std::enable_shared_from_this<ClientListener> {
  public:
    ClientListener(boost::asio::io_context& reactor, NodePorts& node);

    void accept(boost::asio::ip::tcp::socket socket);
    // About once a second.
    void on_second(std::uint64_t now_ms);
    // Tells every connection to end its calls and take no new ones.
    void drain();
    void close();
    // Connections that still live.
    [[nodiscard]] std::size_t open() const;

  private:
    static Task<> sniff(std::shared_ptr<ClientListener> self, boost::asio::ip::tcp::socket socket);
    void begin(boost::asio::ip::tcp::socket socket, bool http2, const std::string& first);
    void forget_ended();

    boost::asio::io_context& reactor_;
    NodePorts& node_;
    std::vector<std::weak_ptr<ClientConnection>> connections_;
    bool draining_ = false;
};

}  // namespace cairn::server::net
