// Whatever a segment holds, opening the log ends with a log that keeps its promises, or an error.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "storage/log_store.h"
#include "storage/wal_format.h"
#include "tests/sim_fs/sim_fs.h"

namespace cairn::storage {
namespace {

constexpr const char* kDir = "/wal";
constexpr LogOptions kOptions{.segment_bytes = 16U * 1024U, .recycle_max = 1};

// Cuts the input into the payloads of batches that are right in everything else: one byte
// of kind, two of length, then the payload. Random bytes would not get past the checksums.
std::string well_formed(std::string_view input) {
    std::string segment;
    wal::BatchHeader header{.segment = 1, .number = 1};
    wal::BatchBuffer buffer;
    while (input.size() >= 3 && segment.size() < 8 * wal::kBlockBytes) {
        const unsigned head = static_cast<unsigned char>(input[0]);
        const std::size_t wanted = static_cast<unsigned char>(input[1]) |
                                   static_cast<std::size_t>(static_cast<unsigned char>(input[2]))
                                       << 8U;
        const std::size_t length = std::min(wanted, input.size() - 3);
        buffer.clear();
        input.substr(3, length).copy(buffer.extend(length), length);
        header.kind = static_cast<wal::BatchKind>(head % 5);
        buffer.finish(header, segment.size());
        segment += buffer.view();
        header.chain = header.header_sum;
        ++header.number;
        input.remove_prefix(3 + length);
    }
    return segment;
}

std::optional<raft::Recovered> open_log(SimFs& files) {
    auto opened = LogStore::open(files, kDir, kOptions);
    files.kill_process();
    if (opened.has_error()) {
        const Errc code = opened.error().code;
        CAIRN_ASSERT(code == Errc::kCorrupt || code == Errc::kUnsupportedVersion);
        return std::nullopt;
    }
    return std::move(opened).value().recovered;
}

void check_log(const std::string& segment) {
    SimFs files;
    CAIRN_ASSERT(files.make_dirs(kDir).has_value());
    files.put_file(std::string(kDir) + "/" + wal::segment_name(1), segment);
    const std::optional<raft::Recovered> recovered = open_log(files);
    if (!recovered) {
        return;
    }
    raft::EntryId previous = recovered->floor.last;
    for (const raft::Entry& entry : recovered->entries) {
        CAIRN_ASSERT(entry.id.index == previous.index + 1);
        CAIRN_ASSERT(entry.id.term >= previous.term);
        previous = entry.id;
    }
    CAIRN_ASSERT(open_log(files) == recovered);
}

}  // namespace
}  // namespace cairn::storage

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    if (!input.empty()) {
        cairn::storage::check_log(input[0] % 2 == 0 ? std::string(input.substr(1))
                                                    : cairn::storage::well_formed(input.substr(1)));
    }
    return 0;
}
