#include "storage/posix_fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

namespace cairn::storage {
namespace {

constexpr std::size_t kZeroChunkBytes = 1024U * 1024U;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirMode = 0700;

Error system_error(const std::string& path, const char* call, int number) {
    Errc code = Errc::kIo;
    if (number == ENOENT || number == ENOTDIR) {
        code = Errc::kNotFound;
    } else if (number == ENOSPC || number == EDQUOT) {
        code = Errc::kNoSpace;
    }
    return {code, path + ": " + call + ": " + std::generic_category().message(number)};
}

// Owns a file descriptor.
class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    Descriptor& operator=(Descriptor&&) = delete;
    ~Descriptor() {
        if (number_ >= 0) {
            ::close(number_);
        }
    }
    [[nodiscard]] int number() const { return number_; }

  private:
    int number_;
};

Result<Descriptor> open_descriptor(const std::string& path, int flags) {
    int number = -1;
    do {
        number = ::open(path.c_str(), flags | O_CLOEXEC, kFileMode);
    } while (number < 0 && errno == EINTR);
    if (number < 0) {
        return system_error(path, "open", errno);
    }
    return Descriptor(number);
}

class PosixFile final : public File {
  public:
    PosixFile(Descriptor descriptor, std::string path)
        : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        while (!bytes.empty()) {
            const ssize_t count = ::pwrite(descriptor_.number(), bytes.data(), bytes.size(),
                                           static_cast<off_t>(offset));
            if (count < 0 && errno == EINTR) {
                continue;
            }
            if (count < 0) {
                return system_error(path_, "pwrite", errno);
            }
            if (count == 0) {
                return Error{Errc::kIo, path_ + ": pwrite: wrote nothing"};
            }
            bytes.remove_prefix(static_cast<std::size_t>(count));
            offset += static_cast<std::uint64_t>(count);
        }
        return ok();
    }

    Result<std::string> read_at(std::uint64_t offset, std::size_t count) override {
        // Bounded by the file, so that a wild count does not become a wild allocation.
        CAIRN_TRY(const std::uint64_t end, size());
        if (offset >= end) {
            return std::string();
        }
        std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(count, end - offset)),
                          '\0');
        std::size_t done = 0;
        while (done < bytes.size()) {
            const ssize_t got = ::pread(descriptor_.number(), bytes.data() + done,
                                        bytes.size() - done, static_cast<off_t>(offset + done));
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got < 0) {
                return system_error(path_, "pread", errno);
            }
            if (got == 0) {
                break;  // the file became shorter meanwhile
            }
            done += static_cast<std::size_t>(got);
        }
        bytes.resize(done);
        return bytes;
    }

    Result<void> sync() override {
        // Once, whatever it says: after a failure the kernel may have dropped the pages, and a
        // second call would report success for data that is gone.
        if (::fdatasync(descriptor_.number()) != 0) {
            return system_error(path_, "fdatasync", errno);
        }
        if (writeback_errno_ != 0) {
            return system_error(path_, "sync_file_range", writeback_errno_);
        }
        return ok();
    }

    void begin_writeback(std::uint64_t offset, std::uint64_t bytes) override {
        const int result = ::sync_file_range(descriptor_.number(), static_cast<off64_t>(offset),
                                             static_cast<off64_t>(bytes), SYNC_FILE_RANGE_WRITE);
        // The kernel keeps for fdatasync what fails later, but not surely what fails at once. Other
        // errors say nothing of the data: fdatasync tries again.
        if (result != 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT)) {
            writeback_errno_ = errno;
        }
    }

    Result<void> preallocate(std::uint64_t bytes) override {
        CAIRN_TRY(std::uint64_t offset, size());
        if (offset >= bytes) {
            return ok();
        }
        // fallocate would leave unwritten extents, whose first write costs a journal commit.
        const std::string zeros(
            static_cast<std::size_t>(std::min<std::uint64_t>(kZeroChunkBytes, bytes - offset)),
            '\0');
        while (offset < bytes) {
            const auto count =
                static_cast<std::size_t>(std::min<std::uint64_t>(zeros.size(), bytes - offset));
            CAIRN_TRY(write_at(offset, ByteView(zeros.data(), count)));
            offset += count;
        }
        return ok();
    }

    Result<void> truncate(std::uint64_t bytes) override {
        int result = -1;
        do {
            result = ::ftruncate(descriptor_.number(), static_cast<off_t>(bytes));
        } while (result != 0 && errno == EINTR);
        if (result != 0) {
            return system_error(path_, "ftruncate", errno);
        }
        return ok();
    }

    Result<std::uint64_t> size() override {
        struct stat status {};
        if (::fstat(descriptor_.number(), &status) != 0) {
            return system_error(path_, "fstat", errno);
        }
        return static_cast<std::uint64_t>(status.st_size);
    }

  private:
    Descriptor descriptor_;
    std::string path_;
    int writeback_errno_ = 0;  // of begin_writeback, for sync
};

