#include "client/ctl/progress.h"

#include <chrono>
#include <ostream>
#include <utility>

#include <fmt/format.h>

namespace cairn::client::ctl {
namespace {

constexpr auto kFirstAfter = std::chrono::milliseconds(500);
constexpr auto kAgainAfter = std::chrono::milliseconds(100);
// To the line's begin, and what stands there away.
constexpr std::string_view kErase = "\r\x1b[K";

}  // namespace

Progress::Progress(const Streams& streams, std::string what)
    : out_(streams.error), what_(std::move(what)) {
    if (streams.terminal.progress) {
        thread_ = std::thread([this] { draw_until_done(); });
    }
}

Progress::~Progress() {
    if (!thread_.joinable()) {
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        done_ = true;
    }
    is_done_.notify_one();
    thread_.join();
}

void Progress::draw_until_done() {
    const auto begin = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    bool drawn = false;
    while (!is_done_.wait_for(lock, drawn ? kAgainAfter : kFirstAfter, [this] { return done_; })) {
        const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
        out_ << fmt::format("{}{}: {:.1f} s", kErase, what_, waited.count()) << std::flush;
        drawn = true;
    }
    if (drawn) {
        out_ << kErase << std::flush;
    }
}

}  // namespace cairn::client::ctl
