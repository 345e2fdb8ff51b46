#include "storage/mvcc/key_counts.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "tests/unit/storage/fixture.h"

namespace cairn::storage::test {
namespace {

using mvcc::Interval;
using mvcc::KeyCounts;
using mvcc::ReadBounds;

constexpr std::int64_t kStretchKeys = 4;

// One moment of the store.
struct Moment {
    std::shared_ptr<const EngineReader> reader;
    ReadBounds bounds;
};

// Counts what was walked: opened iterators that were moved.
class CountingReader final : public EngineReader {
  public:
    explicit CountingReader(const EngineReader& below) : below_(below) {}
    [[nodiscard]] Result<std::optional<std::string>> get(ColumnFamily family,
                                                         ByteView key) const override {
        return below_.get(family, key);
    }
    [[nodiscard]] std::unique_ptr<Iterator> iterate(ColumnFamily family, ByteView lower,
                                                    ByteView upper) const override {
        auto it = below_.iterate(family, lower, upper);
        for (auto probe = below_.iterate(family, lower, upper); probe->valid(); probe->next()) {
            ++reachable_;
        }
        return it;
    }
    // Records inside the bounds of all iterators so far.
    [[nodiscard]] std::int64_t reachable() const { return reachable_; }

  private:
    const EngineReader& below_;
    mutable std::int64_t reachable_ = 0;
};

class World {
  public:
    Moment now() {
        const auto view = fixture_.machine().view();
        return {engine_.snapshot(), {view->revision(), view->compacted()}};
    }
    Fixture& fixture() { return fixture_; }

  private:
    MemEngine engine_;
    Fixture fixture_{&engine_};
};

std::int64_t walked(const Moment& moment, const Interval& interval, std::int64_t revision) {
    mvcc::KeyScan scan(*moment.reader, interval, revision);
    std::int64_t found = 0;
    for (;;) {
        const auto more = scan.next();
        REQUIRE(more.has_value());
        if (!more.value()) {
            return found;
        }
        ++found;
    }
}

std::int64_t counted(KeyCounts& counts, const Moment& moment, const Interval& interval,
                     std::int64_t revision) {
    const auto found = counts.count(*moment.reader, moment.bounds, interval, revision, nullptr);
    REQUIRE(found.has_value());
    return found.value();
}

std::string key_of(std::uint64_t number) { return std::string("k") + std::to_string(100 + number); }

void change(Fixture& fixture, Prng& prng) {
    const std::string key = key_of(prng.below(80));
    switch (prng.below(8)) {
        case 0: fixture.del(delete_of(key)); break;
        case 1: fixture.del(delete_of(key, key_of(prng.below(80)))); break;
        case 2: {
            etcdserverpb::TxnRequest txn;
            for (std::uint64_t i = 0; i < 5; ++i) {
                *txn.add_success()->mutable_request_put() =
                    put_of(key_of(80 + prng.below(4) * 5 + i), "v");
            }
            fixture.txn(txn);
            break;
        }
        default: fixture.put(key, "v");
    }
}

std::int64_t between(Prng& prng, std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(prng.below(static_cast<std::uint64_t>(high - low + 1)));
}

}  // namespace

TEST_CASE("key counts equal a walk at every revision and interval", "[storage][key_counts]") {
    const char* given = std::getenv("CAIRN_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : GENERATE(1U, 2U, 3U, 4U, 5U, 6U);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    World world;
    KeyCounts counts(kStretchKeys);
    std::vector<Moment> moments{world.now()};
    for (int step = 0; step < 600; ++step) {
        for (std::uint64_t i = prng.below(6); i > 0; --i) {
            change(world.fixture(), prng);
        }
        const Moment newest = world.now();
        if (prng.below(40) == 0 && newest.bounds.revision > newest.bounds.compacted + 1) {
            world.fixture().compact(
                between(prng, newest.bounds.compacted + 1, newest.bounds.revision));
            if (prng.below(2) == 0) {
                world.fixture().collect_all();
            }
        }
        // Readers of a few moments at once, the older ones behind the newest tally.
        moments.push_back(world.now());
        if (moments.size() > 4) {
            moments.erase(moments.begin());
        }
        const Moment& moment = moments[prng.below(moments.size())];
        const std::int64_t revision =
            prng.below(2) == 0 ? moment.bounds.revision
                               : between(prng, std::max<std::int64_t>(moment.bounds.compacted, 1),
                                         moment.bounds.revision);
        const std::string from = prng.below(4) == 0 ? std::string() : key_of(prng.below(100));
        const std::string to = prng.below(3) == 0 ? kOpenEnd : key_of(prng.below(100));
        const Interval interval = mvcc::interval_of(from, to);
        INFO("step " << step << ": [" << from << ", " << to << ") at " << revision);
        REQUIRE(counted(counts, moment, interval, revision) == walked(moment, interval, revision));
    }
}

TEST_CASE("a second count walks changes and ends, not all keys", "[storage][key_counts]") {
    World world;
    constexpr std::uint64_t kKeys = 400;
    for (std::uint64_t i = 0; i < kKeys; ++i) {
        world.fixture().put(key_of(i), "v");
    }
    KeyCounts counts(kStretchKeys);
    const Interval all = mvcc::interval_of("k", "l");
    const Moment before = world.now();
    REQUIRE(counted(counts, before, all, before.bounds.revision) ==
            static_cast<std::int64_t>(kKeys));

    for (std::uint64_t i = 0; i < 10; ++i) {
        world.fixture().put(key_of(i), "changed");
    }
    world.fixture().del(delete_of(key_of(5)));
    world.fixture().put(key_of(kKeys), "new");
    world.fixture().put(key_of(kKeys + 1), "new");
    const Moment after = world.now();
    const CountingReader reader(*after.reader);
    // From inside a stretch on, as the pages of a list ask.
    const std::string middle = key_of(201) + '\0';
    const Interval rest = mvcc::interval_of(middle, "l");
    for (const std::int64_t revision : {after.bounds.revision, before.bounds.revision}) {
        const auto found = counts.count(reader, after.bounds, rest, revision, nullptr);
        REQUIRE(found.has_value());
        REQUIRE(found.value() == walked(after, rest, revision));
    }
    // Of each count: 13 changes at most, one stretch in part.
    REQUIRE(reader.reachable() <= 2 * (13 + 4 * kStretchKeys));
}

TEST_CASE("a count whose answer nobody wants ends", "[storage][key_counts]") {
    struct Unwanted final : mvcc::ReadGuard {
        Result<void> go_on() override { return Errc::kCanceled; }
        Result<void> grow(std::uint64_t) override { return ok(); }
        void shrink(std::uint64_t) override {}
        [[nodiscard]] std::size_t room_for(std::size_t bytes) const override { return bytes; }
    };
    World world;
    for (std::uint64_t i = 0; i < 2 * mvcc::kKeysPerLook; ++i) {
        world.fixture().put(key_of(i), "v");
    }
    KeyCounts counts(kStretchKeys);
    const Moment moment = world.now();
    Unwanted guard;
    const auto found = counts.count(*moment.reader, moment.bounds, mvcc::interval_of("k", "l"),
                                    moment.bounds.revision, &guard);
    REQUIRE(found.has_error());
    REQUIRE(found.error().code == Errc::kCanceled);
}

}  // namespace cairn::storage::test
