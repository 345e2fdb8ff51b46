#include "base/host_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <mutex>
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

// The questions under way. Shared with their threads, which may outlive main().
template <class Waiter>
struct Questions {
    std::mutex mutex;
    std::map<std::string, std::vector<std::shared_ptr<Waiter>>> by_host;
};

}  // namespace

HostLookup::HostLookup(const std::string& host, Done done)
    : HostLookup(host, std::move(done), ask_system) {}

HostLookup::HostLookup(const std::string& host, Done done, Ask ask)
    : waiter_(std::make_shared<Waiter>(std::move(done))) {
    static const auto questions = std::make_shared<Questions<Waiter>>();
    {
        const std::lock_guard lock(questions->mutex);
        auto& waiters = questions->by_host[host];
        waiters.push_back(waiter_);
        if (waiters.size() > 1) {
            return;
        }
    }
    const auto answer = [all = questions, host](const Addresses& addresses) {
        std::vector<std::shared_ptr<Waiter>> waiters;
        {
            const std::lock_guard lock(all->mutex);
            waiters.swap(all->by_host[host]);
            all->by_host.erase(host);
        }
        for (const auto& waiter : waiters) {
            waiter->tell(addresses);
        }
    };
    try {
        std::thread([answer, host, ask = std::move(ask)] { answer(ask(host)); }).detach();
    } catch (const std::system_error& error) {
        answer(Error(Errc::kConnection, fmt::format("lookup {}: {}", host, error.what())));
    }
}

HostLookup::~HostLookup() {
    const std::lock_guard lock(waiter_->mutex);
    waiter_->done = nullptr;
}

}  // namespace cairn
