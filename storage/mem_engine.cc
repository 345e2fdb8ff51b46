#include "storage/mem_engine.h"

#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/checksum.h"
#include "storage/coding.h"

namespace cairn::storage {
namespace {

// The only file of a directory: magic, then for each family the number of pairs (varint) and each
// pair as length, key, length, value; last the XXH3-64 of all that, big-endian.
constexpr ByteView kImageName = "mem.image";
constexpr ByteView kImageMagic = "cairnmem1";

std::size_t slot(ColumnFamily family) { return static_cast<std::size_t>(family); }

class MemIterator final : public Iterator {
  public:
    MemIterator(MemTree tree, ByteView lower, ByteView upper)
        : cursor_(std::move(tree)), lower_(lower), upper_(upper) {
        cursor_.seek(lower_);
        settle();
    }
    [[nodiscard]] bool valid() const override { return valid_; }
    void next() override {
        CAIRN_ASSERT(valid_);
        cursor_.next();
        settle();
    }
    void seek(ByteView key) override {
        cursor_.seek(key < lower_ ? ByteView(lower_) : key);
        settle();
    }
    void seek_before(ByteView key) override {
        cursor_.seek_before(!upper_.empty() && key > upper_ ? ByteView(upper_) : key);
        settle();
    }
    [[nodiscard]] ByteView key() const override { return cursor_.entry().key(); }
    [[nodiscard]] ByteView value() const override { return cursor_.entry().value(); }
    [[nodiscard]] Result<void> status() const override { return ok(); }

  private:
    void settle() {
        valid_ = cursor_.valid() && key() >= lower_ && (upper_.empty() || key() < upper_);
    }

    MemTree::Cursor cursor_;
    std::string lower_;
    std::string upper_;
    bool valid_ = false;
};

class MemSnapshot final : public EngineReader {
  public:
    explicit MemSnapshot(MemEngine::Trees trees) : trees_(std::move(trees)) {}
    [[nodiscard]] Result<std::optional<std::string>> get(ColumnFamily family,
                                                         ByteView key) const override {
        const MemTree::Entry* entry = trees_[slot(family)].find(key);
        if (entry == nullptr) {
            return std::optional<std::string>();
        }
        return std::optional<std::string>(entry->value());
    }
    [[nodiscard]] std::unique_ptr<Iterator> iterate(ColumnFamily family, ByteView lower,
                                                    ByteView upper) const override {
        return std::make_unique<MemIterator>(trees_[slot(family)], lower, upper);
    }

  private:
    MemEngine::Trees trees_;
};

std::string encode_image(const MemEngine::Trees& trees) {
    std::string image(kImageMagic);
    for (const MemTree& tree : trees) {
        append_varint(image, tree.size());
        for (MemIterator it(tree, {}, {}); it.valid(); it.next()) {
            append_varint(image, it.key().size());
            image += it.key();
            append_varint(image, it.value().size());
            image += it.value();
        }
    }
    append_u64_be(image, xxh3_64(image));
    return image;
}

// Durable when it returns, and before that the image that was there.
Result<void> write_image(FileSystem& files, const std::string& dir, const std::string& image) {
    const std::string path = dir + "/" + std::string(kImageName);
    const std::string fresh = path + ".tmp";
    CAIRN_TRY(const bool stale, files.exists(fresh));
    if (stale) {
        CAIRN_TRY(files.remove(fresh));
    }
    CAIRN_TRY(auto file, files.open(fresh, OpenMode::kCreate));
    CAIRN_TRY(file->write_at(0, image));
    CAIRN_TRY(file->sync());
    CAIRN_TRY(files.rename(fresh, path));
    return files.sync_dir(dir);
}

std::uint64_t bytes_of(const MemEngine::Trees& trees) {
    std::uint64_t bytes = 0;
    for (const MemTree& tree : trees) {
        bytes += tree.bytes();
    }
    return bytes;
}

bool take_bytes(ByteView& in, ByteView& out) {
    std::uint64_t size = 0;
    if (!take_varint(in, size) || in.size() < size) {
        return false;
    }
    out = in.substr(0, size);
    in.remove_prefix(size);
    return true;
}

bool decode_tree(ByteView& in, MemTree& tree) {
    std::uint64_t count = 0;
    if (!take_varint(in, count)) {
        return false;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
        ByteView key;
        ByteView value;
        if (!take_bytes(in, key) || !take_bytes(in, value)) {
            return false;
        }
        tree.put(key, value);
    }
    return true;
}

}  // namespace

std::shared_ptr<MemEngine> MemEngine::after_crash() const {
    CAIRN_ASSERT(dir_.empty());
    auto survivor = std::make_shared<MemEngine>(files_);
    const std::lock_guard lock(mutex_);
    survivor->trees_ = durable_;
    survivor->durable_ = durable_;
    return survivor;
}

MemTree MemEngine::tree(ColumnFamily family) const {
    const std::lock_guard lock(mutex_);
    return trees_[slot(family)];
}

Result<std::optional<std::string>> MemEngine::get(ColumnFamily family, ByteView key) const {
    const std::lock_guard lock(mutex_);
    const MemTree::Entry* entry = trees_[slot(family)].find(key);
    if (entry == nullptr) {
        return std::optional<std::string>();
    }
    return std::optional<std::string>(entry->value());
}

std::unique_ptr<Iterator> MemEngine::iterate(ColumnFamily family, ByteView lower,
                                             ByteView upper) const {
    return std::make_unique<MemIterator>(tree(family), lower, upper);
}

Result<void> MemEngine::write(const WriteBatch& batch) {
    const std::lock_guard lock(mutex_);
    for (const WriteOp& op : batch.ops()) {
        execute(op);
    }
    unflushed_bytes_ += batch.bytes();
    return ok();
}

void MemEngine::execute(const WriteOp& op) {
    MemTree& tree = trees_[slot(op.family)];
    switch (op.kind) {
        case WriteKind::kPut: tree.put(op.key, op.value); return;
        case WriteKind::kDelete: tree.erase(op.key); return;
        case WriteKind::kSingleDelete: {
            // RocksDB: SingleDelete is undefined unless the key was put exactly once before it.
            const MemTree::Entry* entry = tree.find(op.key);
            CAIRN_ASSERT(entry != nullptr && !entry->overwritten);
            tree.erase(op.key);
            return;
        }
    }
    CAIRN_UNREACHABLE();
}

std::shared_ptr<const EngineReader> MemEngine::snapshot() {
    const std::lock_guard lock(mutex_);
    return std::make_shared<MemSnapshot>(trees_);
}

Result<void> MemEngine::flush() {
    Trees trees;
    std::uint64_t covered = 0;
    {
        const std::lock_guard lock(mutex_);
        trees = trees_;
        covered = unflushed_bytes_;
    }
    if (!dir_.empty()) {
        CAIRN_TRY(write_image(*files_, dir_, encode_image(trees)));
    }
    const std::lock_guard lock(mutex_);
    durable_ = std::move(trees);
    unflushed_bytes_ -= covered;
    return ok();
}

Result<std::optional<std::string>> MemEngine::get_flushed(ByteView key) const {
    const std::lock_guard lock(mutex_);
    const MemTree::Entry* entry = durable_[slot(ColumnFamily::kMeta)].find(key);
    if (entry == nullptr) {
        return std::optional<std::string>();
    }
    return std::optional<std::string>(entry->value());
}

Result<void> MemEngine::checkpoint(const std::string& dir) {
    CAIRN_ASSERT(files_ != nullptr);
    Trees trees;
    {
        const std::lock_guard lock(mutex_);
        trees = trees_;
    }
    CAIRN_TRY(files_->make_dirs(dir));
    return write_image(*files_, dir, encode_image(trees));
}

std::uint64_t MemEngine::checkpoint_bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_of(trees_);
}

