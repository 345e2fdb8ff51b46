#include "client/ctl/snapshot.h"

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "client/ctl/connect.h"
#include "client/ctl/interrupt.h"
#include "client/ctl/print.h"
#include "client/snapshot.h"
#include "server/config.h"
#include "server/restore.h"
#include "storage/posix_fs.h"
#include "storage/rocks_engine.h"
#include "storage/saved_snapshot.h"
#include "storage/sha256.h"
#include "storage/snapshot_status.h"

namespace cairn::client::ctl {
namespace {

constexpr OptionSpec kRestore[] = {
    {"bump-revision", 0, OptionType::kInt, "0", "how much the revision grows"},
    {"data-dir", 0, OptionType::kFile, "", "the directory to make; empty: <name>.cairn"},
    {"initial-advertise-peer-urls", 0, OptionType::kString, "http://localhost:2380",
     "this member's peer URLs, separated by commas"},
    {"initial-cluster", 0, OptionType::kString, "default=http://localhost:2380",
     "all members of the new cluster"},
    {"initial-cluster-token", 0, OptionType::kString, "etcd-cluster",
     "a word of the new cluster's own, for its ids"},
    {"mark-compacted", 0, OptionType::kBool, "false",
     "all before the grown revision counts as compacted; required with --bump-revision"},
    {"name", 0, OptionType::kString, "default", "this member's name"},
    {"skip-hash-check", 0, OptionType::kBool, "false",
     "without the SHA-256 at the end, which may be missing"},
};

constexpr OptionSpec kStatus[] = {
    {"scratch-dir", 0, OptionType::kFile, "", "where to unpack the file; empty: beside it"},
};

// Nobody else's: another process, also of another container, may save to the same path.
std::string unique_name(const std::string& path) {
    std::random_device random;
    return fmt::format("{}.{:08x}{:08x}.part", path, random(), random());
}

// Also while another thread works below it, which may just have made a file.
void remove_whole(storage::FileSystem& files, const std::string& path) {
    constexpr int kTriesMax = 1000;
    for (int tries = 0; tries < kTriesMax; ++tries) {
        if (files.remove_all(path).has_value()) {
            return;
        }
    }
}

// A file that tells how far it is read, from its beginning to its end.
class WatchedFile final : public storage::File {
  public:
    WatchedFile(std::unique_ptr<storage::File> file, std::uint64_t bytes, Progress& progress)
        : file_(std::move(file)), bytes_(bytes), progress_(progress) {}
    WatchedFile(const WatchedFile&) = delete;
    WatchedFile& operator=(const WatchedFile&) = delete;
    // What is not wanted of it counts as read.
    ~WatchedFile() override { progress_.set(bytes_, bytes_); }

    cairn::Result<std::string> read_at(std::uint64_t offset, std::size_t count) override {
        auto read = file_->read_at(offset, count);
        if (read.has_value()) {
            progress_.set(offset + read.value().size(), bytes_);
        }
        return read;
    }
    cairn::Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        return file_->write_at(offset, bytes);
    }
    cairn::Result<void> sync() override { return file_->sync(); }
    cairn::Result<void> preallocate(std::uint64_t bytes) override {
        return file_->preallocate(bytes);
    }
    cairn::Result<void> truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
    cairn::Result<std::uint64_t> size() override { return file_->size(); }

  private:
    std::unique_ptr<storage::File> file_;
    const std::uint64_t bytes_;
    Progress& progress_;
};

// The disk, but once interrupted nothing is made there: kCanceled. What undoes works. It catches
// the signals as long as it lives: what must not stay is declared after it.
class InterruptibleFs final : public storage::FileSystem {
  public:
    // The process goes on until its owner ends it.
    explicit InterruptibleFs(storage::FileSystem& files) : files_(files) {}
    // The process ends at once, and `path` with all below it is gone.
    InterruptibleFs(storage::FileSystem& files, const std::string& path)
        : files_(files), interrupt_([this, path] {
              // What was let in before is made by now.
              { const std::lock_guard made(making_); }
              remove_whole(files_, path);
          }) {}

    [[nodiscard]] const Interrupt& interrupt() const { return interrupt_; }
    // Tells `progress` how far `path` is read, until nobody is to be told any more.
    void watch(const std::string& path, Progress* progress) {
        watched_ = path;
        progress_ = progress;
    }

