#include "storage/mvcc/overlay.h"

#include <iterator>
#include <utility>

#include "base/assert.h"

namespace cairn::storage::mvcc {
namespace {

// Two ordered walks as one; where both stand on a key, the overlay's operation counts.
class MergeIterator final : public Iterator {
  public:
    MergeIterator(std::unique_ptr<Iterator> below, const Overlay::Index& index,
                  const WriteBatch& batch, ByteView lower, ByteView upper)
        : below_(std::move(below)), index_(index), batch_(batch), lower_(lower), upper_(upper) {
        over_ = index_.lower_bound(ByteView(lower_));
        settle();
    }

    [[nodiscard]] bool valid() const override { return from_ != From::kNowhere; }
    void next() override {
        CAIRN_ASSERT(valid());
        step();
        settle();
    }
    void seek(ByteView key) override {
        const ByteView from = key < ByteView(lower_) ? ByteView(lower_) : key;
        below_->seek(from);
        over_ = index_.lower_bound(from);
        settle();
    }
    void seek_before(ByteView key) override {
        std::string limit(!upper_.empty() && key > ByteView(upper_) ? ByteView(upper_) : key);
        for (;;) {
            below_->seek_before(limit);
            auto over = index_.lower_bound(ByteView(limit));
            const bool has_over =
                over != index_.begin() && op(*std::prev(over)).key >= ByteView(lower_);
            if (!has_over && !below_->valid()) {
                from_ = From::kNowhere;
                return;
            }
            const bool take_over =
                has_over && (!below_->valid() || op(*std::prev(over)).key >= below_->key());
            if (!take_over || op(*std::prev(over)).kind == WriteKind::kPut) {
                seek(std::string(take_over ? ByteView(op(*std::prev(over)).key) : below_->key()));
                return;
            }
            limit = op(*std::prev(over)).key;
        }
    }
    [[nodiscard]] ByteView key() const override {
        return from_ == From::kOver ? ByteView(op(*over_).key) : below_->key();
    }
    [[nodiscard]] ByteView value() const override {
        return from_ == From::kOver ? ByteView(op(*over_).value) : below_->value();
    }
    [[nodiscard]] Result<void> status() const override { return below_->status(); }

  private:
    enum class From : std::uint8_t { kNowhere, kBelow, kOver };

    [[nodiscard]] const WriteOp& op(std::uint32_t number) const { return batch_.ops()[number]; }
    [[nodiscard]] bool over_in_bounds() const {
        return over_ != index_.end() && (upper_.empty() || op(*over_).key < upper_);
    }
    // Leaves the current key on both sides.
    void step() {
        if (from_ == From::kBelow) {
            below_->next();
            return;
        }
        if (below_->valid() && below_->key() == op(*over_).key) {
            below_->next();
        }
        ++over_;
    }
    // Finds the next key that exists, from where both sides stand.
    void settle() {
        while (over_in_bounds()) {
            if (below_->valid() && below_->key() < op(*over_).key) {
                from_ = From::kBelow;
                return;
            }
            from_ = From::kOver;
            if (op(*over_).kind == WriteKind::kPut) {
                return;
            }
            step();
        }
        from_ = below_->valid() ? From::kBelow : From::kNowhere;
    }

    std::unique_ptr<Iterator> below_;
    const Overlay::Index& index_;
    const WriteBatch& batch_;
    std::string lower_;
    std::string upper_;
    Overlay::Index::const_iterator over_;
    From from_ = From::kNowhere;
};

}  // namespace

Overlay::Overlay(const EngineReader& below) : below_(below) {
    families_.reserve(kColumnFamilyCount);
    for (std::size_t i = 0; i < kColumnFamilyCount; ++i) {
        families_.emplace_back(&batch_);
    }
}

void Overlay::put(ColumnFamily family, std::string key, std::string value) {
    batch_.put(family, std::move(key), std::move(value));
}

void Overlay::remove(ColumnFamily family, std::string key) {
    batch_.remove(family, std::move(key));
}

void Overlay::rollback(std::size_t savepoint) {
    if (savepoint == batch_.ops().size()) {
        return;
    }
    // Rare, so the indexes simply start anew.
    for (Family& family : families_) {
        family.index.clear();
        family.indexed = 0;
    }
    batch_.truncate(savepoint);
}

const Overlay::Index& Overlay::index_of(ColumnFamily family) const {
    Family& at = families_[static_cast<std::size_t>(family)];
    for (; at.indexed < batch_.ops().size(); ++at.indexed) {
        const WriteOp& op = batch_.ops()[at.indexed];
        if (op.family != family) {
            continue;
        }
        const auto number = static_cast<std::uint32_t>(at.indexed);
        const auto found = at.index.lower_bound(ByteView(op.key));
        if (found != at.index.end() && batch_.ops()[*found].key == op.key) {
            at.index.insert(at.index.erase(found), number);
        } else {
            at.index.insert(found, number);
        }
    }
    return at.index;
}

Result<std::optional<std::string>> Overlay::get(ColumnFamily family, ByteView key) const {
    const Index& index = index_of(family);
    const auto found = index.find(key);
    if (found == index.end()) {
        return below_.get(family, key);
    }
    const WriteOp& op = batch_.ops()[*found];
    if (op.kind != WriteKind::kPut) {
        return std::optional<std::string>();
    }
    return std::optional<std::string>(op.value);
}

std::unique_ptr<Iterator> Overlay::iterate(ColumnFamily family, ByteView lower,
                                           ByteView upper) const {
    const Index& index = index_of(family);
    auto below = below_.iterate(family, lower, upper);
    if (index.empty()) {
        return below;
    }
    return std::make_unique<MergeIterator>(std::move(below), index, batch_, lower, upper);
}

}  // namespace cairn::storage::mvcc
