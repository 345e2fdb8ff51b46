#include "base/host_lookup.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "catch.h"

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
    // Over is over: the next asks anew.
    std::promise<Addresses> again;
    const HostLookup fourth("dead", into(again), dead.ask());
    CHECK(again.get_future().get().value() == Found{"10.0.0.1", "dead"});
    CHECK(dead.asked == 2);
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

}  // namespace cairn
