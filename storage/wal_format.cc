#include "storage/wal_format.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <fmt/format.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "base/assert.h"

namespace cairn::storage::wal {
namespace {

constexpr std::uint8_t kHasFloor = 1;
constexpr std::uint8_t kHasHardState = 2;
constexpr std::uint8_t kRestarts = 4;
constexpr std::size_t kSummedBytes = 48;     // the header without its own sum
constexpr std::size_t kEntryHeadBytes = 13;  // term, kind, payload length
constexpr std::size_t kHardStateBytes = 24;
constexpr std::size_t kEntryIdBytes = 16;
constexpr std::size_t kNameDigits = 16;
constexpr std::string_view kSegmentSuffix = ".seg";
constexpr std::string_view kSpareSuffix = ".spare";

// Little-endian whatever the machine is.
template <class T>
char* put(char* to, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        to[i] = static_cast<char>(static_cast<unsigned char>(value >> (8U * i)));
    }
    return to + sizeof(T);
}

template <class T>
T get(const char* from) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        value |= static_cast<std::uint64_t>(static_cast<unsigned char>(from[i])) << (8U * i);
    }
    return static_cast<T>(value);
}

// Reads fields one after the other; after the first one that is not there, everything is zero.
class Cursor {
  public:
    explicit Cursor(ByteView bytes) : bytes_(bytes) {}

    template <class T>
    T take() {
        const ByteView field = take_bytes(sizeof(T));
        return field.size() == sizeof(T) ? get<T>(field.data()) : T{};
    }
    ByteView take_bytes(std::size_t count) {
        if (count > bytes_.size()) {
            fail();
            return {};
        }
        const ByteView field = bytes_.substr(0, count);
        bytes_.remove_prefix(count);
        return field;
    }
    // A count of items of at least `item_bytes` each: more than fit are not believed.
    std::uint32_t take_count(std::size_t item_bytes) {
        const auto count = take<std::uint32_t>();
        if (count > bytes_.size() / item_bytes) {
            fail();
            return 0;
        }
        return count;
    }
    void fail() {
        failed_ = true;
        bytes_ = {};
    }
    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] bool at_end() const { return bytes_.empty(); }

  private:
    ByteView bytes_;
    bool failed_ = false;
};

std::size_t conf_bytes(const raft::ConfState& conf) {
    const std::size_t ids = conf.voters.size() + conf.voters_outgoing.size() +
                            conf.learners.size() + conf.learners_next.size();
    return 4 * sizeof(std::uint32_t) + ids * sizeof(std::uint64_t) + 1;
}

char* put_ids(char* to, const std::vector<NodeId>& ids) {
    to = put(to, static_cast<std::uint32_t>(ids.size()));
    for (const NodeId id : ids) {
        to = put(to, id.value);
    }
    return to;
}

char* put_entry_id(char* to, const raft::EntryId& id) {
    return put(put(to, id.term.value), id.index.value);
}

char* put_floor(char* to, const raft::SnapshotMeta& floor) {
    to = put_entry_id(to, floor.last);
    to = put_ids(to, floor.conf.voters);
    to = put_ids(to, floor.conf.voters_outgoing);
    to = put_ids(to, floor.conf.learners);
    to = put_ids(to, floor.conf.learners_next);
    return put(to, static_cast<std::uint8_t>(floor.conf.auto_leave ? 1 : 0));
}

char* put_hard_state(char* to, const raft::HardState& state) {
    return put(put(put(to, state.term.value), state.vote.value), state.commit.value);
}

char* put_entry(char* to, const raft::Entry& entry) {
    to = put(to, entry.id.term.value);
    to = put(to, static_cast<std::uint8_t>(entry.kind));
    to = put(to, static_cast<std::uint32_t>(entry.payload.size()));
    if (!entry.payload.empty()) {
        std::memcpy(to, entry.payload.data(), entry.payload.size());
    }
    return to + entry.payload.size();
}

std::vector<NodeId> take_ids(Cursor& cursor) {
    std::vector<NodeId> ids(cursor.take_count(sizeof(std::uint64_t)));
    for (NodeId& id : ids) {
        id.value = cursor.take<std::uint64_t>();
    }
    return ids;
}

// A term or an index.
template <class Number>
Number take_number(Cursor& cursor) {
    const Number number{cursor.take<std::uint64_t>()};
    if (number.value > kNumberMax) {
        cursor.fail();
    }
    return number;
}

raft::EntryId take_entry_id(Cursor& cursor) {
    raft::EntryId id;
    id.term = take_number<Term>(cursor);
    id.index = take_number<Index>(cursor);
    return id;
}