    cairn::Result<std::unique_ptr<storage::File>> open(const std::string& path,
                                                       storage::OpenMode mode) override {
        if (mode != storage::OpenMode::kCreate) {
            CAIRN_TRY(auto file, files_.open(path, mode));
            if (progress_ == nullptr || path != watched_) {
                return file;
            }
            CAIRN_TRY(const std::uint64_t bytes, file->size());
            return std::make_unique<WatchedFile>(std::move(file), bytes, *progress_);
        }
        const std::lock_guard making(making_);
        CAIRN_TRY(check_not_told());
        return files_.open(path, mode);
    }
    cairn::Result<std::vector<std::string>> list(const std::string& dir) override {
        return files_.list(dir);
    }
    cairn::Result<bool> exists(const std::string& path) override { return files_.exists(path); }
    cairn::Result<void> rename(const std::string& from, const std::string& to) override {
        return files_.rename(from, to);
    }
    cairn::Result<void> remove(const std::string& path) override { return files_.remove(path); }
    cairn::Result<void> remove_all(const std::string& dir) override {
        return files_.remove_all(dir);
    }
    cairn::Result<void> make_dirs(const std::string& dir) override {
        const std::lock_guard making(making_);
        CAIRN_TRY(check_not_told());
        return files_.make_dirs(dir);
    }
    cairn::Result<void> sync_dir(const std::string& dir) override { return files_.sync_dir(dir); }
    cairn::Result<std::uint64_t> free_bytes(const std::string& dir) override {
        return files_.free_bytes(dir);
    }
    cairn::Result<std::unique_ptr<storage::FileLock>> lock(const std::string& path) override {
        return files_.lock(path);
    }

  private:
    [[nodiscard]] cairn::Result<void> check_not_told() const {
        if (interrupt_.was_told()) {
            return cairn::Error(Errc::kCanceled, "interrupted");
        }
        return ok();
    }

    storage::FileSystem& files_;
    std::string watched_;
    Progress* progress_ = nullptr;  // of watched_
    std::mutex making_;             // held from the look at interrupt_ until it is made
    Interrupt interrupt_;
};

std::string_view kind_of(std::filesystem::file_type type) {
    switch (type) {
        case std::filesystem::file_type::directory: return "a directory";
        case std::filesystem::file_type::character:
        case std::filesystem::file_type::block: return "a device";
        case std::filesystem::file_type::fifo: return "a pipe";
        case std::filesystem::file_type::socket: return "a socket";
        case std::filesystem::file_type::none:
        case std::filesystem::file_type::not_found:
        case std::filesystem::file_type::regular:
        case std::filesystem::file_type::symlink:
        case std::filesystem::file_type::unknown: break;
    }
    return "something else";
}

// The file that a save to `path` makes or replaces: links are followed, and stay. A rename would
// put it in the place of a device or a pipe as well.
cairn::Result<std::string> save_target(const std::string& path) {
    constexpr int kLinksMax = 40;  // as many as Linux follows
    std::error_code error;
    const std::filesystem::file_type type = std::filesystem::status(path, error).type();
    if (type == std::filesystem::file_type::none) {
        return cairn::Error(Errc::kIo, fmt::format("{}: {}", path, error.message()));
    }
    if (type != std::filesystem::file_type::regular &&
        type != std::filesystem::file_type::not_found) {
        return cairn::Error(Errc::kIo, fmt::format("{} is {}, not a regular file: a snapshot "
                                                   "cannot be saved there",
                                                   path, kind_of(type)));
    }
    std::filesystem::path target = path;
    for (int links = 0; links < kLinksMax; ++links) {
        if (!std::filesystem::is_symlink(std::filesystem::symlink_status(target, error))) {
            break;
        }
        target = target.parent_path() / std::filesystem::read_symlink(target, error);
    }
    return target.string();
}

// A file under another name, until it is whole.
class PartFile {
  public:
    PartFile(storage::FileSystem& files, std::string path, std::string part)
        : files_(files), path_(std::move(path)), part_(std::move(part)) {}
    PartFile(const PartFile&) = delete;
    PartFile& operator=(const PartFile&) = delete;
    ~PartFile() {
        if (file_ != nullptr) {
            static_cast<void>(files_.remove(part_).has_value());
        }
    }

