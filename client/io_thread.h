// IoThread: one thread that runs one io_context, for all channels of a client.
// Owned by whoever made it; run() from any thread, the work runs on the one thread.
// Must never be destroyed on its own thread: it waits for it.
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
    // dropped, so destroy channels before.
    ~IoThread();
    IoThread(const IoThread&) = delete;
    IoThread& operator=(const IoThread&) = delete;

    [[nodiscard]] boost::asio::io_context& context();
    // Runs `work` on the thread, soon.
    void post(std::function<void()> work);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::client
