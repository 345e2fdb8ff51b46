// Golden bytes of docs/formats/wal.md, and what decoding refuses.

#include "storage/wal_format.h"

#include <string>
#include <utility>

#include "catch.h"

#include "log_harness.h"

namespace cairn::storage::wal {
namespace {

std::string hex(ByteView bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        text += kDigits[static_cast<unsigned char>(c) >> 4U];
        text += kDigits[static_cast<unsigned char>(c) & 15U];
    }
    return text;
}

raft::PersistBatch sample() {
    raft::PersistBatch batch;
    raft::SnapshotMeta floor;
    floor.last = {Term{2}, Index{5}};
    floor.conf.voters = {NodeId{2}, NodeId{0x1122334455667788U}};
    floor.conf.voters_outgoing = {NodeId{3}};
    floor.conf.learners_next = {NodeId{4}};
    floor.conf.auto_leave = true;
    batch.floor = floor;
    batch.hard_state = raft::HardState{Term{3}, NodeId{2}, Index{6}};
    batch.entries = {{{Term{2}, Index{6}}, raft::EntryKind::kCommand, Bytes::copy_of("put")},
                     {{Term{3}, Index{7}}, raft::EntryKind::kNoop, Bytes()}};
    return batch;
}

std::string encoded(const raft::PersistBatch& batch) {
    BatchBuffer buffer;
    buffer.clear();
    encode_group(batch, buffer);
    BatchHeader header;
    buffer.finish(header, 0);
    return std::string(buffer.view().substr(kHeaderBytes, buffer.payload_bytes()));
}

// The whole of one batch at `offset`.
std::string batch_bytes(BatchHeader& header, std::uint64_t offset) {
    BatchBuffer buffer;
    buffer.clear();
    encode_group(sample(), buffer);
    buffer.finish(header, offset);
    return std::string(buffer.view());
}

}  // namespace

TEST_CASE("a group has its golden bytes", "[log][format]") {
    REQUIRE(hex(encoded(sample())) ==
            "03"                // flags: floor, hard state
            "0200000000000000"  // floor: term
            "0500000000000000"  // index
            "02000000"
            "0200000000000000"
            "8877665544332211"  // voters
            "01000000"
            "0300000000000000"  // voters_outgoing
            "00000000"          // learners
            "01000000"
            "0400000000000000"  // learners_next
            "01"                // auto_leave
            "0300000000000000"  // hard state: term
            "0200000000000000"  // vote
            "0600000000000000"  // commit
            "02000000"
            "0600000000000000"  // two entries from index 6
            "0200000000000000"
            "01"
            "03000000"
            "707574"
            "0300000000000000"
            "00"
            "00000000");
    REQUIRE(decode_groups(encoded(sample())).value() == std::vector{sample()});
    REQUIRE(hex(encoded(entries_batch(0, 0, 0))) == "0000000000");
    REQUIRE(group_bytes(sample()) == encoded(sample()).size());
}

TEST_CASE("a segment's first batch has its golden bytes", "[log][format]") {
    const SegmentState state{{Term{7}, NodeId{1}, Index{9}}, {}, {Term{6}, Index{10}}};
    BatchBuffer buffer;
    buffer.clear();
    encode_segment_state(state, buffer);
    BatchHeader header{.kind = BatchKind::kSegment, .segment = 2, .number = 17, .chain = 0xabcd};
    buffer.finish(header, 0);
    REQUIRE(buffer.view().size() == kBlockBytes);
    REQUIRE(hex(buffer.view().substr(0, kHeaderBytes)) ==
            "434e574c"
            "0100"
            "0100"              // magic, version, kind
            "0200000000000000"  // segment
            "1100000000000000"  // number
            "cdab000000000000"  // chain
            "49000000"
            "00000000"          // payload bytes, reserved
            "30aa4d6b0f29786a"  // body sum
            "0394d5254509570e");
    REQUIRE(hex(buffer.view().substr(kHeaderBytes, buffer.payload_bytes())) ==
            "0700000000000000"
            "0100000000000000"
            "0900000000000000"
            "0000000000000000"
            "0000000000000000"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00"
            "0600000000000000"
            "0a00000000000000");
    REQUIRE(buffer.view().substr(kHeaderBytes + buffer.payload_bytes()).find_first_not_of('\0') ==
            ByteView::npos);
    REQUIRE(decode_header(buffer.view(), 0) == header);
    REQUIRE(body_intact(header, buffer.view().substr(kHeaderBytes)));
    REQUIRE(
        decode_segment_state(buffer.view().substr(kHeaderBytes, header.payload_bytes)).value() ==
        state);
}

