// The inside of SimFs: files and directories with what is in memory beside what is on disk.
// Owned by SimFs; one thread.
// Never included by anybody but SimFs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim_fs/sim_fs.h"

namespace cairn::storage {

// A change of a file's content that was not synced: bytes written, or (resize) a new length.
struct SimChange {
    bool resize = false;
    std::uint64_t offset{};  // resize: the new length
    std::string bytes;
};

struct SimFs::Node {
    bool is_dir = false;
    // Directories: by name, as seen now and as on disk.
    std::map<std::string, NodePtr> names;
    std::map<std::string, NodePtr> durable_names;
    // Files. Invariant: unless a sync failed, `current` is `durable` after all of `changes`.
    std::string current;
    std::string durable;
    std::vector<SimChange> changes;

    [[nodiscard]] std::map<std::string, NodePtr>& names_of(View view) {
        return view == View::kCurrent ? names : durable_names;
    }
};

// A name that began, ended or moved, not synced. Links when only `to_dir` is set, unlinks when only
// `from_dir` is.
struct SimFs::DirChange {
    NodePtr node;
    NodePtr from_dir;
    std::string from;
    NodePtr to_dir;
    std::string to;
};

// Does to `content` what the change does to a file.
void apply_change(const SimChange& change, std::string& content);

}  // namespace cairn::storage
