// Has tables that are mostly tombstones compacted before their turn.
// A function; what it returns is RocksDB's, on the threads that write tables.
// Never changes what a table holds.
#pragma once

#include <memory>

#include <rocksdb/table_properties.h>

namespace cairn::storage {

// For the options of a family. RocksDB's own of this kind does not count those of SingleDelete.
std::shared_ptr<rocksdb::TablePropertiesCollectorFactory> compact_on_tombstones();

}  // namespace cairn::storage
