// The bytes of the Raft log: batch headers, checksums, payload grammar (docs/formats/wal.md).
// Pure functions and values; any thread.
// Never touches a file, and never trusts a length it has not checked.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "raft/persist.h"

namespace cairn::storage::wal {

inline constexpr std::uint32_t kMagic = 0x4c574e43U;  // "CNWL"
inline constexpr std::uint16_t kVersion = 1;
inline constexpr std::uint64_t kBlockBytes = 4096;
inline constexpr std::size_t kHeaderBytes = 56;
// Of terms, indexes, batches and files: larger ones are in no log.
inline constexpr std::uint64_t kNumberMax = 2 * kTermOrIndexMax;

enum class BatchKind : std::uint16_t {
    kSegment = 1,  // the first batch of each segment: the state at its start
    kData = 2,     // groups, one for each PersistBatch
    kSeal = 3,     // empty: tells that the batch before was durable
};

// What stands before each payload. 56 bytes, so that it lies in one 512-byte sector: a header is
// either wholly on the disk or not at all.
struct BatchHeader {
    std::uint16_t version = kVersion;
    BatchKind kind = BatchKind::kData;
    std::uint64_t segment{};  // the id of the segment it was written for
    std::uint64_t number{};   // from 1, without gaps, through the whole life of the log
    std::uint64_t chain{};    // header_sum of batch number - 1; 0 for the first
    std::uint32_t payload_bytes{};
    std::uint64_t body_sum{};    // XXH3-64 of payload and padding
    std::uint64_t header_sum{};  // XXH3-64 of the fields above, seeded with the file offset

    bool operator==(const BatchHeader&) const = default;
};

// The state that the first batch of a segment repeats, so that the segments before can go.
struct SegmentState {
    raft::HardState hard_state;
    raft::SnapshotMeta floor;
    raft::EntryId last;  // the last entry of the log when the segment began

    bool operator==(const SegmentState&) const = default;
};

// Header and payload, rounded up to whole blocks.
constexpr std::uint64_t padded_bytes(std::uint64_t payload_bytes) {
    const std::uint64_t bytes = kHeaderBytes + payload_bytes;
    return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

// A growing, block-aligned buffer that holds one batch; reused, so appends do not allocate.
class BatchBuffer {
  public:
    // Empties the buffer, leaving room for the header.
    void clear() { size_ = kHeaderBytes; }
    // Room for `bytes` more; the pointer is good until the next call.
    char* extend(std::size_t bytes);
    // Zero-fills up to the next block boundary, computes the sums and writes the header for a
    // batch that will stand at `offset`. Fills payload_bytes, body_sum and header_sum.
    void finish(BatchHeader& header, std::uint64_t offset);

    [[nodiscard]] std::uint64_t payload_bytes() const { return size_ - kHeaderBytes; }
    // After finish: the whole batch.
    [[nodiscard]] ByteView view() const { return {data_.get(), finished_}; }

  private:
    struct Free {
        void operator()(char* pointer) const;
    };
    void reserve(std::size_t bytes);

    std::unique_ptr<char[], Free> data_;
    std::size_t capacity_ = 0;
    std::size_t size_ = kHeaderBytes;
    std::size_t finished_ = 0;
};

// Bytes of one PersistBatch inside a data payload.
std::uint64_t group_bytes(const raft::PersistBatch& batch);
void encode_group(const raft::PersistBatch& batch, BatchBuffer& buffer);
void encode_segment_state(const SegmentState& state, BatchBuffer& buffer);

// The header at the beginning of `block`, which was read at `offset`; nothing when its sum fails
// there. The version is not judged.
std::optional<BatchHeader> decode_header(ByteView block, std::uint64_t offset);
// True when payload and padding, `padded_bytes(...) - kHeaderBytes` bytes, are what was written.
bool body_intact(const BatchHeader& header, ByteView body);

// kMalformed. Payloads are copied out of `payload`.
Result<std::vector<raft::PersistBatch>> decode_groups(ByteView payload);
Result<SegmentState> decode_segment_state(ByteView payload);

// "0000000000000001.seg" and "0000000000000001.spare"; hexadecimal, so that names sort by id.
std::string segment_name(std::uint64_t id);
std::string spare_name(std::uint64_t id);
// The id in such a name, or nothing when the name is not of that form.
std::optional<std::uint64_t> parse_segment_name(const std::string& name);
std::optional<std::uint64_t> parse_spare_name(const std::string& name);

}  // namespace cairn::storage::wal
