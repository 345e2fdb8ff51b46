// What the node can do with any connection of a client, whatever it speaks.
// Held weakly by the ClientListener; on the reactor's thread.
#pragma once

#include <cstdint>

namespace cairn::server::net {

class ClientConnection {
  public:
    virtual ~ClientConnection() = default;
    virtual void start() = 0;
    // Takes no new calls; ends when those under way have ended.
    virtual void drain() = 0;
    virtual void close() = 0;
    // About once a second; `now_ms` from any start.
    virtual void on_second(std::uint64_t now_ms) = 0;
};

}  // namespace cairn::server::net
