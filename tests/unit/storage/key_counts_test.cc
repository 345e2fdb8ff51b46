#include "storage/mvcc/key_counts.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "storage/schema.h"
#include "tests/unit/storage/fixture.h"

namespace cairn::storage::test {
namespace {

using mvcc::Interval;
using mvcc::KeyCounts;
using mvcc::KeyCountsOptions;

constexpr std::int64_t kStretchKeys = 4;
// Small, so that short programs meet every way to count.
constexpr KeyCountsOptions kSmall{
    .stretch_keys = kStretchKeys, .changes_to_store = 40, .changes_to_follow = 6};
// Nothing is given up for being many.
constexpr KeyCountsOptions kPatient{
    .stretch_keys = kStretchKeys, .changes_to_store = 100'000, .changes_to_follow = 100'000};

using Steps = std::array<std::uint64_t, kColumnFamilyCount>;
using SharedSteps = std::array<std::atomic<std::uint64_t>, kColumnFamilyCount>;

// Counts the records that iterators of each family were moved to.
class CountingReader final : public EngineReader {
  public:
    explicit CountingReader(std::shared_ptr<const EngineReader> below, SharedSteps* steps)
        : below_(std::move(below)), steps_(steps) {}
    [[nodiscard]] Result<std::optional<std::string>> get(ColumnFamily family,
                                                         ByteView key) const override {
        return below_->get(family, key);
    }
    [[nodiscard]] std::unique_ptr<Iterator> iterate(ColumnFamily family, ByteView lower,
                                                    ByteView upper) const override {
        return std::make_unique<Counted>(below_->iterate(family, lower, upper),
                                         (*steps_)[static_cast<std::size_t>(family)]);
    }

  private:
    class Counted final : public Iterator {
      public:
        Counted(std::unique_ptr<Iterator> below, std::atomic<std::uint64_t>& steps)
            : below_(std::move(below)), steps_(steps) {
            steps_ += valid() ? 1 : 0;
        }
        [[nodiscard]] bool valid() const override { return below_->valid(); }
        void next() override {
            below_->next();
            steps_ += valid() ? 1 : 0;
        }
        void seek(ByteView key) override {
            below_->seek(key);
            steps_ += valid() ? 1 : 0;
        }
        void seek_before(ByteView key) override {
            below_->seek_before(key);
            steps_ += valid() ? 1 : 0;
        }
        [[nodiscard]] ByteView key() const override { return below_->key(); }
        [[nodiscard]] ByteView value() const override { return below_->value(); }
        [[nodiscard]] Result<void> status() const override { return below_->status(); }

      private:
        std::unique_ptr<Iterator> below_;
        std::atomic<std::uint64_t>& steps_;
    };

    std::shared_ptr<const EngineReader> below_;
    SharedSteps* steps_;
};

std::string key_of(std::uint64_t number) { return std::string("k") + std::to_string(100 + number); }

// A store with counts of its own beside those of its state machine, which it keeps as the machine
// does.
class World {
  public:
    explicit World(KeyCountsOptions options) : options_(options) { reopen(0); }

    // What the machine has done just now.
    void told() {
        counts_->advance(fixture_.last().events, now());
        // Once for each: the next may change nothing.
        fixture_.forget_last();
    }
    void put(const std::string& key) {
        fixture_.put(key, "v");
        told();
    }
    void del(const std::string& from, const std::string& to = "") {
        fixture_.del(delete_of(from, to));
        told();
    }
    void txn(const etcdserverpb::TxnRequest& request) {
        fixture_.txn(request);
        told();
    }
    void compact(std::int64_t revision) {
        REQUIRE_FALSE(fixture_.compact(revision).has_value());
        told();
    }
    void collect() {
        if (counts_->recorded_at() + 1 < now().compacted) {
            record();
        }
        collected_ = now().compacted;
        fixture_.collect_all();
        told();
    }
    void record() {
        WriteBatch batch;
        batch.put(ColumnFamily::kMeta, std::string(schema::kMetaCounts), counts_->take_record());
        REQUIRE(engine_->write(batch).has_value());
    }
    void reopen() { reopen(collected_); }
    void reopen(std::int64_t collected) {
        auto opened = KeyCounts::open(now(), collected, options_);
        REQUIRE(opened.has_value());
        counts_ = std::move(opened.value());
    }
    KeyCounts::Moment now() {
        const auto view = fixture_.machine().view();
        return {std::make_shared<CountingReader>(engine_->snapshot(), &steps_), view->revision(),
                view->compacted()};
    }
    KeyCounts& counts() { return *counts_; }
    // Since it was last asked for.
    Steps take_steps() {
        Steps taken{};
        for (std::size_t i = 0; i < taken.size(); ++i) {
            taken[i] = steps_[i].exchange(0);
        }
        return taken;
    }

