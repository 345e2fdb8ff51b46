#include "tests/sim_fs/sim_fs.h"

#include <algorithm>

#include "base/assert.h"
#include "tests/sim_fs/sim_node.h"

namespace cairn::storage {
namespace {

// The components of a path; "." and doubled slashes do not count. All paths begin at the root.
std::vector<std::string> components(const std::string& path) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    while (begin < path.size()) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
        begin = end + 1;
    }
    return parts;
}

std::string join(const std::vector<std::string>& parts, std::size_t count) {
    std::string path;
    for (std::size_t i = 0; i < count; ++i) {
        path += "/" + parts[i];
    }
    return path.empty() ? "/" : path;
}

std::string parent_of(const std::string& path) {
    const auto parts = components(path);
    return join(parts, parts.empty() ? 0 : parts.size() - 1);
}

std::string name_of(const std::string& path) {
    const auto parts = components(path);
    return parts.empty() ? std::string() : parts.back();
}

Error not_found(const std::string& path) { return {Errc::kNotFound, path + ": not there"}; }

}  // namespace

void apply_change(const SimChange& change, std::string& content) {
    if (change.resize) {
        content.resize(change.offset, '\0');
        return;
    }
    if (change.offset > content.size()) {
        content.resize(change.offset, '\0');
    }
    // Mostly files are written from their beginning on: nothing is there to be overwritten.
    content.replace(change.offset, change.bytes.size(), change.bytes);
}

class SimFile final : public File {
  public:
    SimFile(SimFs& files, SimFs::NodePtr node, std::string path, bool writable)
        : files_(files),
          node_(std::move(node)),
          path_(std::move(path)),
          boot_(files.boot_),
          writable_(writable) {}

    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        CAIRN_TRY(check(true));
        return files_.file_write(*node_, path_, offset, bytes);
    }
    Result<std::string> read_at(std::uint64_t offset, std::size_t count) override {
        CAIRN_TRY(check(false));
        CAIRN_TRY(files_.enter(SimOpKind::kRead, path_, offset, count));
        if (offset >= node_->current.size()) {
            return std::string();
        }
        return node_->current.substr(offset, count);
    }
    Result<void> sync() override {
        CAIRN_TRY(check(false));
        return files_.file_sync(*node_, path_);
    }
    Result<void> preallocate(std::uint64_t bytes) override {
        CAIRN_TRY(check(true));
        return files_.file_resize(*node_, SimOpKind::kPreallocate, path_, bytes);
    }
    Result<void> truncate(std::uint64_t bytes) override {
        CAIRN_TRY(check(true));
        return files_.file_resize(*node_, SimOpKind::kTruncate, path_, bytes);
    }
    Result<std::uint64_t> size() override {
        CAIRN_TRY(check(false));
        CAIRN_TRY(files_.enter(SimOpKind::kSize, path_));
        return std::uint64_t{node_->current.size()};
    }

  private:
    Result<void> check(bool writes) const {
        if (boot_ != files_.boot_) {
            return Error{Errc::kIo, path_ + ": opened before the crash"};
        }
        if (writes && !writable_) {
            return Error{Errc::kIo, path_ + ": opened for reading"};
        }
        return ok();
    }

    SimFs& files_;
    SimFs::NodePtr node_;
    std::string path_;
    std::uint64_t boot_;
    bool writable_;
};

class SimLock final : public FileLock {
  public:
    SimLock(SimFs& files, std::string path)
        : files_(files), path_(std::move(path)), boot_(files.boot_) {}
    SimLock(const SimLock&) = delete;
    SimLock& operator=(const SimLock&) = delete;
    ~SimLock() override {
        if (boot_ == files_.boot_) {
            files_.locked_.erase(path_);
        }
    }

  private:
    SimFs& files_;
    std::string path_;
    std::uint64_t boot_;
};

SimFs::SimFs() : root_(std::make_shared<Node>()) { root_->is_dir = true; }
SimFs::~SimFs() = default;

