#include "server/replica/snapshot_layout.h"

#include <algorithm>

#include "base/assert.h"

namespace cairn::server {

SnapshotLayout::SnapshotLayout(const storage::SnapshotManifest& manifest) {
    begins_.reserve(manifest.files.size());
    for (const auto& file : manifest.files) {
        begins_.push_back(bytes_);
        bytes_ += file.bytes;
    }
}

std::optional<std::uint64_t> SnapshotLayout::position_of(storage::SnapshotPlace place) const {
    if (place.file >= begins_.size()) {
        const bool at_end = place.file == begins_.size() && place.offset == 0;
        return at_end ? std::optional(bytes_) : std::nullopt;
    }
    const bool last = place.file + 1 == begins_.size();
    const std::uint64_t end = last ? bytes_ : begins_[place.file + 1];
    const std::uint64_t begin = begins_[place.file];
    return place.offset <= end - begin ? std::optional(begin + place.offset) : std::nullopt;
}

storage::SnapshotPlace SnapshotLayout::place_at(std::uint64_t position) const {
    CAIRN_ASSERT(position <= bytes_);
    if (position == bytes_) {
        return {static_cast<std::uint32_t>(begins_.size()), 0};
    }
    const auto behind = std::upper_bound(begins_.begin(), begins_.end(), position);
    const auto file = static_cast<std::uint32_t>(behind - begins_.begin() - 1);
    return {file, position - begins_[file]};
}

std::uint64_t SnapshotLayout::left_in_file(std::uint64_t position) const {
    const auto behind = std::upper_bound(begins_.begin(), begins_.end(), position);
    return (behind == begins_.end() ? bytes_ : *behind) - position;
}

}  // namespace cairn::server