TEST_CASE("a header is believed only at its own offset, whole", "[log][format]") {
    BatchHeader header{.kind = BatchKind::kData, .segment = 5, .number = 6, .chain = 7};
    std::string bytes = batch_bytes(header, 8192);
    REQUIRE(decode_header(bytes, 8192) == header);
    REQUIRE_FALSE(decode_header(bytes, 4096).has_value());
    for (std::size_t size = 0; size < kHeaderBytes; ++size) {
        REQUIRE_FALSE(decode_header(ByteView(bytes).substr(0, size), 8192).has_value());
    }
    for (std::size_t bit = 0; bit < kHeaderBytes * 8; ++bit) {
        std::string bad = bytes;
        bad[bit / 8] =
            static_cast<char>(static_cast<unsigned char>(bad[bit / 8]) ^ (1U << bit % 8));
        REQUIRE_FALSE(decode_header(bad, 8192).has_value());
    }
}

TEST_CASE("payloads that do not parse are refused", "[log][format]") {
    const std::string good = encoded(sample());
    for (std::size_t size = 0; size < good.size(); ++size) {
        INFO(size);
        REQUIRE(decode_groups(ByteView(good).substr(0, size)).error().code == Errc::kMalformed);
    }
    REQUIRE(decode_groups(good + good).value().size() == 2);
    std::string bad = good;
    bad[0] = 4;  // an unknown flag
    REQUIRE(decode_groups(bad).has_error());
    bad = encoded(entries_batch(1, 1, 1));
    bad[1 + 4 + 8 + 8] = 3;  // an unknown kind of entry
    REQUIRE(decode_groups(bad).has_error());
    bad = std::string("\0\xff\xff\xff\xff", 5) + std::string(40, 'x');  // a count beyond the bytes
    REQUIRE(decode_groups(bad).has_error());
    REQUIRE(decode_segment_state("").has_error());
    REQUIRE(decode_segment_state(good).has_error());
}

TEST_CASE("terms and indexes that no log gets to are refused", "[log][format]") {
    using Batch = raft::PersistBatch;
    constexpr std::uint64_t kBeyond = kNumberMax + 1;
    const auto refused = [](auto change) {
        Batch batch = sample();
        change(batch);
        return decode_groups(encoded(batch)).has_error();
    };
    CHECK_FALSE(refused([](Batch& batch) { batch.floor->last.index = Index{kNumberMax}; }));
    CHECK(refused([](Batch& batch) { batch.floor->last.index = Index{kBeyond}; }));
    CHECK(refused([](Batch& batch) { batch.floor->last.term = Term{kBeyond}; }));
    CHECK(refused([](Batch& batch) { batch.hard_state->term = Term{kBeyond}; }));
    CHECK(refused([](Batch& batch) { batch.hard_state->commit = Index{kBeyond}; }));
    CHECK_FALSE(
        refused([](Batch& batch) { batch.entries.front().id.index = Index{kNumberMax - 1}; }));
    // The second of two would be beyond.
    CHECK(refused([](Batch& batch) { batch.entries.front().id.index = Index{kNumberMax}; }));
    CHECK(refused([](Batch& batch) { batch.entries.back().id.term = Term{kBeyond}; }));

    const auto decoded = [](raft::EntryId last) {
        BatchBuffer buffer;
        buffer.clear();
        encode_segment_state({{}, {}, last}, buffer);
        BatchHeader header;
        buffer.finish(header, 0);
        return decode_segment_state(buffer.view().substr(kHeaderBytes, header.payload_bytes));
    };
    CHECK(decoded({Term{1}, Index{kNumberMax}}).has_value());
    CHECK(decoded({Term{1}, Index{kBeyond}}).has_error());
    CHECK(decoded({Term{kBeyond}, Index{1}}).has_error());
    // What is believed of others can be gone on from.
    static_assert(kTermOrIndexMax < kNumberMax);
}

