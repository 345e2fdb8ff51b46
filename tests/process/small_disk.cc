#include "process/small_disk.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "process/process_cluster.h"

namespace cairn::process {
namespace {

constexpr std::size_t kBlockBytes = 4096;

// Mounts of this thread are its own from now on.
bool own_mounts() {
    static const bool own =
        unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    return own;
}

}  // namespace

SmallDisk::SmallDisk(std::string folder, std::uint64_t bytes) : folder_(std::move(folder)) {
    std::filesystem::create_directory(folder_);
    const auto options = fmt::format("size={},mode=0700", bytes);
    mounted_ = own_mounts() &&
               mount("none", folder_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
    if (!mounted_) {
        // Inherited by the node: a write over the limit is an error, not its end.
        std::signal(SIGXFSZ, SIG_IGN);
    }
}

SmallDisk::~SmallDisk() {
    if (mounted_) {
        umount2(folder_.c_str(), MNT_DETACH);
    }
}

void SmallDisk::fill(pid_t pid) const {
    if (!mounted_) {
        rlimit limit{};
        prlimit(pid, RLIMIT_FSIZE, nullptr, &limit);
        limit.rlim_cur = 0;
        if (prlimit(pid, RLIMIT_FSIZE, &limit, nullptr) != 0) {
            throw Failure{"cannot limit the files of a process"};
        }
        return;
    }
    const int file = open(ballast().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const std::vector<char> block(kBlockBytes);
    while (write(file, block.data(), block.size()) > 0) {
    }
    const int error = errno;
    close(file);
    if (error != ENOSPC) {
        throw Failure{fmt::format("cannot fill {}: error {}", folder_, error)};
    }
}

void SmallDisk::make_room() const {
    if (mounted_) {
        unlink(ballast().c_str());
    }
}

void SmallDisk::keep() const {
    if (mounted_) {
        make_room();
        std::error_code ignored;  // as much as there is
        std::filesystem::copy(folder_, folder_ + ".kept", std::filesystem::copy_options::recursive,
                              ignored);
    }
}

}  // namespace cairn::process
