// Interrupt: what a command does about SIGINT, SIGTERM and SIGHUP before the process ends by them.
// One at a time; the owner is one thread. The first signal is handled on a thread of its own,
// the second one ends the process as ever.
// Must never keep a process from ending when its work is as good as none.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

namespace cairn::client::ctl {

class Interrupt {
  public:
    // `clean_up` runs, then the process ends.
    explicit Interrupt(std::function<void()> clean_up);
    // Only was_told() becomes true.
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;

    [[nodiscard]] bool was_told() const { return signal_ != 0; }
    // By the signal, as if nobody had caught it. After was_told().
    [[noreturn]] void end_process() const;

  private:
    class Signals;

    void on_signal(int signal);

    const std::function<void()> clean_up_;
    std::atomic<int> signal_{0};
    std::unique_ptr<Signals> signals_;
    std::thread thread_;
};

}  // namespace cairn::client::ctl