    cairn::Result<void> create() {
        CAIRN_TRY(file_, files_.open(part_, storage::OpenMode::kCreate));
        return ok();
    }
    cairn::Result<void> add(std::string_view bytes) {
        CAIRN_TRY(file_->write_at(bytes_, bytes));
        bytes_ += bytes.size();
        return ok();
    }
    // Whether a member can be made of it, as far as this build can tell: a newer format is for a
    // newer restore to judge.
    cairn::Result<void> check_restorable() {
        if (const auto manifest = storage::read_saved_manifest(files_, part_);
            manifest.has_error() && manifest.error().code == cairn::Errc::kUnsupportedVersion) {
            return ok();
        }
        CAIRN_TRY(server::read_restorable(files_, part_));
        return ok();
    }
    cairn::Result<void> finish() {
        CAIRN_TRY(file_->sync());
        CAIRN_TRY(files_.rename(part_, path_));
        file_.reset();
        return files_.sync_dir(storage::parent_dir(path_));
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  private:
    storage::FileSystem& files_;
    const std::string path_;
    const std::string part_;
    std::unique_ptr<storage::File> file_;  // null: not begun, or whole
    std::uint64_t bytes_ = 0;
};

// Writes a snapshot's stream and checks it: its last piece is the SHA-256 of all before.
class SnapshotSaver {
  public:
    SnapshotSaver(PartFile& file, Progress& progress) : file_(file), progress_(progress) {}

    bool take(const SnapshotPiece& piece) {
        if (!total_) {
            total_ = piece.bytes.size() + piece.remaining_bytes;
        }
        sum_.add(last_);
        last_ = piece.bytes;
        if (const auto written = file_.add(piece.bytes); written.has_error()) {
            error_ = to_string(written.error());
            return false;
        }
        progress_.set(file_.bytes(), *total_);
        return true;
    }
    // This side wanted no more.
    [[nodiscard]] bool has_failed() const { return !error_.empty(); }
    // What went wrong on this side; empty: nothing.
    [[nodiscard]] std::string error_at_end() const {
        if (!error_.empty()) {
            return error_;
        }
        if (!total_ || last_.size() != storage::kSha256Bytes ||
            file_.bytes() != *total_ + storage::kSha256Bytes) {
            return "the snapshot ended before its SHA-256";
        }
        return last_ == sum_.value() ? "" : "the snapshot does not match its SHA-256";
    }

