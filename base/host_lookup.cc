#include "base/host_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace cairn {

struct HostLookup::Waiter {
    explicit Waiter(Done on_done) : done(std::move(on_done)) {}

    void tell(const Addresses& addresses) {
        const std::lock_guard lock(mutex);
        if (done) {
            done(addresses);
        }
    }

    std::mutex mutex;
    Done done;  // empty when nobody waits any more
};

namespace {

HostLookup::Addresses addresses_in(const std::string& host, const addrinfo* found) {
    std::vector<std::string> addresses;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        std::array<char, NI_MAXHOST> text{};
        if (::getnameinfo(at->ai_addr, at->ai_addrlen, text.data(), text.size(), nullptr, 0,
                          NI_NUMERICHOST) == 0) {
            addresses.emplace_back(text.data());
        }
    }
    if (addresses.empty()) {
        return Error(Errc::kConnection, fmt::format("lookup {}: no address", host));
    }
    return addresses;
}

HostLookup::Addresses ask_system(const std::string& host) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int failure = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (failure != 0) {
        return Error(Errc::kConnection,
                     fmt::format("lookup {}: {}", host, ::gai_strerror(failure)));
    }
    HostLookup::Addresses addresses = addresses_in(host, found);
    ::freeaddrinfo(found);
    return addresses;
}

}  // namespace

// Shared with the threads that ask, which may outlive main().
class HostLookup::Questions {
  public:
    struct Verdict {
        std::optional<Addresses> answer;  // there is one already
        bool ask = false;                 // nobody asks yet
    };

    Verdict enter(const std::string& host, const std::shared_ptr<Waiter>& waiter) {
        const std::lock_guard lock(mutex_);
        const auto now = Clock::now();
        std::erase_if(kept_, [&](const auto& item) { return now - item.second.since >= kKept; });
        if (const auto kept = kept_.find(host); kept != kept_.end()) {
            return {kept->second.addresses, false};
        }
        if (!waiting_.contains(host) && waiting_.size() >= kNamesMax) {
            return {Error(Errc::kConnection,
                          fmt::format("lookup {}: too many lookups under way", host)),
                    false};
        }
        auto& waiters = waiting_[host];
        waiters.push_back(waiter);
        return {std::nullopt, waiters.size() == 1};
    }

    void answer(const std::string& host, const Addresses& addresses) {
        std::vector<std::shared_ptr<Waiter>> waiters;
        {
            const std::lock_guard lock(mutex_);
            waiters = std::move(waiting_.extract(host).mapped());
            if (addresses.has_value() && kept_.size() < kNamesMax) {
                kept_.insert_or_assign(host, Kept{addresses, Clock::now()});
            }
        }
        for (const auto& waiter : waiters) {
            waiter->tell(addresses);
        }
    }

  private:
    using Clock = std::chrono::steady_clock;
    struct Kept {
        Addresses addresses;
        Clock::time_point since;
    };

    std::mutex mutex_;
    std::map<std::string, std::vector<std::shared_ptr<Waiter>>> waiting_;
    std::map<std::string, Kept> kept_;
};

HostLookup::HostLookup(const std::string& host, Done done)
    : HostLookup(host, std::move(done), ask_system) {}

HostLookup::HostLookup(const std::string& host, Done done, Ask ask)
    : waiter_(std::make_shared<Waiter>(std::move(done))) {
    // Never destroyed: what is global elsewhere may look up at its own end.
    static auto& questions = *new std::shared_ptr<Questions>(std::make_shared<Questions>());
    const Questions::Verdict verdict = questions->enter(host, waiter_);
    if (verdict.answer) {
        waiter_->tell(*verdict.answer);
    }
    if (!verdict.ask) {
        return;
    }
    try {
        std::thread([all = questions, host, ask = std::move(ask)] {
            all->answer(host, ask(host));
        }).detach();
    } catch (const std::system_error& error) {
        questions->answer(
            host, Error(Errc::kConnection, fmt::format("lookup {}: {}", host, error.what())));
    }
}

HostLookup::~HostLookup() {
    const std::lock_guard lock(waiter_->mutex);
    waiter_->done = nullptr;
}

}  // namespace cairn
