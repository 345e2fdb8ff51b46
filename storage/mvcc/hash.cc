#include "storage/mvcc/hash.h"

#include <string>

#include "base/checksum.h"
#include "storage/coding.h"
#include "storage/mvcc/record.h"
#include "storage/schema.h"

namespace cairn::storage::mvcc {
namespace {

// Each version is hashed together with the hash so far.
std::uint64_t mix(std::uint64_t hash, ByteView key, ByteView record) {
    std::string block;
    block.reserve(16 + key.size() + record.size());
    append_u64_be(block, hash);
    append_u64_be(block, key.size());
    block += key;
    block += record;
    return xxh3_64(block);
}

}  // namespace

Result<std::uint32_t> hash_versions(const EngineReader& reader, std::int64_t revision,
                                    std::int64_t compacted, ReadGuard* guard) {
    constexpr std::size_t kRevisionBytes = 12;
    std::uint64_t hash = 0;
    std::uint64_t walked = 0;
    std::string current;  // the escaped user key under the walk
    bool base_seen = false;
    auto it = reader.iterate(ColumnFamily::kHistory, {}, {});
    for (; it->valid(); it->next()) {
        if (guard != nullptr && ++walked % kKeysPerLook == 0) {
            CAIRN_TRY(guard->go_on());
        }
        const ByteView key = it->key();
        if (key.size() < kRevisionBytes) {
            return Error(Errc::kCorrupt, "engine: bad history key");
        }
        const ByteView prefix = key.substr(0, key.size() - kRevisionBytes);
        CAIRN_TRY(const Revision at, schema::decode_history_revision(key.substr(prefix.size())));
        if (prefix != current) {
            current = prefix;
            base_seen = false;
        }
        if (at.main > revision) {
            continue;
        }
        if (at.main <= compacted) {
            // Versions stand newest first: the first one here is what a reader at `compacted` sees.
            if (base_seen) {
                continue;
            }
            base_seen = true;
            CAIRN_TRY(const Version version, decode_history_record(it->value()));
            if (version.tombstone) {
                continue;
            }
        }
        hash = mix(hash, key, it->value());
    }
    CAIRN_TRY(it->status());
    return static_cast<std::uint32_t>(hash ^ (hash >> 32U));
}

}  // namespace cairn::storage::mvcc
