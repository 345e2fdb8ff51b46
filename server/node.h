// The node: builds every part, connects them, and takes them down in order.
// Owned by main; start and run on one thread, which becomes the reactor (T1).
// Never holds logic of its own that a part could hold.
#pragma once

#include <memory>

#include "base/result.h"
#include "server/config.h"
#include "storage/file_system.h"

namespace cairn::server {

class Node {
  public:
    // Opens the data directory, recovers, binds all addresses. Nothing serves yet.
    // Errors are for people: they name the flag, the path or the address.
    static Result<std::unique_ptr<Node>> open(storage::FileSystem& files, ServerConfig config);
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    ~Node();

    // Serves until SIGTERM or SIGINT (then: hands leadership over, drains, flushes; ok) or until
    // the replica halts (the reason). Blocks.
    Result<void> run();

  private:
    class Impl;
    explicit Node(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::server
