// Reads that are told to stop, and reads that get no more memory.
#include "storage/mvcc/read_guard.h"

#include <algorithm>
#include <limits>

#include "fixture.h"

namespace cairn::storage::test {
namespace {

// Lets a read go on so often, and take so much.
class Meter : public mvcc::ReadGuard {
  public:
    std::uint64_t looks_left = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t bytes_max = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t used = 0;
    std::uint64_t most_used = 0;

    Result<void> go_on() override {
        if (looks_left == 0) {
            return Errc::kCanceled;
        }
        --looks_left;
        return ok();
    }
    Result<void> grow(std::uint64_t bytes) override {
        if (used + bytes > bytes_max) {
            return Error(Errc::kMessageTooLarge, "no room");
        }
        used += bytes;
        most_used = std::max(most_used, used);
        return ok();
    }
    void shrink(std::uint64_t bytes) override {
        REQUIRE(bytes <= used);
        used -= bytes;
    }
    [[nodiscard]] std::size_t room_for(std::size_t bytes) const override {
        std::size_t room = 64;
        while (room < bytes) {
            room *= 2;
        }
        return room;
    }
};

constexpr std::size_t kKeys = 200;
constexpr std::size_t kValueBytes = 1000;

struct Filled : Fixture {
    Filled() {
        for (std::size_t i = 0; i < kKeys; ++i) {
            put("k" + std::to_string(1000 + i), std::string(kValueBytes, 'v'));
        }
    }
    [[nodiscard]] std::shared_ptr<const mvcc::ReadView> view() { return machine().view(); }
    Result<void> read(const etcdserverpb::RangeRequest& request, Meter& meter, std::string& body) {
        return view()->range(request, body, &meter);
    }
};

etcdserverpb::TxnRequest txn_of(const etcdserverpb::RangeRequest& range, int count) {
    etcdserverpb::TxnRequest request;
    for (int i = 0; i < count; ++i) {
        *request.add_success()->mutable_request_range() = range;
    }
    *request.add_success()->mutable_request_txn()->add_success()->mutable_request_range() = range;
    return request;
}

etcdserverpb::RangeRequest everything() { return range_of(kOpenEnd, kOpenEnd); }

etcdserverpb::RangeRequest by_value() {
    auto request = everything();
    request.set_sort_target(etcdserverpb::RangeRequest::VALUE);
    request.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
    return request;
}

}  // namespace

TEST_CASE("A guarded read answers as any other", "[mvcc][read_guard]") {
    Filled filled;
    auto limited = by_value();
    limited.set_limit(7);
    auto keys_only = by_value();
    keys_only.set_keys_only(true);
    for (const auto& request : {everything(), by_value(), limited, keys_only}) {
        std::string plain;
        std::string guarded;
        Meter meter;
        REQUIRE(filled.view()->range(request, plain).has_value());
        REQUIRE(filled.read(request, meter, guarded).has_value());
        CHECK(plain == guarded);
        // In the end it uses the answer alone, and that did not grow by itself.
        CHECK(meter.used + std::string().capacity() == guarded.capacity());
    }
    std::string plain;
    std::string guarded;
    Meter meter;
    const auto txn = txn_of(everything(), 3);
    REQUIRE(filled.view()->read_txn(txn, plain).has_value());
    REQUIRE(filled.view()->read_txn(txn, guarded, &meter).has_value());
    CHECK(plain == guarded);
    CHECK(meter.used + std::string().capacity() == guarded.capacity());
    CHECK(meter.most_used > guarded.size());
}

TEST_CASE("A read ends where it is told to", "[mvcc][read_guard]") {
    Filled filled;
    for (const auto& request : {everything(), by_value()}) {
        for (std::uint64_t looks = 0; looks < kKeys / mvcc::kKeysPerLook; ++looks) {
            std::string body = "before";
            Meter meter;
            meter.looks_left = looks;
            const auto done = filled.read(request, meter, body);
            REQUIRE(done.has_error());
            CHECK(done.error().code == Errc::kCanceled);
            CHECK(body == "before");
        }
    }
    Meter meter;
    meter.looks_left = 5;
    CHECK(filled.view()->hash_kv(0, &meter).error().code == Errc::kCanceled);
    meter.looks_left = kKeys;
    CHECK(filled.view()->hash_kv(0, &meter).value().hash == filled.view()->hash_kv(0).value().hash);
    std::string body = "before";
    meter.looks_left = 20;  // into the second of its ranges
    CHECK(filled.view()->read_txn(txn_of(everything(), 3), body, &meter).error().code ==
          Errc::kCanceled);
    CHECK(body == "before");
}

TEST_CASE("A walk over keys that are not there any more ends, too", "[mvcc][read_guard]") {
    Filled filled;
    filled.del(delete_of(kOpenEnd, kOpenEnd));
    std::string body;
    Meter meter;
    meter.looks_left = 3;
    CHECK(filled.read(everything(), meter, body).error().code == Errc::kCanceled);
}

TEST_CASE("A compare over a range ends, too", "[mvcc][read_guard]") {
    Filled filled;
    auto request = txn_of(range_of("k1000"), 1);
    auto* compare = request.add_compare();
    compare->set_key(kOpenEnd);
    compare->set_range_end(kOpenEnd);
    compare->set_target(etcdserverpb::Compare::VERSION);
    compare->set_version(1);
    std::string body;
    Meter meter;
    meter.looks_left = 3;
    CHECK(filled.view()->read_txn(request, body, &meter).error().code == Errc::kCanceled);
}

TEST_CASE("A read that gets no more memory leaves nothing", "[mvcc][read_guard]") {
    Filled filled;
    for (std::uint64_t most = 0; most < kKeys * kValueBytes; most += 10'000) {
        for (const auto& request : {everything(), by_value()}) {
            std::string body = "before";
            Meter meter;
            meter.bytes_max = most;
            const auto done = filled.read(request, meter, body);
            REQUIRE(done.has_error());
            CHECK(done.error().code == Errc::kMessageTooLarge);
            CHECK(body == "before");
            CHECK(meter.most_used <= most);
        }
        std::string body;
        Meter meter;
        meter.bytes_max = most;
        CHECK(filled.view()->read_txn(txn_of(everything(), 1), body, &meter).has_error());
    }
}

}  // namespace cairn::storage::test