Result<std::shared_ptr<MemEngine>> MemEngine::load(FileSystem& files, const std::string& dir) {
    const std::string path = dir + "/" + std::string(kImageName);
    CAIRN_TRY(auto file, files.open(path, OpenMode::kRead));
    CAIRN_TRY(const std::uint64_t size, file->size());
    CAIRN_TRY(const std::string image, file->read_at(0, size));
    if (image.size() < kImageMagic.size() + 8 || !image.starts_with(kImageMagic)) {
        return Error(Errc::kCorrupt, path + ": not a memory image");
    }
    ByteView body(image);
    ByteView stored = body.substr(body.size() - 8);
    body.remove_suffix(8);
    std::uint64_t checksum = 0;
    if (!take_u64_be(stored, checksum) || checksum != xxh3_64(body)) {
        return Error(Errc::kCorrupt, path + ": checksum does not match");
    }
    body.remove_prefix(kImageMagic.size());
    auto engine = std::make_shared<MemEngine>(&files);
    engine->dir_ = dir;
    for (MemTree& tree : engine->trees_) {
        if (!decode_tree(body, tree)) {
            return Error(Errc::kCorrupt, path + ": cut short");
        }
    }
    engine->durable_ = engine->trees_;
    return engine;
}

Result<std::shared_ptr<MemEngine>> MemEngine::open(FileSystem& files, const std::string& dir) {
    auto loaded = load(files, dir);
    if (loaded.has_value()) {
        // What was found is what is durable: a flush that the end of a process cut off may have
        // renamed its file and no more. (RocksDB begins a new MANIFEST when it opens.)
        CAIRN_TRY(files.sync_dir(dir));
        return loaded;
    }
    if (loaded.error().code != Errc::kNotFound) {
        return loaded;
    }
    CAIRN_TRY(files.make_dirs(dir));
    CAIRN_TRY(files.sync_dir(parent_dir(dir)));
    auto engine = std::make_shared<MemEngine>(&files);
    engine->dir_ = dir;
    return engine;
}

std::uint64_t MemEngine::unflushed_bytes() const {
    const std::lock_guard lock(mutex_);
    return unflushed_bytes_;
}

std::uint64_t MemEngine::bytes_used() const {
    const std::lock_guard lock(mutex_);
    return unflushed_bytes_ + bytes_of(durable_);
}

Result<std::shared_ptr<KvEngine>> MemKind::open(const std::string& dir) {
    CAIRN_TRY(auto engine, MemEngine::open(files_, dir));
    return std::shared_ptr<KvEngine>(std::move(engine));
}

Result<std::shared_ptr<const EngineReader>> MemKind::open_to_read(const std::string& dir) {
    CAIRN_TRY(auto engine, MemEngine::load(files_, dir));
    return std::shared_ptr<const EngineReader>(std::move(engine));
}

}  // namespace cairn::storage
