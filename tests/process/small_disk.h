// SmallDisk: the disk of one node, which a test fills up. A tmpfs of its own where the kernel lets
// us mount one; elsewhere a limit on the node's files, which fails its writes with another error.
// Owned by a test's main thread, the one that starts the node: only it and its children see the
// mount, which goes with them.
// Must never touch the disk of anything else.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace cairn::process {

class SmallDisk {
  public:
    // The node's data will be in `folder`, which must not be there yet.
    SmallDisk(std::string folder, std::uint64_t bytes);
    ~SmallDisk();
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;

    // Whether it is a disk, full for every process.
    [[nodiscard]] bool is_mounted() const { return mounted_; }
    // Leaves no room; without a mount, for the process `pid`.
    void fill(pid_t pid) const;
    void make_room() const;
    // Copies what is on it beside its folder: the disk goes with this.
    void keep() const;

  private:
    [[nodiscard]] std::string ballast() const { return folder_ + "/ballast"; }

    std::string folder_;
    bool mounted_ = false;
};

}  // namespace cairn::process
