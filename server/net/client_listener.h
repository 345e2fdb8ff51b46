// The client port: tells gRPC from HTTP/1.1 by the first bytes, and keeps count of connections.
// Owned by the Node; on the reactor's thread.
// Never keeps a connection that does not say within a few seconds what it is, and never more of
// them than its share of the process's descriptors.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "server/net/client_connection.h"
#include "server/net/log_limit.h"
#include "server/net/node_ports.h"
#include "server/net/task.h"

namespace cairn::server::net {

class ClientListener : public std::enable_shared_from_this<ClientListener> {
  public:
    ClientListener(boost::asio::io_context& reactor, NodePorts& node);

    // Closed at once, and counted, when there are too many.
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
    [[nodiscard]] bool is_full();

    boost::asio::io_context& reactor_;
    NodePorts& node_;
    std::vector<std::weak_ptr<ClientConnection>> connections_;
    const std::size_t connections_max_;
    std::size_t sniffing_ = 0;  // connections that have not yet told what they are
    LogLimit said_;
    bool draining_ = false;
};

}  // namespace cairn::server::net
