// Progress: a line on the error stream that tells what a command waits for and since when, with a
// bar where it is known how much there is; it comes after half a second, and goes when the wait is
// over.
// Lives on one thread, draws on its own: nobody else may write to the error stream meanwhile.
// Must never draw anything when Streams::terminal.progress is false.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "client/ctl/command.h"

namespace cairn::client::ctl {

class Progress {
  public:
    Progress(const Streams& streams, std::string what);
    ~Progress();
    // So much of `total` is done; when that is all, the bar goes and the seconds go on.
    void set(std::uint64_t done, std::uint64_t total);
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

  private:
    void draw_until_done();
    void draw(double seconds);

    std::ostream& out_;
    std::string what_;
    std::mutex mutex_;
    std::condition_variable is_done_;
    bool done_ = false;  // guarded by mutex_, as the next two
    std::uint64_t bytes_done_ = 0;
    std::uint64_t bytes_total_ = 0;  // 0: not known
    std::thread thread_;
};

}  // namespace cairn::client::ctl