TEST_CASE("what nobody writes is refused", "[log][format]") {
    CHECK(decode_groups(encoded(entries_batch(0, 0, 0))).has_error());
    raft::PersistBatch batch = sample();
    std::swap(batch.floor->conf.voters[0], batch.floor->conf.voters[1]);
    CHECK(decode_groups(encoded(batch)).has_error());
    batch = sample();
    batch.floor->conf.learners = {NodeId{}};
    CHECK(decode_groups(encoded(batch)).has_error());
}

TEST_CASE("file names sort by id and are recognised exactly", "[log][format]") {
    REQUIRE(segment_name(1) == "0000000000000001.seg");
    REQUIRE(spare_name(0xabcdef0123456789U) == "abcdef0123456789.spare");
    REQUIRE(parse_segment_name("00000000000000ff.seg") == 255);
    REQUIRE(parse_spare_name("0000000000000010.spare") == 16);
    for (const char* name : {"", "1.seg", "000000000000000G.seg", "00000000000000FF.seg",
                             "0000000000000001.segx", "0000000000000001.spare"}) {
        REQUIRE_FALSE(parse_segment_name(name).has_value());
    }
}

TEST_CASE("an unknown format version is refused by name", "[log][format]") {
    auto files = new_disk();
    REQUIRE(run_steps(*files, {{{entries_batch(1, 1, 1)}}}).completed);
    files->kill_process();
    const std::string path = std::string(kLogDir) + "/0000000000000001.seg";
    std::string content = files->content(path).value();
    const BatchHeader first = decode_header(content, 0).value();
    std::uint64_t offset = 0;
    BatchHeader newer{.version = 2, .kind = BatchKind::kSegment, .segment = 1, .number = 1};
    SECTION("in the first batch") {}
    SECTION("in a later batch") {
        offset = 2 * kBlockBytes;
        const BatchHeader second =
            decode_header(ByteView(content).substr(kBlockBytes), kBlockBytes).value();
        REQUIRE(second.chain == first.header_sum);
        newer = {.version = 2,
                 .kind = BatchKind::kData,
                 .segment = 1,
                 .number = 3,
                 .chain = second.header_sum};
    }
    content.replace(offset, kBlockBytes, batch_bytes(newer, offset));
    files->put_file(path, content);
    const auto opened = LogStore::open(*files, kLogDir, kTinyLog);
    REQUIRE(opened.error() ==
            Error{Errc::kUnsupportedVersion, path + " at " + std::to_string(offset) +
                                                 ": format version 2, this build reads 1"});
}

TEST_CASE("durable batches that break the log's order are refused", "[log][format]") {
    const std::string path = std::string(kLogDir) + "/0000000000000001.seg";
    const auto refused = [&](const std::vector<raft::PersistBatch>& batches) {
        auto files = new_disk();
        REQUIRE(run_steps(*files, {{{entries_batch(2, 1, 3)}}}).completed);
        files->kill_process();
        std::string content = files->content(path).value();
        const auto second = decode_header(ByteView(content).substr(kBlockBytes), kBlockBytes);
        BatchBuffer buffer;
        buffer.clear();
        for (const raft::PersistBatch& batch : batches) {
            encode_group(batch, buffer);
        }
        BatchHeader header{.segment = 1, .number = 3, .chain = second->header_sum};
        buffer.finish(header, 2 * kBlockBytes);
        content.replace(2 * kBlockBytes, buffer.view().size(), buffer.view());
        files->put_file(path, content);
        const auto opened = LogStore::open(*files, kLogDir, kTinyLog);
        REQUIRE(opened.error().code == Errc::kCorrupt);
        return opened.error().detail;
    };
    LogModel model;
    model.apply(entries_batch(2, 1, 3));
    const std::string at = path + " at 8192: ";
    REQUIRE(refused({entries_batch(2, 5, 1)}) ==
            at + "entries go on at index 5; first index missing: 4");
    REQUIRE(refused({entries_batch(1, 4, 1)}) ==
            at + "the term falls at index 4; first index missing: 4");
    REQUIRE(refused({floor_batch(model, 2), entries_batch(3, 2, 1)}) ==
            at + "entries from index 2 lie below the floor; first index missing: 4");
    REQUIRE(refused({floor_batch(model, 2), floor_batch(model, 1)}) ==
            at + "the floor goes back; first index missing: 4");
    raft::PersistBatch other_floor;
    other_floor.floor = floor_at({Term{3}, Index{2}});
    REQUIRE(refused({other_floor}) ==
            at + "the floor names another entry than the log holds; first index missing: 4");
}

}  // namespace cairn::storage::wal