Result<void> SimFs::enter(SimOpKind kind, const std::string& path, std::uint64_t offset,
                          std::uint64_t bytes) {
    const SimOp op{.kind = kind, .number = ++ops_, .path = path, .offset = offset, .bytes = bytes};
    if (crash_at_ != 0 && op.number >= crash_at_) {
        halted_ = true;
    }
    if (halted_) {
        return Error{Errc::kIo, op.path + ": the machine is down"};
    }
    if (const auto failure = failures_.find(op.number); failure != failures_.end()) {
        const Errc code = failure->second;
        failures_.erase(failure);
        ++failures_met_;
        return Error{code, op.path + ": made to fail"};
    }
    if (hook_) {
        if (auto error = hook_(op)) {
            return *std::move(error);
        }
    }
    return ok();
}

void SimFs::fail_at(std::uint64_t number, Errc code) { failures_[number] = code; }

SimFs::NodePtr SimFs::find(const std::string& path, View view) const {
    NodePtr node = root_;
    for (const std::string& part : components(path)) {
        auto& names = node->names_of(view);
        const auto found = names.find(part);
        if (!node->is_dir || found == names.end()) {
            return nullptr;
        }
        node = found->second;
    }
    return node;
}

Result<SimFs::NodePtr> SimFs::find_dir(const std::string& path) const {
    NodePtr node = find(path);
    if (node == nullptr || !node->is_dir) {
        return not_found(path);
    }
    return node;
}

void SimFs::carry_out(const DirChange& change, View view) {
    for (const NodePtr& dir : {change.from_dir, change.to_dir}) {
        // By node, not by name: when a crash kept this change but not one before it, the node may
        // stand elsewhere, and must not get two names.
        if (dir != nullptr) {
            std::erase_if(dir->names_of(view),
                          [&](const auto& entry) { return entry.second == change.node; });
        }
    }
    if (change.to_dir != nullptr) {
        change.to_dir->names_of(view)[change.to] = change.node;
    }
}

void SimFs::record(DirChange change) {
    carry_out(change, View::kCurrent);
    dir_changes_.push_back(std::move(change));
}

Result<std::unique_ptr<File>> SimFs::open(const std::string& path, OpenMode mode) {
    CAIRN_TRY(enter(SimOpKind::kOpen, path));
    NodePtr node = find(path);
    if (mode == OpenMode::kCreate) {
        if (node != nullptr) {
            return Error{Errc::kIo, path + ": exists"};
        }
        CAIRN_TRY(NodePtr dir, find_dir(parent_of(path)));
        node = std::make_shared<Node>();
        record({.node = node, .from_dir = nullptr, .from = {}, .to_dir = dir, .to = name_of(path)});
    }
    if (node == nullptr) {
        return not_found(path);
    }
    if (node->is_dir) {
        return Error{Errc::kIo, path + ": is a directory"};
    }
    return std::unique_ptr<File>(
        std::make_unique<SimFile>(*this, std::move(node), path, mode != OpenMode::kRead));
}

Result<std::vector<std::string>> SimFs::list(const std::string& dir) {
    CAIRN_TRY(enter(SimOpKind::kList, dir));
    CAIRN_TRY(const NodePtr node, find_dir(dir));
    std::vector<std::string> names;
    for (const auto& [name, child] : node->names) {
        names.push_back(name);
    }
    return names;
}

Result<bool> SimFs::exists(const std::string& path) {
    CAIRN_TRY(enter(SimOpKind::kExists, path));
    return find(path) != nullptr;
}

Result<void> SimFs::rename(const std::string& from, const std::string& to) {
    CAIRN_TRY(enter(SimOpKind::kRename, from));
    NodePtr node = find(from);
    if (node == nullptr) {
        return not_found(from);
    }
    if (const NodePtr target = find(to); target != nullptr && target->is_dir != node->is_dir) {
        return Error{Errc::kIo, to + ": is of another kind"};
    }
    CAIRN_TRY(NodePtr to_dir, find_dir(parent_of(to)));
    record({.node = std::move(node),
            .from_dir = find(parent_of(from)),
            .from = name_of(from),
            .to_dir = std::move(to_dir),
            .to = name_of(to)});
    return ok();
}

