// What sockets are set to, so that the other side's silent death is found out.
// Pure but for the socket; on its thread.
// Never fails: an option the system does not have is left out.
#pragma once

#include <netinet/tcp.h>

#include <boost/asio/ip/tcp.hpp>

namespace cairn::server::net {

// A connection that is idle for 30 s is probed, and one whose other side has not answered for 20 s,
// probe or data, is closed (grpc-go's server sets the same 20 s).
inline void probe_when_idle(boost::asio::ip::tcp::socket& socket) {
    using boost::asio::detail::socket_option::integer;
    boost::system::error_code ignored;
    socket.set_option(boost::asio::socket_base::keep_alive(true), ignored);
    socket.set_option(integer<IPPROTO_TCP, TCP_KEEPIDLE>(30), ignored);
    socket.set_option(integer<IPPROTO_TCP, TCP_KEEPINTVL>(10), ignored);
}

inline void guard_accepted(boost::asio::ip::tcp::socket& socket) {
    using boost::asio::detail::socket_option::integer;
    boost::system::error_code ignored;
    probe_when_idle(socket);
    socket.set_option(integer<IPPROTO_TCP, TCP_USER_TIMEOUT>(20'000), ignored);
}

}  // namespace cairn::server::net
