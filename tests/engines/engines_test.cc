#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "catch.h"
#include <fmt/format.h>

#include "base/checksum.h"
#include "base/prng.h"
#include "host.h"
#include "storage/mem_engine.h"
#include "storage/posix_fs.h"
#include "storage/rocks_engine.h"
#include "storage/snapshot.h"

namespace cairn::storage::test {
namespace {

TEST_CASE("Random programs on RocksEngine agree with the model") {
    const std::uint64_t first = seed_or(1000);
    const std::uint64_t programs = std::getenv("CAIRN_SEED") != nullptr ? 1 : 6;
    for (std::uint64_t seed = first; seed < first + programs; ++seed) {
        INFO("CAIRN_SEED=" << seed);
        RocksHost host;
        Program program(host, seed);
        program.run(200);
        program.check_hashes();
        program.check_collected();
        program.check_hashes();
    }
}

TEST_CASE("The same program leaves the same bytes in both engines") {
    const std::uint64_t seed = seed_or(5000);
    INFO("CAIRN_SEED=" << seed);
    MemHost memory;
    Program first(memory, seed);
    first.run(300);
    RocksHost disk;
    Program second(disk, seed);
    second.run(300);
    CHECK(first.dump() == second.dump());
}

std::string random_key(Prng& prng) {
    std::string key;
    for (std::uint64_t i = 1 + prng.below(3); i > 0; --i) {
        constexpr char kBytes[] = {'\0', '\1', 'a', 'b', '\xff'};
        key.push_back(kBytes[prng.below(5)]);
    }
    return key;
}

// A batch that keeps the contract of single_delete: kHistory is put once and deleted so.
WriteBatch random_batch(Prng& prng, std::map<std::string, bool>& once) {
    WriteBatch batch;
    for (std::uint64_t i = 1 + prng.below(8); i > 0; --i) {
        std::string key = random_key(prng);
        switch (prng.below(6)) {
            case 0: batch.remove(ColumnFamily::kKeys, key); break;
            case 1: batch.remove(ColumnFamily::kLeases, key); break;
            case 2: batch.put(ColumnFamily::kLeases, key, random_key(prng)); break;
            case 3: {
                bool& there = once[key];
                if (there) {
                    batch.single_delete(ColumnFamily::kHistory, key);
                } else {
                    batch.put(ColumnFamily::kHistory, key, random_key(prng));
                }
                there = !there;
                break;
            }
            default: batch.put(ColumnFamily::kKeys, key, random_key(prng)); break;
        }
    }
    return batch;
}

void compare_readers(const EngineReader& a, const EngineReader& b, Prng& prng) {
    const std::array families = {ColumnFamily::kKeys, ColumnFamily::kHistory,
                                 ColumnFamily::kLeases};
    const ColumnFamily family = families[prng.below(families.size())];
    const std::string key = random_key(prng);
    CHECK(a.get(family, key).value() == b.get(family, key).value());
    const std::string lower = prng.chance(1, 3) ? "" : random_key(prng);
    const std::string upper = prng.chance(1, 3) ? "" : random_key(prng);
    auto x = a.iterate(family, lower, upper);
    auto y = b.iterate(family, lower, upper);
    for (int move = 0; move < 20; ++move) {
        REQUIRE(x->valid() == y->valid());
        if (x->valid()) {
            REQUIRE(x->key() == y->key());
            REQUIRE(x->value() == y->value());
        }
        const std::string to = random_key(prng);
        const std::uint64_t dice = prng.below(4);
        if (dice == 0) {
            x->seek(to);
            y->seek(to);
        } else if (dice == 1) {
            x->seek_before(to);
            y->seek_before(to);
        } else if (x->valid()) {
            x->next();
            y->next();
        }
    }
    REQUIRE(y->status().has_value());
}

TEST_CASE("Engines answer alike to random batches, iterators, snapshots and crashes") {
    const std::uint64_t seed = seed_or(9000);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    MemHost memory;
    RocksHost disk;
    std::map<std::string, bool> once;
    std::map<std::string, bool> once_flushed;
    std::vector<std::pair<std::shared_ptr<const EngineReader>, std::shared_ptr<const EngineReader>>>
        snapshots;
    for (int step = 0; step < 3000; ++step) {
        const std::uint64_t dice = prng.below(200);
        if (dice < 90) {
            const WriteBatch batch = random_batch(prng, once);
            REQUIRE(memory.engine().write(batch).has_value());
            REQUIRE(disk.engine().write(batch).has_value());
        } else if (dice < 160) {
            compare_readers(memory.engine(), disk.engine(), prng);
        } else if (dice < 180) {
            snapshots.emplace_back(memory.engine().snapshot(), disk.engine().snapshot());
            if (snapshots.size() > 4) {
                snapshots.erase(snapshots.begin());
            }
        } else if (dice < 198) {
            if (!snapshots.empty()) {
                const auto& pair = snapshots[prng.below(snapshots.size())];
                compare_readers(*pair.first, *pair.second, prng);
            }
        } else if (dice < 199) {
            REQUIRE(memory.engine().flush().has_value());
            REQUIRE(disk.engine().flush().has_value());
            once_flushed = once;
        } else {
            snapshots.clear();
            memory.crash();
            disk.crash();
            once = once_flushed;
        }
    }
}

TEST_CASE("get_flushed tells what a crash would leave, all families at one point") {
    RocksHost host;
    const auto write = [&](const std::string& value) {
        WriteBatch batch;
        batch.put(ColumnFamily::kMeta, "applied", value);
        batch.put(ColumnFamily::kKeys, "k", value);
        REQUIRE(host.engine().write(batch).has_value());
    };
    CHECK_FALSE(host.engine().get_flushed("applied").value().has_value());
    write("1");
    CHECK_FALSE(host.engine().get_flushed("applied").value().has_value());
    CHECK(host.engine().unflushed_bytes() > 0);
    REQUIRE(host.engine().flush().has_value());
    CHECK(host.engine().unflushed_bytes() == 0);
    CHECK(host.engine().bytes_used() > 0);
    CHECK(host.engine().get_flushed("applied").value() == "1");
    write("2");
    CHECK(host.engine().get_flushed("applied").value() == "1");
    CHECK(host.engine().get(ColumnFamily::kMeta, "applied").value() == "2");
    host.crash();
    CHECK(host.engine().get(ColumnFamily::kMeta, "applied").value() == "1");
    CHECK(host.engine().get(ColumnFamily::kKeys, "k").value() == "1");
}

TEST_CASE("A checkpoint is a whole engine, unflushed writes included") {
    RocksHost host;
    WriteBatch batch;
    batch.put(ColumnFamily::kKeys, "k", "1");
    batch.put(ColumnFamily::kMeta, "applied", "9");
    REQUIRE(host.engine().write(batch).has_value());
    const std::string dir = host.path() + "/checkpoint";
    REQUIRE(host.engine().checkpoint(dir).has_value());
    CHECK(host.engine().unflushed_bytes() == 0);
    PosixFs files;
    const auto listed = list_snapshot_files(files, dir).value();
    CHECK(listed.size() > 3);
    {
        const auto reader = RocksKind().open_to_read(dir);
        REQUIRE(reader.has_value());
        CHECK(reader.value()->get(ColumnFamily::kKeys, "k").value() == "1");
    }
    CHECK(list_snapshot_files(files, dir).value() == listed);  // only read
    auto copy = open_rocks_engine(dir);
    REQUIRE(copy.has_value());
    CHECK(copy.value()->get(ColumnFamily::kKeys, "k").value() == "1");
    CHECK(copy.value()->get_flushed("applied").value() == "9");
}

// RocksDB 7's own flush of a checkpoint takes the families that have something at its beginning: 3
// of 100 were torn here.
TEST_CASE("A checkpoint is of one moment, whatever is written meanwhile") {
    const std::uint64_t seed = seed_or(7);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    RocksHost host;
    std::uint64_t number = 0;
    const auto write = [&](bool with_key) {
        WriteBatch batch;
        batch.put(ColumnFamily::kMeta, "applied", std::to_string(++number));
        if (with_key) {
            batch.put(ColumnFamily::kKeys, "k", std::to_string(number));
        }
        REQUIRE(host.engine().write(batch).has_value());
    };
    for (int round = 0; round < 300; ++round) {
        write(true);
        REQUIRE(host.engine().flush().has_value());
        write(false);  // as an entry without a key does
        const std::uint64_t before = number;
        std::atomic<bool> begun = false;
        const std::uint64_t delay = prng.below(300);
        std::thread writer([&] {
            while (!begun) {
            }
            for (std::uint64_t i = 0; i < delay; ++i) {
                std::this_thread::yield();
            }
            write(true);
        });
        const std::string dir = host.path() + "/checkpoint";
        std::filesystem::remove_all(dir);
        begun = true;
        const auto made = host.engine().checkpoint(dir);
        writer.join();
        REQUIRE(made.has_value());
        const auto reader = RocksKind().open_to_read(dir).value();
        const std::string applied = reader->get(ColumnFamily::kMeta, "applied").value().value();
        const std::string key = reader->get(ColumnFamily::kKeys, "k").value().value();
        CHECK(std::stoull(applied) >= before);
        CHECK((applied == key || std::stoull(applied) == before));
        // Nor may a crash now leave more of the one than of the other.
        const std::string flushed = host.engine().get_flushed("applied").value().value();
        host.crash();
        CHECK(host.engine().get(ColumnFamily::kMeta, "applied").value() == flushed);
        CHECK((host.engine().get(ColumnFamily::kKeys, "k").value() == flushed ||
               std::stoull(flushed) == before));
        number = std::max<std::uint64_t>(number, std::stoull(flushed));
    }
}

// Keys of one family in many tables below the first level, all of them found in each; what the
// values are does not compress.
constexpr RocksOptions kManyTables{.open_files_max = 20, .table_bytes = 16U * 1024U};
constexpr std::uint64_t kManyKeys = 8'000;

std::string number_key(std::uint64_t number) { return fmt::format("{:08}", number); }

std::string long_value(std::uint64_t number) {
    Prng prng(number);
    std::string value(300, '\0');
    std::generate(value.begin(), value.end(), [&] { return static_cast<char>(prng.below(256)); });
    return value;
}

std::vector<std::filesystem::path> tables_in(const std::string& dir) {
    std::vector<std::filesystem::path> tables;
    for (const auto& file : std::filesystem::directory_iterator(dir)) {
        if (file.path().extension() == ".sst") {
            tables.push_back(file.path());
        }
    }
    std::sort(tables.begin(), tables.end());
    return tables;
}

template <class Condition>
bool holds_soon(Condition condition) {
    for (int i = 0; i < 20'000'000 && !condition(); ++i) {
        std::this_thread::yield();
    }
    return condition();
}

void fill_many_tables(const std::string& dir, ColumnFamily family) {
    constexpr std::uint64_t kRounds = 4;  // so many are compacted
    const auto engine = open_rocks_engine(dir, kManyTables).value();
    for (std::uint64_t round = 0; round < kRounds; ++round) {
        WriteBatch batch;
        for (std::uint64_t number = round; number < kManyKeys; number += kRounds) {
            batch.put(family, number_key(number), long_value(number));
        }
        REQUIRE(engine->write(batch).has_value());
        REQUIRE(engine->flush().has_value());
    }
    // The last of the four are gone when what is made of them is in use.
    REQUIRE(holds_soon([&] {
        const auto tables = tables_in(dir);
        std::error_code gone;  // is a size too large
        return tables.size() > 2 * kManyTables.open_files_max &&
               std::filesystem::file_size(tables.front(), gone) < 4 * kManyTables.table_bytes;
    }));
}

// RocksDB 7.8 answers of a table that it has not opened that the key is there, with no value.
TEST_CASE("What is not in memory is never an empty value") {
    TempDir dir;
    const std::string path = dir.path() + "/db";
    fill_many_tables(path, ColumnFamily::kLatest);
    const auto engine = open_rocks_engine(path, kManyTables).value();
    const auto reader = engine->snapshot();
    const auto memory = reader->memory_only();
    for (std::uint64_t number = 0; number < kManyKeys; ++number) {
        const auto got = memory->get(ColumnFamily::kLatest, number_key(number));
        if (got.has_error()) {
            REQUIRE(got.error().code == Errc::kNotInMemory);
        } else {
            REQUIRE(got.value() == long_value(number));
        }
        REQUIRE(reader->get(ColumnFamily::kLatest, number_key(number)).value() ==
                long_value(number));
    }
}

// RocksDB before 8.7 left the rest of the level out, and said that all was well.
TEST_CASE("A walk that comes to a table that cannot be read ends with an error") {
    TempDir dir;
    const std::string path = dir.path() + "/db";
    fill_many_tables(path, ColumnFamily::kKeys);
    const auto tables = tables_in(path);
    {
        // And something in the first level.
        const auto engine = open_rocks_engine(path, kManyTables).value();
        WriteBatch batch;
        batch.put(ColumnFamily::kKeys, number_key(kManyKeys), "v");
        REQUIRE(engine->write(batch).has_value());
        REQUIRE(engine->flush().has_value());
        std::fstream file(tables.at(tables.size() / 2),
                          std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(5).write("\xff\xff\xff\xff", 4);
    }
    const auto engine = open_rocks_engine(path, kManyTables).value();
    const auto reader = engine->snapshot();
    const auto walk = reader->iterate(ColumnFamily::kKeys, "", "");
    std::uint64_t count = 0;
    for (; walk->valid(); walk->next()) {
        REQUIRE(walk->key() == number_key(count++));
    }
    INFO(count << " keys, "
               << (walk->status().has_error() ? to_string(walk->status().error()) : "ok"));
    CHECK(count > 0);
    CHECK(count < kManyKeys);
    REQUIRE(walk->status().has_error());
    CHECK(walk->status().error().code == Errc::kCorrupt);
}

TEST_CASE("Who must not wait does not walk over much that is gone") {
    RocksHost host;
    WriteBatch batch;
    for (std::uint64_t number = 0; number < kManyKeys; ++number) {
        batch.put(ColumnFamily::kHistory, number_key(number), "v");
    }
    REQUIRE(host.engine().write(batch).has_value());
    const auto held = host.engine().snapshot();
    batch.clear();
    for (std::uint64_t number = 0; number + 1 < kManyKeys; ++number) {
        batch.single_delete(ColumnFamily::kHistory, number_key(number));
    }
    REQUIRE(host.engine().write(batch).has_value());
    const auto reader = host.engine().snapshot();
    const auto memory = reader->memory_only()->iterate(ColumnFamily::kHistory, "", "");
    CHECK_FALSE(memory->valid());
    REQUIRE(memory->status().has_error());
    CHECK(memory->status().error().code == Errc::kNotInMemory);
    CHECK(reader->iterate(ColumnFamily::kHistory, "", "")->key() == number_key(kManyKeys - 1));
}

// Two tables are too few for a compaction of their number.
TEST_CASE("Tables that are mostly tombstones are compacted soon") {
    RocksHost host;
    WriteBatch batch;
    for (std::uint64_t number = 0; number < kManyKeys; ++number) {
        batch.put(ColumnFamily::kHistory, number_key(number), long_value(number));
    }
    REQUIRE(host.engine().write(batch).has_value());
    REQUIRE(host.engine().flush().has_value());
    CHECK(host.engine().bytes_used() > kManyKeys * 300);
    batch.clear();
    for (std::uint64_t number = 0; number < kManyKeys; ++number) {
        batch.single_delete(ColumnFamily::kHistory, number_key(number));
    }
    REQUIRE(host.engine().write(batch).has_value());
    REQUIRE(host.engine().flush().has_value());
    CHECK(holds_soon([&] { return host.engine().bytes_used() < kManyKeys * 30; }));
}

// It would begin anew, and its second start would remove the tables.
TEST_CASE("Tables that nothing names are refused and stay") {
    RocksHost host;
    WriteBatch batch;
    batch.put(ColumnFamily::kKeys, "k", "1");
    REQUIRE(host.engine().write(batch).has_value());
    const std::string dir = host.path() + "/checkpoint";
    REQUIRE(host.engine().checkpoint(dir).has_value());
    std::filesystem::rename(dir + "/CURRENT", host.path() + "/CURRENT");
    PosixFs files;
    const auto listed = list_snapshot_files(files, dir).value();
    for (int start = 0; start < 2; ++start) {
        const auto opened = open_rocks_engine(dir);
        REQUIRE_FALSE(opened.has_value());
        CHECK(opened.error().code == Errc::kCorrupt);
        CHECK(opened.error().detail.find("no CURRENT") != std::string::npos);
        CHECK(list_snapshot_files(files, dir).value() == listed);
    }
    std::filesystem::rename(host.path() + "/CURRENT", dir + "/CURRENT");
    const auto opened = open_rocks_engine(dir);
    REQUIRE(opened.has_value());
    CHECK(opened.value()->get(ColumnFamily::kKeys, "k").value() == "1");
}

TEST_CASE("A directory that cannot be opened is an error, not an abort") {
    TempDir dir;
    const auto opened = open_rocks_engine(dir.path() + "/missing/db");
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == Errc::kIo);
    RocksHost host;
    const auto twice = open_rocks_engine(host.path() + "/db");
    REQUIRE_FALSE(twice.has_value());
    CHECK(twice.error().code == Errc::kIo);
}

}  // namespace
}  // namespace cairn::storage::test
