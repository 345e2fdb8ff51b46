#include "tests/power_cut/power_cut_fs.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

namespace cairn::storage {
namespace {

std::string normal(const std::string& path) {
    std::string result;
    for (const char c : path) {
        if (c != '/' || result.empty() || result.back() != '/') {
            result += c;
        }
    }
    if (result.size() > 1 && result.back() == '/') {
        result.pop_back();
    }
    return result;
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
        return ".";
    }
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

// One file: the whole of it as this process sees it, and what the real file lacks.
struct PowerCutFs::Content {
    std::unique_ptr<File> real;
    std::string real_path;
    std::string bytes;
    std::uint64_t real_bytes{};  // length of the real file
    // The part of `bytes` that was written since the last sync; empty when begin >= end.
    std::uint64_t dirty_begin = UINT64_MAX;
    std::uint64_t dirty_end{};

    void touch(std::uint64_t begin, std::uint64_t end) {
        dirty_begin = std::min(dirty_begin, begin);
        dirty_end = std::max(dirty_end, end);
    }
};

// Links when `from` is empty, unlinks when `to` is.
struct PowerCutFs::NameChange {
    ContentPtr content;
    std::string from;
    std::string to;
};

class PowerCutFile final : public File {
  public:
    PowerCutFile(PowerCutFs& files, PowerCutFs::ContentPtr content, std::string path, bool writable)
        : files_(files),
          content_(std::move(content)),
          path_(std::move(path)),
          writable_(writable) {}

    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        const std::lock_guard guard(files_.mutex_);
        CAIRN_TRY(check_writable());
        const std::uint64_t end = offset + bytes.size();
        if (end > content_->bytes.size()) {
            content_->bytes.resize(end, '\0');
        }
        std::memcpy(content_->bytes.data() + offset, bytes.data(), bytes.size());
        content_->touch(offset, end);
        return ok();
    }
    Result<std::string> read_at(std::uint64_t offset, std::size_t count) override {
        const std::lock_guard guard(files_.mutex_);
        if (offset >= content_->bytes.size()) {
            return std::string();
        }
        return content_->bytes.substr(offset, count);
    }
    Result<void> sync() override {
        const std::lock_guard guard(files_.mutex_);
        return files_.sync_ == PowerCutSync::kHonest ? files_.save(*content_) : ok();
    }
    Result<void> preallocate(std::uint64_t bytes) override {
        const std::lock_guard guard(files_.mutex_);
        CAIRN_TRY(check_writable());
        content_->bytes.resize(std::max<std::uint64_t>(bytes, content_->bytes.size()), '\0');
        return ok();
    }
    Result<void> truncate(std::uint64_t bytes) override {
        const std::lock_guard guard(files_.mutex_);
        CAIRN_TRY(check_writable());
        if (bytes < content_->bytes.size()) {
            // What a later growth shows there are zeros, not what the real file still has.
            content_->touch(bytes, content_->bytes.size());
        }
        content_->bytes.resize(bytes, '\0');
        return ok();
    }
    Result<std::uint64_t> size() override {
        const std::lock_guard guard(files_.mutex_);
        return std::uint64_t{content_->bytes.size()};
    }

  private:
    Result<void> check_writable() const {
        if (!writable_) {
            return Error{Errc::kIo, path_ + ": opened for reading"};
        }
        return ok();
    }

