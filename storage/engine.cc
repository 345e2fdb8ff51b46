#include "storage/engine.h"

#include <utility>

namespace cairn::storage {

void WriteBatch::put(ColumnFamily family, std::string key, std::string value) {
    bytes_ += key.size() + value.size();
    ops_.push_back({WriteKind::kPut, family, std::move(key), std::move(value)});
}

void WriteBatch::single_delete(ColumnFamily family, std::string key) {
    bytes_ += key.size();
    ops_.push_back({WriteKind::kSingleDelete, family, std::move(key), {}});
}

void WriteBatch::remove(ColumnFamily family, std::string key) {
    bytes_ += key.size();
    ops_.push_back({WriteKind::kDelete, family, std::move(key), {}});
}

void WriteBatch::truncate(std::size_t count) {
    while (ops_.size() > count) {
        bytes_ -= ops_.back().key.size() + ops_.back().value.size();
        ops_.pop_back();
    }
}

void WriteBatch::clear() {
    ops_.clear();
    bytes_ = 0;
}

}  // namespace cairn::storage
