#include "base/host_lookup.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <list>
#include <mutex>
#include <string>
#include <vector>

#include "catch.h"

#include "base/find_host.h"

namespace cairn {
namespace {

using Addresses = HostLookup::Addresses;
using Found = std::vector<std::string>;

// A name server that answers when it is let.
class Gate {
  public:
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    HostLookup::Ask ask() {
        return [this](const std::string& host) -> Addresses {
            ++asked;
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return open_; });
            return Found{"10.0.0.1", host};
        };
    }

    std::atomic<int> asked = 0;

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

// Fulfils `promise` with what was found.
HostLookup::Done into(std::promise<Addresses>& promise) {
    return [&promise](const Addresses& found) { promise.set_value(found); };
}

}  // namespace

TEST_CASE("a lookup finds what the system knows", "[base][lookup]") {
    for (const std::string host : {"localhost", "127.0.0.1", "::1"}) {
        std::promise<Addresses> promise;
        const HostLookup lookup(host, into(promise));
        const Addresses found = promise.get_future().get();
        REQUIRE(found.has_value());
        const std::string first = found.value().front();
        CHECK((first == "127.0.0.1" || first == "::1"));
    }
    std::promise<Addresses> promise;
    const HostLookup lookup("no such host", into(promise));
    const Addresses found = promise.get_future().get();
    REQUIRE(found.has_error());
    CHECK(found.error().code == Errc::kConnection);
    CHECK(found.error().detail.find("lookup no such host: ") == 0);
}

TEST_CASE("a name under way is not asked again, and holds up no other", "[base][lookup]") {
    Gate dead;
    Gate other;
    std::promise<Addresses> promises[3];
    const HostLookup first("dead", into(promises[0]), dead.ask());
    const HostLookup second("dead", into(promises[1]), dead.ask());
    const HostLookup third("other", into(promises[2]), other.ask());
    other.open();
    CHECK(promises[2].get_future().get().value() == Found{"10.0.0.1", "other"});
    dead.open();
    CHECK(promises[0].get_future().get().value() == Found{"10.0.0.1", "dead"});
    CHECK(promises[1].get_future().get().value() == Found{"10.0.0.1", "dead"});
    CHECK(dead.asked == 1);
    // Who comes soon after need not ask.
    std::promise<Addresses> later;
    const HostLookup fourth("dead", into(later), dead.ask());
    CHECK(later.get_future().get().value() == Found{"10.0.0.1", "dead"});
    CHECK(dead.asked == 1);
    // A failure is not kept.
    int failed = 0;
    const HostLookup::Ask fail = [&](const std::string&) -> Addresses {
        ++failed;
        return Error(Errc::kConnection, "no");
    };
    for (int i = 1; i <= 2; ++i) {
        std::promise<Addresses> none;
        const HostLookup fifth("none", into(none), fail);
        CHECK(none.get_future().get().has_error());
        CHECK(failed == i);
    }
}

TEST_CASE("who has gone is not called", "[base][lookup]") {
    Gate gate;
    std::atomic<bool> called = false;
    std::promise<Addresses> promise;
    const HostLookup stays("host", into(promise), gate.ask());
    {
        const HostLookup gone(
            "host", [&](const Addresses&) { called = true; }, gate.ask());
    }
    gate.open();
    CHECK(promise.get_future().get().has_value());
    CHECK_FALSE(called);
}

TEST_CASE("there are not many lookups at a time", "[base][lookup][limits]") {
    Gate gate;
    std::atomic<std::size_t> found = 0;
    std::promise<void> all;
    const auto count = [&](const Addresses& addresses) {
        if (addresses.has_value() && ++found == HostLookup::kNamesMax) {
            all.set_value();
        }
    };
    std::list<HostLookup> lookups;
    for (std::size_t i = 0; i < HostLookup::kNamesMax; ++i) {
        lookups.emplace_back("many." + std::to_string(i), count, gate.ask());
    }
    std::promise<Addresses> promise;
    const HostLookup one_more("one more", into(promise), gate.ask());
    CHECK(promise.get_future().get().error().detail ==
          "lookup one more: too many lookups under way");
    gate.open();
    all.get_future().wait();
    CHECK(gate.asked == static_cast<int>(HostLookup::kNamesMax));
}

TEST_CASE("what is found has an address, or is an error", "[base][lookup]") {
    const auto endpoints = host_lookup::endpoints_at(Found{"10.0.0.1", "no address", "::1"}, 80);
    REQUIRE(endpoints.has_value());
    CHECK(endpoints.value().size() == 2);
    for (const Addresses& none : {Addresses(Found{}), Addresses(Found{"no address"})}) {
        CHECK(host_lookup::endpoints_at(none, 80).error().code == Errc::kConnection);
    }
}

}  // namespace cairn