Result<void> SimFs::remove(const std::string& path) {
    CAIRN_TRY(enter(SimOpKind::kRemove, path));
    NodePtr node = find(path);
    if (node == nullptr) {
        return not_found(path);
    }
    if (node->is_dir) {
        return Error{Errc::kIo, path + ": is a directory"};
    }
    record({.node = std::move(node),
            .from_dir = find(parent_of(path)),
            .from = name_of(path),
            .to_dir = nullptr,
            .to = {}});
    return ok();
}

Result<void> SimFs::remove_all(const std::string& dir) {
    CAIRN_TRY(enter(SimOpKind::kRemove, dir));
    NodePtr node = find(dir);
    if (node == nullptr || node == root_) {
        return ok();
    }
    // Children first, as rm -r does, so that a crash may find the directory half empty.
    std::vector<std::pair<NodePtr, NodePtr>> doomed{{find(parent_of(dir)), node}};
    for (std::size_t i = 0; i < doomed.size(); ++i) {
        const NodePtr parent = doomed[i].second;
        for (const auto& [name, child] : parent->names) {
            doomed.emplace_back(parent, child);
        }
    }
    for (auto it = doomed.rbegin(); it != doomed.rend(); ++it) {
        record(
            {.node = it->second, .from_dir = it->first, .from = {}, .to_dir = nullptr, .to = {}});
    }
    return ok();
}

Result<void> SimFs::make_dirs(const std::string& dir) {
    CAIRN_TRY(enter(SimOpKind::kMakeDirs, dir));
    const auto parts = components(dir);
    NodePtr parent = root_;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const auto found = parent->names.find(parts[i]);
        NodePtr child = found == parent->names.end() ? nullptr : found->second;
        if (child == nullptr) {
            child = std::make_shared<Node>();
            child->is_dir = true;
            record(
                {.node = child, .from_dir = nullptr, .from = {}, .to_dir = parent, .to = parts[i]});
        }
        if (!child->is_dir) {
            return Error{Errc::kIo, join(parts, i + 1) + ": is not a directory"};
        }
        parent = std::move(child);
    }
    return ok();
}

Result<void> SimFs::sync_dir(const std::string& dir) {
    CAIRN_TRY(enter(SimOpKind::kSyncDir, dir));
    CAIRN_TRY(const NodePtr node, find_dir(dir));
    std::vector<DirChange> others;
    for (DirChange& change : dir_changes_) {
        if (change.from_dir == node || change.to_dir == node) {
            carry_out(change, View::kDurable);
        } else {
            others.push_back(std::move(change));
        }
    }
    dir_changes_ = std::move(others);
    return ok();
}

Result<std::uint64_t> SimFs::free_bytes(const std::string& dir) {
    CAIRN_TRY(enter(SimOpKind::kFreeBytes, dir));
    CAIRN_TRY(find_dir(dir));
    const std::uint64_t used = bytes_used();
    return capacity_ > used ? capacity_ - used : 0;
}

Result<std::unique_ptr<FileLock>> SimFs::lock(const std::string& path) {
    CAIRN_TRY(enter(SimOpKind::kLock, path));
    const auto parts = components(path);
    const std::string key = join(parts, parts.size());
    if (locked_.contains(key)) {
        return Error{Errc::kLocked, path + ": held by another opener"};
    }
    if (find(path) == nullptr) {
        CAIRN_TRY(NodePtr dir, find_dir(parent_of(path)));
        record({.node = std::make_shared<Node>(),
                .from_dir = nullptr,
                .from = {},
                .to_dir = dir,
                .to = name_of(path)});
    }
    locked_.insert(key);
    return std::unique_ptr<FileLock>(std::make_unique<SimLock>(*this, key));
}

