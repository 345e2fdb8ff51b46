// The writes of one apply call, readable before the engine has them.
// Owned by StateMachine::apply; state thread only, one at a time.
// Never writes to the engine: the caller does, once, with the whole batch.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/engine.h"

namespace cairn::storage::mvcc {

// Reads see the engine with the batch's puts and removes over it. Iterators are valid until the
// next write to the overlay.
class Overlay final : public EngineReader {
  public:
    // `below` is borrowed.
    explicit Overlay(const EngineReader& below);
    Overlay(const Overlay&) = delete;
    Overlay& operator=(const Overlay&) = delete;

    void put(ColumnFamily family, std::string key, std::string value);
    void remove(ColumnFamily family, std::string key);

    // A place to come back to: rollback takes every later write back.
    [[nodiscard]] std::size_t savepoint() const { return batch_.ops().size(); }
    void rollback(std::size_t savepoint);

    [[nodiscard]] const WriteBatch& batch() const { return batch_; }

    [[nodiscard]] Result<std::optional<std::string>> get(ColumnFamily family,
                                                         ByteView key) const override;
    [[nodiscard]] std::unique_ptr<Iterator> iterate(ColumnFamily family, ByteView lower,
                                                    ByteView upper) const override;

    // Orders operations by their keys.
    struct ByKey {
        using is_transparent = void;
        const WriteBatch* batch;
        bool operator()(std::uint32_t a, std::uint32_t b) const { return key(a) < key(b); }
        bool operator()(std::uint32_t a, ByteView b) const { return key(a) < b; }
        bool operator()(ByteView a, std::uint32_t b) const { return a < key(b); }
        [[nodiscard]] ByteView key(std::uint32_t op) const { return batch->ops()[op].key; }
    };
    // The newest operation on each key of a family, in key order.
    using Index = std::set<std::uint32_t, ByKey>;

  private:
    // Indexes lag behind the batch until somebody reads the family: most commands read only kKeys,
    // and kHistory and kRevlog are nearly never read while a batch is made.
    struct Family {
        explicit Family(const WriteBatch* batch) : index(ByKey{batch}) {}
        Index index;
        std::size_t indexed = 0;  // operations of the batch looked at
    };
    const Index& index_of(ColumnFamily family) const;

    const EngineReader& below_;
    WriteBatch batch_;
    mutable std::vector<Family> families_;  // by number
};

}  // namespace cairn::storage::mvcc
