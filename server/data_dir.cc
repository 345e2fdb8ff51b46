#include "server/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/checksum.h"

namespace cairn::server {
namespace {

constexpr std::string_view kMagic = "cairn data directory, format ";
constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kIdentityBytesMax = 4096;

// The rest of the line after `label`, which must come next; cuts the line off `text`.
std::optional<std::string_view> take_line(ByteView& text, std::string_view label) {
    const std::size_t end = text.find('\n');
    if (end == ByteView::npos || text.substr(0, label.size()) != label) {
        return std::nullopt;
    }
    const std::string_view value = text.substr(label.size(), end - label.size());
    text.remove_prefix(end + 1);
    return value;
}

std::optional<std::uint64_t> parse_number(std::optional<std::string_view> text, int base) {
    std::uint64_t value = 0;
    if (!text.has_value()) {
        return std::nullopt;
    }
    const auto [end, error] =
        std::from_chars(text->data(), text->data() + text->size(), value, base);
    if (error != std::errc() || end != text->data() + text->size()) {
        return std::nullopt;
    }
    return value;
}

std::string parent_of(const std::string& path) {
    auto plain = std::filesystem::path(path).lexically_normal();
    if (!plain.has_filename()) {
        plain = plain.parent_path();  // it ended in '/'
    }
    const std::string parent = plain.parent_path().string();
    return parent.empty() ? "." : parent;
}

// In etcd's directory there is `member`, and nothing else that a first start would trip over: it
// would begin an empty cluster beside the data.
Result<void> check_not_etcds(storage::FileSystem& files, const std::string& path) {
    CAIRN_TRY(const bool has_member, files.exists(path + "/member"));
    CAIRN_TRY(const bool identified, files.exists(path + "/IDENTITY"));
    if (!has_member || identified) {
        return ok();
    }
    return Error{Errc::kInvalidConfig,
                 path +
                     ": this is etcd's data (member/), in another format, which cannot be read "
                     "here: give an empty directory, and copy the keys from the running etcd "
                     "with \"etcdctl make-mirror\""};
}

}  // namespace

std::string encode_identity(const DataDirIdentity& identity) {
    const std::string body = fmt::format("{}{}\ncluster {:016x}\nmember {:016x}\n", kMagic, kFormat,
                                         identity.cluster.value, identity.member.value);
    return body + fmt::format("check {:016x}\n", xxh3_64(body));
}

Result<DataDirIdentity> decode_identity(ByteView text, const std::string& path) {
    const ByteView whole = text;
    const auto format = parse_number(take_line(text, kMagic), 10);
    if (!format.has_value()) {
        return Error{Errc::kCorrupt, path + ": not the identity file of a cairn data directory"};
    }
    if (*format != kFormat) {
        return Error{Errc::kUnsupportedVersion,
                     fmt::format("{}: data directory of format {}, this program reads {}", path,
                                 *format, kFormat)};
    }
    const auto cluster = parse_number(take_line(text, "cluster "), 16);
    const auto member = parse_number(take_line(text, "member "), 16);
    const ByteView body = whole.substr(0, whole.size() - text.size());
    const auto check = parse_number(take_line(text, "check "), 16);
    if (!cluster.has_value() || !member.has_value() || check != xxh3_64(body)) {
        return Error{Errc::kCorrupt, path + ": the identity file is damaged"};
    }
    return DataDirIdentity{ClusterId{*cluster}, NodeId{*member}};
}

DataDir::DataDir(storage::FileSystem& files, std::string path,
                 std::unique_ptr<storage::FileLock> lock)
    : files_(&files), path_(std::move(path)), lock_(std::move(lock)) {}

Result<DataDir> DataDir::open(storage::FileSystem& files, std::string path) {
    CAIRN_TRY(check_not_etcds(files, path));
    std::vector<std::string> holders;  // of the directories that are made here
    for (std::string dir = path;; dir = parent_of(dir)) {
        CAIRN_TRY(const bool exists, files.exists(dir));
        if (exists || dir == parent_of(dir)) {
            break;
        }
        holders.push_back(parent_of(dir));
    }
    CAIRN_TRY(files.make_dirs(path));
    for (const auto& holder : holders) {
        CAIRN_TRY(files.sync_dir(holder));
    }
    CAIRN_TRY(auto lock, files.lock(path + "/LOCK"));
    return DataDir(files, std::move(path), std::move(lock));
}

Result<std::optional<DataDirIdentity>> DataDir::read_identity() {
    const std::string path = path_ + "/IDENTITY";
    CAIRN_TRY(const bool exists, files_->exists(path));
    if (!exists) {
        return std::optional<DataDirIdentity>{};
    }
    CAIRN_TRY(auto file, files_->open(path, storage::OpenMode::kRead));
    CAIRN_TRY(const auto text, file->read_at(0, kIdentityBytesMax));
    CAIRN_TRY(const auto identity, decode_identity(text, path));
    return std::optional<DataDirIdentity>{identity};
}

Result<void> DataDir::write_identity(const DataDirIdentity& identity) {
    const std::string path = path_ + "/IDENTITY";
    const std::string temporary = path + ".tmp";
    CAIRN_TRY(const bool stale, files_->exists(temporary));
    if (stale) {
        CAIRN_TRY(files_->remove(temporary));
    }
    CAIRN_TRY(auto file, files_->open(temporary, storage::OpenMode::kCreate));
    CAIRN_TRY(file->write_at(0, encode_identity(identity)));
    CAIRN_TRY(file->sync());
    CAIRN_TRY(files_->rename(temporary, path));
    CAIRN_TRY(files_->sync_dir(path_));
    // The directory may have been made by a start that was killed before it could do this. One that
    // lies where we may not look was made by somebody else, as was its place there.
    const std::string parent = parent_of(path_);
    if (::faccessat(AT_FDCWD, parent.c_str(), R_OK, AT_EACCESS) != 0 && errno == EACCES) {
        return ok();
    }
    return files_->sync_dir(parent);
}

Result<void> DataDir::check_space(std::uint64_t bytes) {
    const std::string path = path_ + "/PROBE.tmp";
    CAIRN_TRY(const bool stale, files_->exists(path));
    if (stale) {
        CAIRN_TRY(files_->remove(path));
    }
    CAIRN_TRY(auto file, files_->open(path, storage::OpenMode::kCreate));
    Result<void> written = file->preallocate(bytes);
    if (written.has_value()) {
        written = file->sync();
    }
    file.reset();
    CAIRN_TRY(files_->remove(path));
    return written;
}

std::string restrict_data_dir(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
        (status.st_mode & 0077U) == 0) {
        return "";
    }
    std::error_code unreadable;
    const bool is_one = std::filesystem::exists(path + "/IDENTITY", unreadable) ||
                        std::filesystem::is_empty(path, unreadable);
    if (!unreadable && is_one && status.st_uid == ::geteuid() && ::chmod(path.c_str(), 0700) == 0) {
        return "";
    }
    return fmt::format(
        "check file permission: directory \"{}\" exists, but its permission is {:04o}; 0700 is "
        "recommended to prevent possible unprivileged access to the data",
        path, status.st_mode & 07777U);
}

}  // namespace cairn::server
