#include "storage/mvcc/key_tally.h"

#include <set>
#include <string>

#include "catch.h"

#include "base/prng.h"

namespace cairn::storage::test {
namespace {

using mvcc::KeyTally;

constexpr std::int64_t kStretchKeys = 8;

std::string key_of(std::uint64_t number) { return "k" + std::to_string(10'000 + number); }

// Every key lies in one stretch, and each has as many as it says.
void check(const KeyTally& tally, const std::set<std::string>& keys) {
    std::int64_t total = 0;
    std::string before;
    for (const KeyTally::Stretch& stretch : tally.stretches()) {
        REQUIRE(before < stretch.first);
        REQUIRE(stretch.first <= stretch.last);
        before = stretch.last;
        REQUIRE(stretch.keys ==
                std::distance(keys.lower_bound(stretch.first), keys.upper_bound(stretch.last)));
        REQUIRE(stretch.keys > 0);
        total += stretch.keys;
    }
    REQUIRE(total == static_cast<std::int64_t>(keys.size()));
}

// None is what bounds its memory: two neighbours have at least half of a stretch's keys.
std::size_t small_pairs(const KeyTally& tally) {
    std::size_t pairs = 0;
    const auto& stretches = tally.stretches();
    for (std::size_t i = 1; i < stretches.size(); ++i) {
        pairs += stretches[i - 1].keys + stretches[i].keys < kStretchKeys / 2 ? 1U : 0U;
    }
    return pairs;
}

}  // namespace

TEST_CASE("a tally holds what was born and did not die", "[storage][key_counts]") {
    const std::uint64_t seed = GENERATE(1U, 2U, 3U, 4U);
    INFO("seed " << seed);
    Prng prng(seed);
    KeyTally tally(kStretchKeys);
    std::set<std::string> keys;
    for (int step = 0; step < 3000; ++step) {
        // Waves: mostly births, then mostly deaths.
        const bool birth = prng.chance(step / 500 % 2 == 0 ? 7 : 2, 9);
        if (birth) {
            const std::string key = key_of(prng.below(2000));
            if (keys.insert(key).second) {
                tally.born(key);
            }
        } else if (!keys.empty()) {
            auto doomed = keys.lower_bound(key_of(prng.below(2000)));
            doomed = doomed == keys.end() ? keys.begin() : doomed;
            tally.died(*doomed);
            keys.erase(doomed);
        }
        if (step % 50 == 0) {
            check(tally, keys);
            REQUIRE(small_pairs(tally) == 0);
            KeyTally read(kStretchKeys);
            const auto revision = read.decode(tally.encode(77 + step));
            REQUIRE(revision.has_value());
            REQUIRE(revision.value() == 77 + step);
            REQUIRE(read.stretches() == tally.stretches());
        }
    }
    while (!keys.empty()) {
        tally.died(*keys.begin());
        keys.erase(keys.begin());
    }
    REQUIRE(tally.stretches().empty());
}

TEST_CASE("keys that are born in order fill one stretch after the other", "[storage][key_counts]") {
    KeyTally tally(kStretchKeys);
    for (std::uint64_t i = 0; i < 10 * kStretchKeys; ++i) {
        tally.born(key_of(i));
    }
    REQUIRE(tally.stretches().size() == 10);
    REQUIRE(tally.stretches()[3] == KeyTally::Stretch{key_of(24), key_of(31), kStretchKeys});
}

TEST_CASE("a stretch that was walked is cut", "[storage][key_counts]") {
    KeyTally tally(kStretchKeys);
    KeyTally pieces(kStretchKeys);
    tally.born(key_of(0));
    tally.born(key_of(99));
    for (std::uint64_t i = 1; i < 99; ++i) {
        tally.born(key_of(i));
    }
    REQUIRE(tally.stretches().size() == 1);
    for (std::uint64_t i = 0; i < 100; ++i) {
        pieces.born(key_of(i));
    }
    tally.replace(0, pieces);
    REQUIRE(tally.stretches() == pieces.stretches());
    REQUIRE(tally.stretches().size() == 13);
    REQUIRE(tally.reaching(key_of(50)) == 6);
}

TEST_CASE("damaged counts are refused", "[storage][key_counts]") {
    KeyTally tally(1);
    tally.born("a");
    tally.born("b");
    const std::string good = tally.encode(5);
    const auto refused = [](const std::string& bytes) {
        const auto read = KeyTally(1).decode(bytes);
        return read.has_error() && read.error().code == Errc::kCorrupt;
    };
    for (std::size_t size = 0; size < good.size(); ++size) {
        // Half of it is as good as the whole: nothing says how many stretches there are.
        const bool whole = size == 8 || size == 8 + (good.size() - 8) / 2;
        INFO("of " << good.size() << " bytes: " << size);
        CHECK(refused(good.substr(0, size)) == !whole);
    }
    std::string swapped = good;
    std::swap(swapped[9], swapped[14]);
    CHECK(refused(swapped));
    std::string none = good;
    none[12] = 0;  // keys of the first
    CHECK(refused(none));
}

}  // namespace cairn::storage::test