raft::SnapshotMeta take_floor(Cursor& cursor) {
    raft::SnapshotMeta floor;
    floor.last = take_entry_id(cursor);
    floor.conf.voters = take_ids(cursor);
    floor.conf.voters_outgoing = take_ids(cursor);
    floor.conf.learners = take_ids(cursor);
    floor.conf.learners_next = take_ids(cursor);
    const auto auto_leave = cursor.take<std::uint8_t>();
    if (auto_leave > 1) {
        cursor.fail();
    }
    floor.conf.auto_leave = auto_leave == 1;
    if (!raft::is_well_formed(floor.conf)) {
        cursor.fail();
    }
    return floor;
}

raft::HardState take_hard_state(Cursor& cursor) {
    raft::HardState state;
    state.term = take_number<Term>(cursor);
    state.vote.value = cursor.take<std::uint64_t>();
    state.commit = take_number<Index>(cursor);
    return state;
}

raft::Entry take_entry(Cursor& cursor) {
    raft::Entry entry;
    entry.id.term = take_number<Term>(cursor);
    const auto kind = cursor.take<std::uint8_t>();
    if (kind > static_cast<std::uint8_t>(raft::EntryKind::kConfig)) {
        cursor.fail();
    }
    entry.kind = static_cast<raft::EntryKind>(kind);
    entry.payload = Bytes::copy_of(cursor.take_bytes(cursor.take<std::uint32_t>()));
    return entry;
}

std::vector<raft::Entry> take_entries(Cursor& cursor) {
    const auto count = cursor.take_count(kEntryHeadBytes);
    std::vector<raft::Entry> entries;
    if (count == 0) {
        return entries;
    }
    auto index = take_number<Index>(cursor);
    if (index.value > kNumberMax - (count - 1)) {
        cursor.fail();
    }
    entries.reserve(count);
    for (std::uint32_t i = 0; i < count && !cursor.failed(); ++i, ++index) {
        entries.push_back(take_entry(cursor));
        entries.back().id.index = index;
    }
    return entries;
}

raft::PersistBatch take_group(Cursor& cursor) {
    raft::PersistBatch batch;
    const auto flags = cursor.take<std::uint8_t>();
    batch.restart = (flags & kRestarts) != 0;
    if ((flags & ~(kHasFloor | kHasHardState | kRestarts)) != 0 ||
        (batch.restart && (flags & kHasFloor) == 0)) {
        cursor.fail();
    }
    if ((flags & kHasFloor) != 0) {
        batch.floor = take_floor(cursor);
    }
    if ((flags & kHasHardState) != 0) {
        batch.hard_state = take_hard_state(cursor);
    }
    batch.entries = take_entries(cursor);
    if (flags == 0 && batch.entries.empty()) {
        cursor.fail();  // nobody writes a group that says nothing, and many fit into a batch
    }
    return batch;
}

std::uint64_t header_sum(const char* header, std::uint64_t offset) {
    return XXH3_64bits_withSeed(header, kSummedBytes, offset);
}

std::optional<std::uint64_t> parse_name(const std::string& name, std::string_view suffix) {
    if (name.size() != kNameDigits + suffix.size() ||
        std::string_view(name).substr(kNameDigits) != suffix) {
        return std::nullopt;
    }
    std::uint64_t id = 0;
    for (std::size_t i = 0; i < kNameDigits; ++i) {
        const std::size_t digit = std::string_view("0123456789abcdef").find(name[i]);
        if (digit == std::string_view::npos) {
            return std::nullopt;
        }
        id = id << 4U | digit;
    }
    return id;
}

}  // namespace

void BatchBuffer::Free::operator()(char* pointer) const { std::free(pointer); }

char* BatchBuffer::extend(std::size_t bytes) {
    reserve(size_ + bytes);
    char* begin = data_.get() + size_;
    size_ += bytes;
    return begin;
}

