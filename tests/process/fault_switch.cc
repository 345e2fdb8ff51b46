#include "process/fault_switch.h"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <future>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "base/prng.h"
#include "base/url.h"
#include "client/io_thread.h"
#include "server/peer/peer_frame.h"
#include "server/peer/peer_hello.h"

namespace cairn::process {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kReadBytes = 64U * 1024U;
// On their way on one connection in one direction; what comes then waits in the kernel.
constexpr std::size_t kHeldBytesMax = 16U * 1024U * 1024U;
// How long a sender waits before it repeats what was lost: Linux's shortest time, doubled each time
// up to this.
constexpr std::chrono::milliseconds kResendMin{200};
constexpr std::chrono::milliseconds kResendMax{1600};

tcp::endpoint loopback(std::uint16_t port) {
    return {boost::asio::ip::address_v4::loopback(), port};
}

}  // namespace

struct FaultSwitch::Impl {
    Impl(const std::vector<std::uint16_t>& ports_of_targets, std::uint64_t seed);

    void accept(std::size_t node);
    void close();
    [[nodiscard]] std::optional<std::size_t> node_of(const std::vector<std::string>& urls) const;
    Fault& fault(std::size_t from, std::size_t to) { return faults[from * targets.size() + to]; }
    // On the thread; returns when it is done.
    void run(const std::function<void()>& work);
    void on_changed();

    const std::vector<std::uint16_t> targets;
    std::vector<std::uint16_t> ports;
    // The rest on the thread alone.
    std::vector<Fault> faults;  // by sender and receiver
    Prng prng;
    Counts counts;
    bool closed = false;
    std::vector<tcp::acceptor> acceptors;
    std::set<std::shared_ptr<Connection>> connections;
    client::IoThread io;  // last: nothing runs any more when the others go
};

// From the one who dials to the member it has dialled, and back.
class FaultSwitch::Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(Impl& owner, tcp::socket dialler, std::size_t to)
        : owner_(owner),
          to_(to),
          dialler_(std::move(dialler)),
          target_(owner.io.context()),
          out_(dialler_, target_),
          back_(target_, dialler_) {}

    void start() { read_greeting(); }
    void on_fault_changed() {
        write(out_);
        write(back_);
    }
    void close();

  private:
    struct Chunk {
        std::chrono::steady_clock::time_point due;
        std::string bytes;
    };
    // One direction.
    struct Way {
        Way(tcp::socket& from, tcp::socket& to)
            : source(from), sink(to), timer(from.get_executor()) {}
        tcp::socket& source;
        tcp::socket& sink;
        boost::asio::steady_timer timer;
        std::array<char, kReadBytes> buffer{};
        std::deque<Chunk> chunks{};
        std::size_t held_bytes = 0;
        bool reading = false;
        bool writing = false;  // or waiting until the first is due
        bool ended = false;    // nothing follows what is held
    };

    void read_greeting();
    void on_greeting(ByteView payload);
    void read(Way& way);
    void take(Way& way, std::size_t count, bool ended);
    [[nodiscard]] std::chrono::microseconds delay_of(const Fault& fault, std::size_t count);
    void write(Way& way);
    void write_first(Way& way);
    [[nodiscard]] Fault fault_on(const Way& way) const;

    Impl& owner_;
    const std::size_t to_;
    std::optional<std::size_t> from_{};  // nobody's: who asks for the members before it joins
    tcp::socket dialler_;
    tcp::socket target_;
    bool connected_ = false;
    server::peer::FrameReader greeting_{server::peer::kHelloBytesMax};
    Way out_;
    Way back_;
};

FaultSwitch::Impl::Impl(const std::vector<std::uint16_t>& ports_of_targets, std::uint64_t seed)
    : targets(ports_of_targets), faults(targets.size() * targets.size()), prng(seed) {
    for (std::size_t node = 0; node < targets.size(); ++node) {
        acceptors.emplace_back(io.context(), loopback(0));
        ports.push_back(acceptors.back().local_endpoint().port());
    }
    run([this] {
        for (std::size_t node = 0; node < targets.size(); ++node) {
            accept(node);
        }
    });
}

void FaultSwitch::Impl::run(const std::function<void()>& work) {
    std::promise<void> done;
    io.post([&] {
        work();
        done.set_value();
    });
    done.get_future().wait();
}

void FaultSwitch::Impl::accept(std::size_t node) {
    acceptors[node].async_accept([this, node](const error_code& error, tcp::socket socket) {
        if (closed) {
            return;
        }
        if (!error) {
            const auto connection = std::make_shared<Connection>(*this, std::move(socket), node);
            connections.insert(connection);
            connection->start();
        }
        accept(node);
    });
}

void FaultSwitch::Impl::close() {
    closed = true;
    acceptors.clear();
    for (const auto& connection : std::exchange(connections, {})) {
        connection->close();
    }
}

std::optional<std::size_t> FaultSwitch::Impl::node_of(const std::vector<std::string>& urls) const {
    for (const auto& text : urls) {
        const auto url = parse_url(text);
        const auto found =
            std::find(ports.begin(), ports.end(), url.has_value() ? url.value().port : 0);
        if (found != ports.end()) {
            return static_cast<std::size_t>(found - ports.begin());
        }
    }
    return std::nullopt;
}

void FaultSwitch::Impl::on_changed() {
    // A copy: a connection whose end was held back goes.
    for (const auto& connection : std::vector(connections.begin(), connections.end())) {
        connection->on_fault_changed();
    }
}

