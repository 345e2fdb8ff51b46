// Where the bytes of a snapshot lie, as one row: its files in the order of the manifest.
// A value; any thread.
// Never trusts a place that came from outside: position_of checks it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "storage/snapshot.h"

namespace cairn::server {

class SnapshotLayout {
  public:
    SnapshotLayout() = default;
    explicit SnapshotLayout(const storage::SnapshotManifest& manifest);

    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    // Nothing for a place that is none in this snapshot.
    [[nodiscard]] std::optional<std::uint64_t> position_of(storage::SnapshotPlace place) const;
    // Of the byte at `position`, which is at most bytes(); files without bytes have none.
    [[nodiscard]] storage::SnapshotPlace place_at(std::uint64_t position) const;
    // From `position` to the end of its file.
    [[nodiscard]] std::uint64_t left_in_file(std::uint64_t position) const;

  private:
    // Invariant: sorted; begins_[i] is where file i begins, the files before it taken together.
    std::vector<std::uint64_t> begins_;
    std::uint64_t bytes_ = 0;
};

}  // namespace cairn::server