void BatchBuffer::reserve(std::size_t bytes) {
    if (bytes <= capacity_) {
        return;
    }
    const std::size_t wanted = std::max(bytes, capacity_ * 2);
    const std::size_t rounded = (wanted + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
    std::unique_ptr<char[], Free> grown(
        static_cast<char*>(std::aligned_alloc(kBlockBytes, rounded)));
    CAIRN_ASSERT(grown != nullptr);
    if (data_ != nullptr) {
        std::memcpy(grown.get(), data_.get(), size_);
    }
    data_ = std::move(grown);
    capacity_ = rounded;
}

void BatchBuffer::finish(BatchHeader& header, std::uint64_t offset) {
    CAIRN_ASSERT(payload_bytes() <= UINT32_MAX);
    finished_ = padded_bytes(payload_bytes());
    reserve(finished_);
    char* data = data_.get();
    std::memset(data + size_, 0, finished_ - size_);
    header.payload_bytes = static_cast<std::uint32_t>(payload_bytes());
    header.body_sum = XXH3_64bits(data + kHeaderBytes, finished_ - kHeaderBytes);
    char* to = put(data, kMagic);
    to = put(to, header.version);
    to = put(to, static_cast<std::uint16_t>(header.kind));
    to = put(to, header.segment);
    to = put(to, header.number);
    to = put(to, header.chain);
    to = put(to, header.payload_bytes);
    to = put(to, std::uint32_t{0});
    to = put(to, header.body_sum);
    header.header_sum = header_sum(data, offset);
    put(to, header.header_sum);
}

std::uint64_t group_bytes(const raft::PersistBatch& batch) {
    std::uint64_t bytes = 1 + sizeof(std::uint32_t);
    if (batch.floor) {
        bytes += kEntryIdBytes + conf_bytes(batch.floor->conf);
    }
    if (batch.hard_state) {
        bytes += kHardStateBytes;
    }
    if (!batch.entries.empty()) {
        bytes += sizeof(std::uint64_t);
    }
    for (const raft::Entry& entry : batch.entries) {
        bytes += kEntryHeadBytes + entry.payload.size();
    }
    return bytes;
}

void encode_group(const raft::PersistBatch& batch, BatchBuffer& buffer) {
    const std::uint64_t bytes = group_bytes(batch);
    char* const begin = buffer.extend(bytes);
    CAIRN_ASSERT(batch.floor || !batch.restart);
    const unsigned flags = (batch.floor ? kHasFloor : 0U) |
                           (batch.hard_state ? kHasHardState : 0U) |
                           (batch.restart ? kRestarts : 0U);
    char* to = put(begin, static_cast<std::uint8_t>(flags));
    if (batch.floor) {
        to = put_floor(to, *batch.floor);
    }
    if (batch.hard_state) {
        to = put_hard_state(to, *batch.hard_state);
    }
    to = put(to, static_cast<std::uint32_t>(batch.entries.size()));
    if (!batch.entries.empty()) {
        to = put(to, batch.entries.front().id.index.value);
    }
    for (const raft::Entry& entry : batch.entries) {
        to = put_entry(to, entry);
    }
    CAIRN_ASSERT(to == begin + bytes);
}

void encode_segment_state(const SegmentState& state, BatchBuffer& buffer) {
    const std::size_t bytes = kHardStateBytes + 2 * kEntryIdBytes + conf_bytes(state.floor.conf);
    char* const begin = buffer.extend(bytes);
    char* to = put_hard_state(begin, state.hard_state);
    to = put_floor(to, state.floor);
    to = put_entry_id(to, state.last);
    CAIRN_ASSERT(to == begin + bytes);
}

std::optional<BatchHeader> decode_header(ByteView block, std::uint64_t offset) {
    if (block.size() < kHeaderBytes || get<std::uint32_t>(block.data()) != kMagic) {
        return std::nullopt;
    }
    const char* data = block.data();
    BatchHeader header;
    header.header_sum = get<std::uint64_t>(data + kSummedBytes);
    if (header.header_sum != header_sum(data, offset)) {
        return std::nullopt;
    }
    header.version = get<std::uint16_t>(data + 4);
    header.kind = static_cast<BatchKind>(get<std::uint16_t>(data + 6));
    header.segment = get<std::uint64_t>(data + 8);
    header.number = get<std::uint64_t>(data + 16);
    header.chain = get<std::uint64_t>(data + 24);
    header.payload_bytes = get<std::uint32_t>(data + 32);
    header.body_sum = get<std::uint64_t>(data + 40);
    return header;
}

bool body_intact(const BatchHeader& header, ByteView body) {
    CAIRN_ASSERT(body.size() == padded_bytes(header.payload_bytes) - kHeaderBytes);
    return XXH3_64bits(body.data(), body.size()) == header.body_sum;
}

Result<std::vector<raft::PersistBatch>> decode_groups(ByteView payload) {
    Cursor cursor(payload);
    std::vector<raft::PersistBatch> batches;
    while (!cursor.at_end() && !cursor.failed()) {
        batches.push_back(take_group(cursor));
    }
    if (cursor.failed() || batches.empty()) {
        return Error{Errc::kMalformed, "groups do not parse"};
    }
    return batches;
}

Result<SegmentState> decode_segment_state(ByteView payload) {
    Cursor cursor(payload);
    SegmentState state;
    state.hard_state = take_hard_state(cursor);
    state.floor = take_floor(cursor);
    state.last = take_entry_id(cursor);
    if (cursor.failed() || !cursor.at_end()) {
        return Error{Errc::kMalformed, "segment state does not parse"};
    }
    return state;
}

std::string segment_name(std::uint64_t id) { return fmt::format("{:016x}{}", id, kSegmentSuffix); }

std::string spare_name(std::uint64_t id) { return fmt::format("{:016x}{}", id, kSpareSuffix); }

std::optional<std::uint64_t> parse_segment_name(const std::string& name) {
    return parse_name(name, kSegmentSuffix);
}

std::optional<std::uint64_t> parse_spare_name(const std::string& name) {
    return parse_name(name, kSpareSuffix);
}

}  // namespace cairn::storage::wal
