// A segment longer than what the reader holds of it at once: batches and proofs across that edge.

#include <string>
#include <vector>

#include "catch.h"

#include "log_harness.h"
#include "storage/wal_format.h"

namespace cairn::storage {
namespace {

constexpr LogOptions kLongSegment{.segment_bytes = 4U * 1024U * 1024U, .recycle_max = 1};
const std::string kSegment = std::string(kLogDir) + "/0000000000000001.seg";

// Where each batch begins, the segment's own first, and what the log then holds.
struct LongLog {
    std::unique_ptr<SimFs> files = new_disk();
    std::vector<std::uint64_t> offsets;
    LogModel before_last;
    LogModel whole;
};

// Batches of odd lengths, shorter and longer than any window; the last one is of one block.
LongLog long_log() {
    LongLog log;
    auto opened = LogStore::open(*log.files, kLogDir, kLongSegment);
    std::uint64_t index = 0;
    for (const std::size_t bytes :
         {100'000U, 70'000U, 60'000U, 40'000U, 600'000U, 9'000U, 900'000U, 10U}) {
        log.before_last = log.whole;
        const std::vector<raft::PersistBatch> batches{entries_batch(1, ++index, 1, bytes)};
        REQUIRE(opened.value().log->append(batches).has_value());
        log.whole.apply(batches.front());
    }
    const std::string content = log.files->content(kSegment).value();
    for (std::uint64_t at = 0; at < content.size();) {
        const auto header = wal::decode_header(ByteView(content).substr(at), at);
        if (!header) {
            break;
        }
        log.offsets.push_back(at);
        at += wal::padded_bytes(header->payload_bytes);
    }
    REQUIRE(log.offsets.size() == index + 1);
    return log;
}

}  // namespace

TEST_CASE("batches that cross the reader's window are read back", "[log][window]") {
    const LongLog log = long_log();
    const auto opened = LogStore::open(*log.files, kLogDir, kLongSegment);
    REQUIRE(opened.has_value());
    CHECK(opened.value().recovered == log.whole.recovered());
    CHECK(opened.value().torn_bytes == 0);
}

TEST_CASE("rot is refused though its proof lies windows behind it", "[log][window][rot]") {
    const LongLog log = long_log();
    for (std::size_t batch = 0; batch + 1 < log.offsets.size(); ++batch) {
        // In the header, in the payload's first and in its last block.
        const std::uint64_t begin = log.offsets[batch];
        const std::uint64_t end = log.offsets[batch + 1];
        for (const std::uint64_t at : {begin + 9, begin + 60, end - 1}) {
            INFO("batch " << batch << ", byte " << at);
            log.files->flip_bit(kSegment, at, 5);
            const auto opened = LogStore::open(*log.files, kLogDir, kLongSegment);
            REQUIRE(opened.has_error());
            CHECK(opened.error().code == Errc::kCorrupt);
            CHECK(opened.error().detail.starts_with(kSegment + " at " + std::to_string(begin)));
            log.files->flip_bit(kSegment, at, 5);
        }
    }
    CHECK(LogStore::open(*log.files, kLogDir, kLongSegment).value().recovered ==
          log.whole.recovered());
}

TEST_CASE("a torn newest batch far inside a segment is dropped", "[log][window][tear]") {
    const LongLog log = long_log();
    log.files->flip_bit(kSegment, log.offsets.back() + 60, 5);
    auto opened = LogStore::open(*log.files, kLogDir, kLongSegment);
    REQUIRE(opened.has_value());
    CHECK(opened.value().recovered == log.before_last.recovered());
    CHECK(opened.value().torn_bytes == wal::kBlockBytes);
}

}  // namespace cairn::storage