void FaultSwitch::Connection::close() {
    error_code ignored;
    dialler_.close(ignored);
    target_.close(ignored);
    out_.timer.cancel();
    back_.timer.cancel();
    owner_.connections.erase(shared_from_this());
}

void FaultSwitch::Connection::read_greeting() {
    dialler_.async_read_some(
        boost::asio::buffer(out_.buffer),
        [self = shared_from_this()](const error_code& error, std::size_t count) {
            const ByteView bytes(self->out_.buffer.data(), count);
            self->greeting_.feed(bytes);
            const auto payload = self->greeting_.next();
            if (error || payload.has_error()) {
                return self->close();
            }
            self->take(self->out_, count, false);
            if (payload.value().has_value()) {
                self->on_greeting(*payload.value());
            } else {
                self->read_greeting();
            }
        });
}

void FaultSwitch::Connection::on_greeting(ByteView payload) {
    const auto hello = server::peer::decode_hello(payload);
    if (hello.has_error()) {
        return close();
    }
    from_ = owner_.node_of(hello.value().peer_urls);
    target_.async_connect(loopback(owner_.targets[to_]),
                          [self = shared_from_this()](const error_code& error) {
                              if (error) {
                                  return self->close();
                              }
                              self->connected_ = true;
                              error_code ignored;
                              self->dialler_.set_option(tcp::no_delay(true), ignored);
                              self->target_.set_option(tcp::no_delay(true), ignored);
                              self->write(self->out_);
                              self->read(self->out_);
                              self->read(self->back_);
                          });
}

FaultSwitch::Fault FaultSwitch::Connection::fault_on(const Way& way) const {
    if (!from_.has_value()) {
        return {};
    }
    return &way == &out_ ? owner_.fault(*from_, to_) : owner_.fault(to_, *from_);
}

void FaultSwitch::Connection::read(Way& way) {
    if (way.reading || way.ended || way.held_bytes >= kHeldBytesMax) {
        return;
    }
    way.reading = true;
    way.source.async_read_some(
        boost::asio::buffer(way.buffer),
        [self = shared_from_this(), &way](const error_code& error, std::size_t count) {
            way.reading = false;
            self->take(way, count, error.failed());
            self->write(way);
            self->read(way);
        });
}

void FaultSwitch::Connection::take(Way& way, std::size_t count, bool ended) {
    const Fault fault = fault_on(way);
    if (count > 0 && fault.reset_every_bytes > 0 &&
        owner_.prng.below(fault.reset_every_bytes) < count) {
        count = owner_.prng.below(count);
        ended = true;
        ++owner_.counts.resets;
    }
    owner_.counts.held_bytes += fault.cut ? count : 0;
    way.chunks.push_back({std::chrono::steady_clock::now() + delay_of(fault, count),
                          std::string(way.buffer.data(), count)});
    way.held_bytes += count;
    way.ended = way.ended || ended;
}

std::chrono::microseconds FaultSwitch::Connection::delay_of(const Fault& fault, std::size_t count) {
    const auto longest = std::chrono::microseconds(fault.delay_max);
    const auto half = static_cast<std::uint64_t>(longest.count() / 2);
    auto delay = longest / 2 + std::chrono::microseconds(owner_.prng.below(half + 1));
    owner_.counts.delayed_bytes += longest.count() > 0 ? count : 0;
    const auto is_lost = [&] {
        return fault.lose_one_in > 0 && owner_.prng.below(fault.lose_one_in) == 0;
    };
    for (auto wait = kResendMin; wait <= kResendMax && is_lost(); wait *= 2) {
        delay += wait;
        ++owner_.counts.losses;
    }
    return delay;
}

void FaultSwitch::Connection::write(Way& way) {
    if (way.writing || !connected_ || !way.sink.is_open() || fault_on(way).cut) {
        return;
    }
    if (way.chunks.empty()) {
        return way.ended ? close() : void();
    }
    way.writing = true;
    way.timer.expires_at(way.chunks.front().due);
    way.timer.async_wait([self = shared_from_this(), &way](const error_code& error) {
        way.writing = false;
        if (!error && !self->fault_on(way).cut) {
            self->write_first(way);
        }
    });
}

void FaultSwitch::Connection::write_first(Way& way) {
    way.writing = true;
    boost::asio::async_write(
        way.sink, boost::asio::buffer(way.chunks.front().bytes),
        [self = shared_from_this(), &way](const error_code& error, std::size_t) {
            way.writing = false;
            if (error) {
                return self->close();
            }
            way.held_bytes -= way.chunks.front().bytes.size();
            way.chunks.pop_front();
            self->write(way);
            self->read(way);
        });
}

FaultSwitch::FaultSwitch(const std::vector<std::uint16_t>& targets, std::uint64_t seed)
    : impl_(std::make_unique<Impl>(targets, seed)) {}

FaultSwitch::~FaultSwitch() {
    impl_->run([this] { impl_->close(); });
}

std::uint16_t FaultSwitch::port(std::size_t node) const { return impl_->ports[node]; }

void FaultSwitch::set(std::size_t from, std::size_t to, const Fault& fault) {
    impl_->run([&] {
        impl_->fault(from, to) = fault;
        impl_->on_changed();
    });
}

void FaultSwitch::set_all(const Fault& fault) {
    impl_->run([&] {
        std::fill(impl_->faults.begin(), impl_->faults.end(), fault);
        impl_->on_changed();
    });
}

FaultSwitch::Counts FaultSwitch::counts() const {
    Counts counts;
    impl_->run([&] { counts = impl_->counts; });
    return counts;
}

}  // namespace cairn::process