    PowerCutFs& files_;
    PowerCutFs::ContentPtr content_;
    std::string path_;
    bool writable_;
};

PowerCutFs::PowerCutFs(FileSystem& base, std::string staging, PowerCutSync sync)
    : base_(base), staging_(std::move(staging)), sync_(sync) {}

PowerCutFs::~PowerCutFs() = default;

Result<std::unique_ptr<PowerCutFs>> PowerCutFs::create(FileSystem& base, std::string staging,
                                                       PowerCutSync sync) {
    CAIRN_TRY(base.remove_all(staging));
    CAIRN_TRY(base.make_dirs(staging));
    return std::unique_ptr<PowerCutFs>(new PowerCutFs(base, normal(staging), sync));
}

// Null when this process removed the name; kNotFound when there never was one.
Result<PowerCutFs::ContentPtr> PowerCutFs::find(const std::string& path) {
    if (const auto found = names_.find(path); found != names_.end()) {
        if (found->second == nullptr) {
            return Error{Errc::kNotFound, path + ": open: removed"};
        }
        return found->second;
    }
    auto content = std::make_shared<Content>();
    CAIRN_TRY(content->real, base_.open(path, OpenMode::kReadWrite));
    CAIRN_TRY(content->real_bytes, content->real->size());
    CAIRN_TRY(content->bytes, content->real->read_at(0, content->real_bytes));
    content->real_path = path;
    names_[path] = content;
    return content;
}

Result<PowerCutFs::ContentPtr> PowerCutFs::stage() {
    auto content = std::make_shared<Content>();
    content->real_path = staging_ + "/" + std::to_string(++staged_);
    CAIRN_TRY(content->real, base_.open(content->real_path, OpenMode::kCreate));
    return content;
}

Result<std::unique_ptr<File>> PowerCutFs::open(const std::string& raw_path, OpenMode mode) {
    const std::lock_guard guard(mutex_);
    const std::string path = normal(raw_path);
    auto found = find(path);
    if (found.has_error() && found.error().code != Errc::kNotFound) {
        return found.error();
    }
    if (mode == OpenMode::kCreate) {
        if (found.has_value()) {
            return Error{Errc::kIo, path + ": open: exists"};
        }
        CAIRN_TRY(base_.list(parent_of(path)));  // the directory must be there
        CAIRN_TRY(ContentPtr content, stage());
        names_[path] = content;
        changes_.push_back({content, {}, path});
        found = content;
    }
    if (found.has_error()) {
        return found.error();
    }
    return std::unique_ptr<File>(std::make_unique<PowerCutFile>(*this, std::move(found).value(),
                                                                path, mode != OpenMode::kRead));
}

Result<std::vector<std::string>> PowerCutFs::list(const std::string& raw_dir) {
    const std::lock_guard guard(mutex_);
    const std::string dir = normal(raw_dir);
    CAIRN_TRY(const std::vector<std::string> real, base_.list(dir));
    std::set<std::string> names(real.begin(), real.end());
    for (const auto& [path, content] : names_) {
        if (parent_of(path) != dir) {
            continue;
        }
        if (content == nullptr) {
            names.erase(name_of(path));
        } else {
            names.insert(name_of(path));
        }
    }
    if (parent_of(staging_) == dir) {
        names.erase(name_of(staging_));
    }
    return std::vector<std::string>(names.begin(), names.end());
}

Result<bool> PowerCutFs::exists(const std::string& path) {
    const std::lock_guard guard(mutex_);
    if (const auto found = names_.find(normal(path)); found != names_.end()) {
        return found->second != nullptr;
    }
    return base_.exists(path);
}

Result<void> PowerCutFs::rename(const std::string& raw_from, const std::string& raw_to) {
    const std::lock_guard guard(mutex_);
    const std::string from = normal(raw_from);
    const std::string to = normal(raw_to);
    CAIRN_TRY(ContentPtr content, find(from));
    names_[from] = nullptr;
    names_[to] = content;
    changes_.push_back({std::move(content), from, to});
    return ok();
}

Result<void> PowerCutFs::remove(const std::string& raw_path) {
    const std::lock_guard guard(mutex_);
    const std::string path = normal(raw_path);
    CAIRN_TRY(ContentPtr content, find(path));
    names_[path] = nullptr;
    changes_.push_back({std::move(content), path, {}});
    return ok();
}

Result<void> PowerCutFs::remove_all(const std::string& raw_dir) {
    const std::lock_guard guard(mutex_);
    const std::string dir = normal(raw_dir);
    const std::string prefix = dir + "/";
    std::erase_if(names_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
    std::erase_if(changes_, [&](const NameChange& change) {
        return change.from.starts_with(prefix) || change.to.starts_with(prefix);
    });
    return base_.remove_all(dir);
}

Result<void> PowerCutFs::make_dirs(const std::string& dir) {
    const std::lock_guard guard(mutex_);
    for (std::string path = normal(dir); path != parent_of(path); path = parent_of(path)) {
        if (const auto found = names_.find(path);
            found != names_.end() && found->second != nullptr) {
            return Error{Errc::kIo, path + ": make_dirs: is a file"};
        }
    }
    return base_.make_dirs(dir);
}

Result<void> PowerCutFs::sync_dir(const std::string& raw_dir) {
    const std::lock_guard guard(mutex_);
    const std::string dir = normal(raw_dir);
    CAIRN_TRY(base_.sync_dir(dir));
    if (sync_ == PowerCutSync::kIgnored) {
        return ok();
    }
    std::vector<NameChange> others;
    for (NameChange& change : changes_) {
        const bool begins = !change.to.empty() && parent_of(change.to) == dir;
        const bool ends = !change.from.empty() && parent_of(change.from) == dir;
        if (begins || ends) {
            CAIRN_TRY(carry_out(change));
        } else {
            others.push_back(std::move(change));
        }
    }
    changes_ = std::move(others);
    return ok();
}

Result<void> PowerCutFs::carry_out(const NameChange& change) {
    if (change.to.empty()) {
        return base_.remove(change.content->real_path);
    }
    CAIRN_TRY(base_.rename(change.content->real_path, change.to));
    change.content->real_path = change.to;
    return ok();
}

Result<void> PowerCutFs::save(Content& content) {
    if (content.bytes.size() < content.real_bytes) {
        CAIRN_TRY(content.real->truncate(content.bytes.size()));
    } else {
        CAIRN_TRY(content.real->preallocate(content.bytes.size()));
    }
    content.real_bytes = content.bytes.size();
    const std::uint64_t end = std::min<std::uint64_t>(content.dirty_end, content.bytes.size());
    if (content.dirty_begin < end) {
        const ByteView bytes = content.bytes;
        CAIRN_TRY(content.real->write_at(
            content.dirty_begin, bytes.substr(content.dirty_begin, end - content.dirty_begin)));
    }
    content.dirty_begin = UINT64_MAX;
    content.dirty_end = 0;
    return content.real->sync();
}

Result<std::uint64_t> PowerCutFs::free_bytes(const std::string& dir) {
    return base_.free_bytes(dir);
}

Result<std::unique_ptr<FileLock>> PowerCutFs::lock(const std::string& path) {
    return base_.lock(path);
}

}  // namespace cairn::storage
