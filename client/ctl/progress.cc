#include "client/ctl/progress.h"

#include <algorithm>
#include <chrono>
#include <ostream>
#include <utility>

#include <fmt/format.h>

#include "client/ctl/print.h"

namespace cairn::client::ctl {
namespace {

constexpr auto kFirstAfter = std::chrono::milliseconds(500);
constexpr auto kAgainAfter = std::chrono::milliseconds(100);
constexpr std::size_t kBarWidth = 30;
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

void Progress::set(std::uint64_t done, std::uint64_t total) {
    const std::lock_guard lock(mutex_);
    bytes_done_ = done;
    bytes_total_ = total;
}

void Progress::draw(double seconds) {
    std::string bar;
    if (bytes_done_ < bytes_total_) {
        const double part = static_cast<double>(bytes_done_) / static_cast<double>(bytes_total_);
        const auto full = static_cast<std::size_t>(part * static_cast<double>(kBarWidth));
        bar = fmt::format(" [{:<{}}] {:3.0f} % of {}", std::string(std::min(full, kBarWidth), '#'),
                          kBarWidth, 100 * part,
                          human_bytes(static_cast<std::int64_t>(bytes_total_)));
    }
    out_ << fmt::format("{}{}:{} {:.1f} s", kErase, what_, bar, seconds) << std::flush;
}

void Progress::draw_until_done() {
    const auto begin = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    bool drawn = false;
    while (!is_done_.wait_for(lock, drawn ? kAgainAfter : kFirstAfter, [this] { return done_; })) {
        const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
        draw(waited.count());
        drawn = true;
    }
    if (drawn) {
        out_ << kErase << std::flush;
    }
}

}  // namespace cairn::client::ctl
