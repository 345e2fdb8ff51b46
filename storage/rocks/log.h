// Where RocksDB's own log goes.
// Owned by the database that writes it; any thread.
// Never ends a process, nor fails what is logged: what cannot be written is lost.
#pragma once

#include <memory>
#include <string>

#include <rocksdb/env.h>

namespace cairn::storage {

// The file LOG in the engine's directory, which is made if need be, and LOG.old from before it.
std::shared_ptr<rocksdb::Logger> make_file_logger(const std::string& dir);
// For who must not write: without a logger RocksDB makes that file, too.
std::shared_ptr<rocksdb::Logger> make_no_logger();

}  // namespace cairn::storage