bool SimFs::fits(const Node& node, std::uint64_t length) {
    const bool fits = capacity_ == UINT64_MAX || length <= node.current.size() ||
                      bytes_used() - node.current.size() + length <= capacity_;
    was_full_ = was_full_ || !fits;
    return fits;
}

Result<void> SimFs::file_write(Node& node, const std::string& path, std::uint64_t offset,
                               ByteView bytes) {
    const Result<void> entered = enter(SimOpKind::kWrite, path, offset, bytes.size());
    if (entered.has_error()) {
        if (halted_) {
            return entered;
        }
        bytes = bytes.substr(0, bytes.size() / 2);
    }
    const std::uint64_t end = offset + bytes.size();
    if (!fits(node, end)) {
        return Error{Errc::kNoSpace, path + ": the disk is full"};
    }
    if (!bytes.empty()) {
        node.changes.push_back({.resize = false, .offset = offset, .bytes = std::string(bytes)});
        apply_change(node.changes.back(), node.current);
    }
    return entered;
}

Result<void> SimFs::file_sync(Node& node, const std::string& path) {
    const Result<void> entered = enter(SimOpKind::kSync, path);
    if (entered.has_error()) {
        if (!halted_) {
            node.changes.clear();
            if (failed_sync_ == SimFailedSync::kReadsOld) {
                node.current = node.durable;
            }
        }
        return entered;
    }
    for (const SimChange& change : node.changes) {
        apply_change(change, node.durable);
    }
    node.changes.clear();
    return ok();
}

Result<void> SimFs::file_resize(Node& node, SimOpKind kind, const std::string& path,
                                std::uint64_t length) {
    CAIRN_TRY(enter(kind, path, 0, length));
    if (kind == SimOpKind::kPreallocate && length <= node.current.size()) {
        return ok();
    }
    if (!fits(node, length)) {
        return Error{Errc::kNoSpace, path + ": the disk is full"};
    }
    node.changes.push_back({.resize = true, .offset = length, .bytes = {}});
    apply_change(node.changes.back(), node.current);
    return ok();
}

std::uint64_t SimFs::bytes_used() const {
    std::uint64_t bytes = 0;
    std::vector<const Node*> open{root_.get()};
    while (!open.empty()) {
        const Node* node = open.back();
        open.pop_back();
        bytes += node->current.size();
        for (const auto& [name, child] : node->names) {
            open.push_back(child.get());
        }
    }
    return bytes;
}

void SimFs::flip_bit(const std::string& path, std::uint64_t offset, unsigned bit) {
    const NodePtr node = find(path);
    CAIRN_ASSERT(node != nullptr && offset < node->current.size() && bit < 8);
    const auto flip = [&](std::string& content) {
        if (offset < content.size()) {
            content[offset] = static_cast<char>(static_cast<unsigned char>(content[offset]) ^
                                                static_cast<unsigned char>(1U << bit));
        }
    };
    flip(node->current);
    flip(node->durable);
}

void SimFs::put_file(const std::string& path, ByteView content) {
    NodePtr node = find(path);
    const NodePtr dir = find(parent_of(path));
    CAIRN_ASSERT(dir != nullptr && dir->is_dir);
    if (node == nullptr) {
        node = std::make_shared<Node>();
        dir->names[name_of(path)] = node;
        dir->durable_names[name_of(path)] = node;
    }
    CAIRN_ASSERT(!node->is_dir);
    node->current = std::string(content);
    node->durable = std::string(content);
    node->changes.clear();
}

std::optional<std::string> SimFs::content(const std::string& path) const {
    const NodePtr node = find(path);
    return node == nullptr || node->is_dir ? std::nullopt : std::optional(node->current);
}

std::optional<std::string> SimFs::durable_content(const std::string& path) const {
    const NodePtr node = find(path, View::kDurable);
    return node == nullptr || node->is_dir ? std::nullopt : std::optional(node->durable);
}

}  // namespace cairn::storage