class PosixLock final : public FileLock {
  public:
    explicit PosixLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  private:
    Descriptor descriptor_;  // closing the last descriptor of the description releases the lock
};

int open_flags(OpenMode mode) {
    switch (mode) {
        case OpenMode::kRead: return O_RDONLY;
        case OpenMode::kReadWrite: return O_RDWR;
        case OpenMode::kCreate: return O_RDWR | O_CREAT | O_EXCL;
    }
    return O_RDONLY;
}

Result<void> make_dir(const std::string& dir) {
    if (::mkdir(dir.c_str(), kDirMode) == 0) {
        return ok();
    }
    const int number = errno;
    struct stat status {};
    // Whatever mkdir said: on a read-only or automounted parent it may complain before looking.
    if (::stat(dir.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
        return ok();
    }
    if (number == EEXIST) {
        return Error{Errc::kIo, dir + ": mkdir: exists and is not a directory"};
    }
    return system_error(dir, "mkdir", number);
}

}  // namespace

Result<std::unique_ptr<File>> PosixFs::open(const std::string& path, OpenMode mode) {
    CAIRN_TRY(Descriptor descriptor, open_descriptor(path, open_flags(mode)));
    struct stat status {};
    if (::fstat(descriptor.number(), &status) != 0) {
        return system_error(path, "fstat", errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return Error{Errc::kIo, path + ": open: not a regular file"};
    }
    return std::unique_ptr<File>(std::make_unique<PosixFile>(std::move(descriptor), path));
}

Result<std::vector<std::string>> PosixFs::list(const std::string& dir) {
    DIR* stream = ::opendir(dir.c_str());
    if (stream == nullptr) {
        return system_error(dir, "opendir", errno);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") {
            names.push_back(name);
        }
        errno = 0;
    }
    const int number = errno;
    ::closedir(stream);
    if (number != 0) {
        return system_error(dir, "readdir", number);
    }
    std::sort(names.begin(), names.end());
    return names;
}

Result<bool> PosixFs::exists(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
        return true;
    }
    if (errno == ENOENT || errno == ENOTDIR) {
        return false;
    }
    return system_error(path, "stat", errno);
}

Result<void> PosixFs::rename(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) {
        return system_error(from + " -> " + to, "rename", errno);
    }
    return ok();
}

Result<void> PosixFs::remove(const std::string& path) {
    if (::unlink(path.c_str()) != 0) {
        return system_error(path, "unlink", errno);
    }
    return ok();
}

Result<void> PosixFs::remove_all(const std::string& dir) {
    std::error_code code;
    std::filesystem::remove_all(dir, code);
    if (code) {
        return system_error(dir, "remove_all", code.value());
    }
    return ok();
}

Result<void> PosixFs::make_dirs(const std::string& dir) {
    std::size_t end = 0;
    while (end != std::string::npos) {
        end = dir.find('/', end + 1);
        const std::string prefix = dir.substr(0, end);
        if (!prefix.empty() && prefix != "/") {
            CAIRN_TRY(make_dir(prefix));
        }
    }
    return ok();
}

Result<void> PosixFs::sync_dir(const std::string& dir) {
    CAIRN_TRY(const Descriptor descriptor, open_descriptor(dir, O_RDONLY | O_DIRECTORY));
    if (::fsync(descriptor.number()) != 0) {
        return system_error(dir, "fsync", errno);
    }
    return ok();
}

Result<std::uint64_t> PosixFs::free_bytes(const std::string& dir) {
    struct statvfs status {};
    if (::statvfs(dir.c_str(), &status) != 0) {
        return system_error(dir, "statvfs", errno);
    }
    return std::uint64_t{status.f_bavail} * status.f_frsize;
}

Result<std::unique_ptr<FileLock>> PosixFs::lock(const std::string& path) {
    CAIRN_TRY(Descriptor descriptor, open_descriptor(path, O_RDWR | O_CREAT));
    struct flock request {};
    request.l_type = F_WRLCK;
    request.l_whence = SEEK_SET;
    if (::fcntl(descriptor.number(), F_OFD_SETLK, &request) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            return Error{Errc::kLocked, path + ": fcntl: held by another process or opener"};
        }
        return system_error(path, "fcntl", errno);
    }
    return std::unique_ptr<FileLock>(std::make_unique<PosixLock>(std::move(descriptor)));
}

}  // namespace cairn::storage
