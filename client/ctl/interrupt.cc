#include "client/ctl/interrupt.h"

#include <csignal>
#include <cstdlib>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace cairn::client::ctl {

class Interrupt::Signals {
  public:
    explicit Signals(Interrupt& interrupt) {
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
            struct sigaction now {};
            // One that is ignored (of what runs in the background or under nohup) stays so.
            if (sigaction(signal, nullptr, &now) == 0 && now.sa_handler != SIG_IGN) {
                set_.add(signal);
            }
        }
        set_.async_wait([this, &interrupt](const boost::system::error_code& error, int signal) {
            if (!error) {
                boost::system::error_code ignored;
                set_.clear(ignored);  // the next one is the system's again
                interrupt.on_signal(signal);
            }
        });
    }
    void wait() { io_.run(); }
    void stop() { io_.stop(); }

  private:
    boost::asio::io_context io_;
    boost::asio::signal_set set_{io_};
};

Interrupt::Interrupt(std::function<void()> clean_up)
    : clean_up_(std::move(clean_up)),
      signals_(std::make_unique<Signals>(*this)),
      thread_([this] { signals_->wait(); }) {}

Interrupt::Interrupt() : Interrupt(nullptr) {}

Interrupt::~Interrupt() {
    signals_->stop();
    thread_.join();
}

void Interrupt::on_signal(int signal) {
    signal_ = signal;
    if (clean_up_ != nullptr) {
        clean_up_();
        end_process();
    }
}

void Interrupt::end_process() const {
    std::signal(signal_, SIG_DFL);
    static_cast<void>(std::raise(signal_));
    std::abort();  // not reached: the one that was caught is not blocked
}

}  // namespace cairn::client::ctl
