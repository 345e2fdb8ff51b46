// IoThread: one thread that runs one io_context, for all channels of a client.
// Owned by whoever made it; post() from any thread, the work runs on the one thread.
// Must never run anything that waits for work of its own.
#pragma once

#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}  // namespace boost::asio

namespace cairn::client {

class IoThread {
  public:
    IoThread();
    // Runs what was posted so far and ends the thread; what waits for a socket or a timer is
    // dropped, so destroy channels before. On its own thread it cannot wait: what was posted runs
    // after it returns.
    ~IoThread();
    IoThread(const IoThread&) = delete;
    IoThread& operator=(const IoThread&) = delete;

    [[nodiscard]] boost::asio::io_context& context();
    // Runs `work` on the thread, soon.
    void post(std::function<void()> work);
    // Whether the caller is that thread.
    [[nodiscard]] bool runs_here() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  // the thread's too
};

}  // namespace cairn::client