  private:
    PartFile& file_;
    Progress& progress_;
    std::optional<std::uint64_t> total_;
    std::string last_;
    storage::Sha256 sum_;  // of all before last_
    std::string error_;
};

// Another system's snapshot is for its own tools to judge.
cairn::Result<void> check_and_finish(PartFile& file, const std::string& version) {
    if (version.starts_with("cairn ")) {
        CAIRN_TRY(file.check_restorable());
    }
    return file.finish();
}

// Empty when all went well.
std::string receive(const Context& context, const ClientOptions& options, PartFile& file) {
    Progress progress(context.streams, "snapshot save");
    SnapshotSaver saver(file, progress);
    const Result<SnapshotInfo> answer =
        save_snapshot(options, [&saver](const SnapshotPiece& piece) { return saver.take(piece); });
    if (!answer && !saver.has_failed()) {
        return answer.error().message;
    }
    std::string error = saver.error_at_end();
    if (!error.empty()) {
        return error;
    }
    const cairn::Result<void> finished = check_and_finish(file, answer->version);
    return finished.has_error() ? to_string(finished.error()) : "";
}

Outcome failed(const cairn::Error& error) { return {kExitError, error.detail}; }

// A directory that goes with this.
class ScratchDir {
  public:
    ScratchDir(storage::FileSystem& files, std::string path)
        : files_(files), path_(std::move(path)) {}
    ScratchDir(const ScratchDir&) = delete;
    ScratchDir& operator=(const ScratchDir&) = delete;
    ~ScratchDir() { remove_whole(files_, path_); }

    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    storage::FileSystem& files_;
    const std::string path_;
};

cairn::Result<SnapshotStatus> read_status(const Context& context, const std::string& path) {
    storage::PosixFs disk;
    storage::RocksKind kind;
    const std::string& chosen = context.line.text("scratch-dir");
    const std::string folder = chosen.empty() ? storage::parent_dir(path) : chosen;
    CAIRN_TRY(server::read_restorable(disk, path));
    const std::string scratch_path = unique_name(folder + "/.cairn-snapshot");
    InterruptibleFs files(disk, scratch_path);
    const ScratchDir scratch(disk, scratch_path);
    Progress progress(context.streams, "snapshot status");
    files.watch(path, &progress);
    CAIRN_TRY(const auto manifest, storage::unpack_saved_snapshot(files, path, scratch.path(),
                                                                  storage::DigestCheck::kRequired));
    CAIRN_TRY(const auto facts, storage::read_snapshot_facts(kind, scratch.path()));
    const std::uint64_t bytes = storage::saved_snapshot_bytes(manifest) + storage::kSha256Bytes;
    return SnapshotStatus{facts.hash, facts.revision, facts.keys, static_cast<std::int64_t>(bytes)};
}

// The same flags as cairnd's, so that the ids are those that it would make of them.
cairn::Result<server::ServerConfig> member_config(const Invocation& line) {
    std::vector<std::string> arguments;
    for (const char* flag : {"name", "data-dir", "initial-cluster", "initial-cluster-token",
                             "initial-advertise-peer-urls"}) {
        arguments.push_back(fmt::format("--{}={}", flag, line.text(flag)));
    }
    CAIRN_TRY(const auto parsed, server::parse_command_line(arguments, {}));
    return server::build_config(parsed);
}

Outcome check_bump(const Invocation& line) {
    if (line.number("bump-revision") < 0) {
        return {kExitBadArgs, "--bump-revision must not be negative"};
    }
    if (line.number("bump-revision") > 0 && !line.flag("mark-compacted")) {
        return {kExitBadArgs, "--mark-compacted is required with --bump-revision"};
    }
    if (line.number("bump-revision") == 0 && line.flag("mark-compacted")) {
        return {kExitBadArgs, "--mark-compacted needs --bump-revision"};
    }
    return {};
}

}  // namespace

const std::span<const OptionSpec> kSnapshotRestoreOptions = kRestore;
const std::span<const OptionSpec> kSnapshotStatusOptions = kStatus;

Outcome run_snapshot_save(const Context& context) {
    if (context.line.arguments.size() != 1 || context.line.arguments.front().empty()) {
        return {kExitBadArgs, "snapshot save expects one argument"};
    }
    if (context.endpoints.size() != 1) {
        return {kExitInterrupted,
                fmt::format("snapshot must be requested to one selected node, not multiple [{}]",
                            fmt::join(context.endpoints, " "))};
    }
    ClientOptions options = client_options(context, context.endpoints);
    if (!context.line.given.contains("command-timeout")) {
        // As etcdctl: how long it takes depends on the data.
        options.request_timeout = std::chrono::nanoseconds(0);
    }
    if (const auto checked = Client::connect(options); !checked) {
        return bad_endpoint(checked.error());
    }
    const std::string& path = context.line.arguments.front();
    const auto target = save_target(path);
    if (target.has_error()) {
        return {kExitInterrupted, target.error().detail};
    }
    const std::string part = unique_name(target.value());
    storage::PosixFs disk;
    InterruptibleFs files(disk, part);
    PartFile file(files, target.value(), part);
    if (const auto created = file.create(); created.has_error()) {
        return {kExitInterrupted, to_string(created.error())};
    }
    if (std::string error = receive(context, options, file); !error.empty()) {
        return {kExitInterrupted, std::move(error)};
    }
    context.streams.out << fmt::format("Snapshot saved at {}\n", path);
    return {};
}

Outcome run_snapshot_status(const Context& context) {
    if (context.line.arguments.size() != 1) {
        return {kExitBadArgs, "snapshot status requires exactly one argument"};
    }
    if (Outcome bad = check_output_is_not(context, Output::kProtobuf); bad.code != kExitOk) {
        return bad;
    }
    const auto status = read_status(context, context.line.arguments.front());
    if (status.has_error()) {
        return failed(status.error());
    }
    print_snapshot(context, status.value());
    return {};
}

Outcome run_snapshot_restore(const Context& context) {
    const Invocation& line = context.line;
    if (line.arguments.size() != 1) {
        return {kExitBadArgs, "snapshot restore requires exactly one argument"};
    }
    if (Outcome bad = check_bump(line); bad.code != kExitOk) {
        return bad;
    }
    const auto config = member_config(line);
    if (config.has_error()) {
        return {kExitBadArgs, config.error().detail};
    }
    server::RestoreOptions options;
    options.snapshot_path = line.arguments.front();
    options.bump_revision = line.number("bump-revision");
    if (line.flag("skip-hash-check")) {
        options.check = storage::DigestCheck::kSkipped;
    }
    storage::PosixFs disk;
    storage::RocksKind kind;
    InterruptibleFs files(disk);
    const auto restored = [&] {
        Progress progress(context.streams, "snapshot restore");
        files.watch(options.snapshot_path, &progress);
        auto made = server::restore_member(files, kind, config.value(), options);
        files.watch("", nullptr);
        return made;
    }();
    if (restored.has_error() && files.interrupt().was_told()) {
        files.interrupt().end_process();
    }
    if (restored.has_error()) {
        return failed(restored.error());
    }
    context.streams.out << fmt::format(
        "Restored revision {} into {}: member {:x} of cluster {:x}\n", restored.value().revision,
        config.value().data_dir, restored.value().identity.member.value,
        restored.value().identity.cluster.value);
    return {};
}

}  // namespace cairn::client::ctl