    std::int64_t count(const std::string& from, const std::string& to, std::int64_t revision = 0) {
        const KeyCounts::Moment moment = now();
        const auto found = counts_->count(*moment.reader, mvcc::interval_of(from, to),
                                          revision == 0 ? moment.revision : revision, nullptr);
        REQUIRE(found.has_value());
        return found.value();
    }

  private:
    const KeyCountsOptions options_;
    SharedSteps steps_{};
    const std::shared_ptr<MemEngine> engine_ = std::make_shared<MemEngine>();
    // The record that it makes before it collects is as good as the world's.
    Fixture fixture_{engine_};
    std::int64_t collected_ = 0;
    std::shared_ptr<KeyCounts> counts_;
};

std::uint64_t of(const Steps& steps, ColumnFamily family) {
    return steps[static_cast<std::size_t>(family)];
}

std::int64_t walked(const KeyCounts::Moment& moment, const Interval& interval,
                    std::int64_t revision) {
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

void change(World& world, Prng& prng) {
    const std::string key = key_of(prng.below(80));
    switch (prng.below(8)) {
        case 0: return world.del(key);
        case 1: return world.del(key, key_of(prng.below(80)));
        case 2: {
            etcdserverpb::TxnRequest txn;
            for (std::uint64_t i = 0; i < 5; ++i) {
                *txn.add_success()->mutable_request_put() =
                    put_of(key_of(80 + prng.below(4) * 5 + i), "v");
            }
            return world.txn(txn);
        }
        case 3: {
            // The same key begins to live a second time, in one revision.
            etcdserverpb::TxnRequest txn;
            *txn.add_success()->mutable_request_delete_range() = delete_of(key);
            *txn.add_success()->mutable_request_put() = put_of(key, "again");
            return world.txn(txn);
        }
        default: world.put(key);
    }
}

std::int64_t between(Prng& prng, std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(prng.below(static_cast<std::uint64_t>(high - low + 1)));
}

// All keys of a world, born in an order that leaves them in one stretch.
void fill_one_stretch(World& world, std::uint64_t keys) {
    world.put(key_of(0));
    world.put(key_of(keys - 1));
    for (std::uint64_t i = 1; i + 1 < keys; ++i) {
        world.put(key_of(i));
    }
}

void fill_in_order(World& world, std::uint64_t keys) {
    for (std::uint64_t i = 0; i < keys; ++i) {
        world.put(key_of(i));
    }
}

}  // namespace

TEST_CASE("key counts equal a walk at every revision and interval", "[storage][key_counts]") {
    const char* given = std::getenv("CAIRN_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : GENERATE(1U, 2U, 3U, 4U, 5U, 6U);
    const bool patient = GENERATE(false, true);
    INFO("CAIRN_SEED=" << seed << " patient: " << patient);
    Prng prng(seed);
    World world(patient ? kPatient : kSmall);
    std::vector<KeyCounts::Moment> moments{world.now()};
    for (int step = 0; step < 500; ++step) {
        for (std::uint64_t i = prng.below(6); i > 0; --i) {
            change(world, prng);
        }
        const KeyCounts::Moment newest = world.now();
        if (prng.below(40) == 0 && newest.revision > newest.compacted + 1) {
            world.compact(between(prng, newest.compacted + 1, newest.revision));
            if (prng.below(2) == 0) {
                world.collect();
            }
        }
        if (world.counts().wants_record()) {
            world.record();
        }
        if (prng.below(30) == 0) {
            world.reopen();
        }
        // Readers of a few moments at once, some asked again and again.
        moments.push_back(world.now());
        if (moments.size() > 4) {
            moments.erase(moments.begin() + static_cast<std::ptrdiff_t>(prng.below(2)));
        }
        const KeyCounts::Moment& moment = moments[prng.below(moments.size())];
        const std::int64_t revision =
            prng.below(2) == 0
                ? moment.revision
                : between(prng, std::max<std::int64_t>(moment.compacted, 1), moment.revision);
        const std::string from = prng.below(4) == 0 ? std::string() : key_of(prng.below(100));
        const std::string to = prng.below(3) == 0 ? kOpenEnd : key_of(prng.below(100));
        const Interval interval = mvcc::interval_of(from, to);
        INFO("step " << step << ": [" << from << ", " << to << ") at " << revision);
        const auto found = world.counts().count(*moment.reader, interval, revision, nullptr);
        REQUIRE(found.has_value());
        REQUIRE(found.value() == walked(moment, interval, revision));
    }
}

TEST_CASE("a count of all keys walks none, not even the first", "[storage][key_counts]") {
    World world(kPatient);
    fill_one_stretch(world, 100);
    world.take_steps();
    REQUIRE(world.count("k", "l") == 100);
    REQUIRE(world.count("", kOpenEnd) == 100);
    REQUIRE(world.take_steps() == Steps{});
}

TEST_CASE("a count walks the ends of its interval and what changed since",
          "[storage][key_counts]") {
    World world(kPatient);
    fill_in_order(world, 400);
    const std::int64_t before = world.now().revision;
    for (std::uint64_t i = 0; i < 10; ++i) {
        world.put(key_of(i));
    }
    world.del(key_of(5));
    world.put(key_of(400));
    world.put(key_of(401));
    world.take_steps();
    // From inside a stretch on, as the pages of a list ask.
    REQUIRE(world.count(key_of(201) + '\0', "l") == 200);
    Steps steps = world.take_steps();
    REQUIRE(of(steps, ColumnFamily::kKeys) <= kStretchKeys);
    REQUIRE(of(steps, ColumnFamily::kRevlog) == 0);
    REQUIRE(world.count(key_of(201) + '\0', "l", before) == 198);
    steps = world.take_steps();
    REQUIRE(of(steps, ColumnFamily::kKeys) <= kStretchKeys);
    REQUIRE(of(steps, ColumnFamily::kRevlog) == 13);
}

TEST_CASE("a stretch that grew too large is walked once", "[storage][key_counts]") {
    World world(kPatient);
    fill_one_stretch(world, 100);
    const KeyCounts::Moment before = world.now();
    // Born, died and born at the ends after the reader's moment.
    world.put(key_of(10) + "x");
    world.del(key_of(0), key_of(3));
    world.put(key_of(0));
    world.del(key_of(99));
    world.take_steps();
    const std::string middle = key_of(50);
    const auto found = world.counts().count(*before.reader, mvcc::interval_of("", middle),
                                            before.revision, nullptr);
    REQUIRE(found.value() == 50);
    REQUIRE(of(world.take_steps(), ColumnFamily::kKeys) >= 97);
    REQUIRE(world.count("", middle) == 49);
    REQUIRE(of(world.take_steps(), ColumnFamily::kKeys) <= 2 * kStretchKeys);
    REQUIRE(world.count(middle, "l") == 49);
    REQUIRE(of(world.take_steps(), ColumnFamily::kKeys) <= 2 * kStretchKeys);
}

TEST_CASE("an old revision is followed back to once, through a large delete",
          "[storage][key_counts]") {
    World world(kSmall);
    fill_in_order(world, 400);
    const std::int64_t before = world.now().revision;
    world.del("k", "l");
    world.put(key_of(7));
    world.take_steps();
    REQUIRE(world.count("", kOpenEnd) == 1);
    REQUIRE(world.take_steps() == Steps{});
    REQUIRE(world.count(key_of(3), "l", before) == 397);
    REQUIRE(of(world.take_steps(), ColumnFamily::kRevlog) >= 401);
    for (std::uint64_t page = 4; page < 400; page += 40) {
        REQUIRE(world.count(key_of(page), "l", before) == 400 - static_cast<std::int64_t>(page));
        const Steps steps = world.take_steps();
        REQUIRE(of(steps, ColumnFamily::kRevlog) == 0);
        REQUIRE(of(steps, ColumnFamily::kKeys) <= kStretchKeys);
    }
    // And another one, between the two.
    REQUIRE(world.count("", kOpenEnd, before + 1) == 0);
}

TEST_CASE("where more changed than there are keys, these are walked", "[storage][key_counts]") {
    World world(kSmall);
    fill_in_order(world, 10);
    const std::int64_t before = world.now().revision;
    for (int i = 0; i < 200; ++i) {
        world.put(key_of(3));
    }
    world.take_steps();
    REQUIRE(world.count("", kOpenEnd, before) == 10);
    const Steps steps = world.take_steps();
    REQUIRE(of(steps, ColumnFamily::kKeys) == 10);
    REQUIRE(of(steps, ColumnFamily::kRevlog) <= 10 + kSmall.changes_to_follow + 1);
}

TEST_CASE("an open reads the record and what changed since", "[storage][key_counts]") {
    World world(kSmall);
    fill_in_order(world, 100);
    REQUIRE(world.counts().wants_record());
    world.record();
    REQUIRE_FALSE(world.counts().wants_record());
    world.del(key_of(0), key_of(10));
    world.put(key_of(200));
    world.put(key_of(200));
    world.take_steps();
    world.reopen();
    Steps steps = world.take_steps();
    REQUIRE(of(steps, ColumnFamily::kRevlog) == 12);
    REQUIRE(of(steps, ColumnFamily::kKeys) == 0);
    REQUIRE(world.count("", kOpenEnd) == 91);
    REQUIRE(world.take_steps() == Steps{});
    // The changes it was not told of count towards the next record.
    REQUIRE_FALSE(world.counts().wants_record());
    for (std::uint64_t i = 12; i < kSmall.changes_to_store; ++i) {
        world.put(key_of(200));
    }
    REQUIRE(world.counts().wants_record());

    SECTION("a store that an older build collected has no record to go on from: it is walked") {
        world.reopen(world.now().revision);
        steps = world.take_steps();
        REQUIRE(of(steps, ColumnFamily::kRevlog) == 0);
        REQUIRE(of(steps, ColumnFamily::kKeys) >= 91);
        REQUIRE(world.count("", kOpenEnd) == 91);
        REQUIRE(world.counts().wants_record());
    }
    SECTION("collection comes after a record") {
        world.compact(world.now().revision);
        world.collect();
        world.take_steps();
        world.reopen();
        REQUIRE(of(world.take_steps(), ColumnFamily::kKeys) == 0);
        REQUIRE(world.count("", kOpenEnd) == 91);
    }
}

TEST_CASE("a count whose answer nobody wants ends", "[storage][key_counts]") {
    struct Unwanted final : mvcc::ReadGuard {
        Result<void> go_on() override { return Errc::kCanceled; }
        Result<void> grow(std::uint64_t) override { return ok(); }
        void shrink(std::uint64_t) override {}
        [[nodiscard]] std::size_t room_for(std::size_t bytes) const override { return bytes; }
    };
    World world(kPatient);
    Unwanted guard;
    const std::string end = key_of(50);
    const Interval interval = mvcc::interval_of("", end);
    const auto refused = [&](std::int64_t revision) {
        const auto found = world.counts().count(*world.now().reader, interval, revision, &guard);
        return found.has_error() && found.error().code == Errc::kCanceled;
    };
    fill_one_stretch(world, 100);
    CHECK(refused(world.now().revision));  // while it walks the keys
    world.reopen();
    CHECK(refused(2));  // the changes
    // What it had learned is not half there.
    CHECK(world.count("", end) == 50);
}

TEST_CASE("threads count while another applies", "[storage][key_counts][threads]") {
    World world(kSmall);
    std::mutex mutex;
    KeyCounts::Moment shown = world.now();
    std::atomic<bool> done = false;
    std::atomic<int> wrong = 0;
    std::atomic<int> counted = 0;
    const auto read = [&](std::uint64_t seed) {
        Prng prng(seed);
        std::vector<KeyCounts::Moment> kept;
        while (!done) {
            {
                const std::lock_guard lock(mutex);
                kept.push_back(shown);
            }
            if (kept.size() > 3) {
                kept.erase(kept.begin());
            }
            const KeyCounts::Moment& moment = kept[prng.below(kept.size())];
            const std::string from = key_of(prng.below(100));
            const Interval interval = mvcc::interval_of(from, kOpenEnd);
            const auto found =
                world.counts().count(*moment.reader, interval, moment.revision, nullptr);
            mvcc::KeyScan scan(*moment.reader, interval, moment.revision);
            std::int64_t expected = 0;
            while (scan.next().value()) {
                ++expected;
            }
            wrong += found.value() == expected ? 0 : 1;
            ++counted;
        }
    };
    std::vector<std::thread> readers;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        readers.emplace_back(read, seed);
    }
    Prng prng(9);
    for (int step = 0; step < 3000 || counted < 300; ++step) {
        change(world, prng);
        const std::lock_guard lock(mutex);
        shown = world.now();
    }
    done = true;
    for (std::thread& reader : readers) {
        reader.join();
    }
    REQUIRE(wrong == 0);
}

}  // namespace cairn::storage::test
