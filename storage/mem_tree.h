// A persistent ordered map of byte strings: a B+ tree whose copies cost one reference.
// One writer for each copy; different copies may be used by different threads, because shared nodes
// are never changed (a writer first copies what somebody else can see).
// Never rebalances on erase: empty nodes go, thin ones stay; fine for what lives in memory only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace cairn::storage {

class MemTree {
  public:
    struct Entry {
        Bytes pair;  // the key, then the value
        std::uint32_t key_bytes{};
        // Put more than once since it last did not exist: not to be single-deleted.
        bool overwritten = false;

        [[nodiscard]] ByteView key() const { return pair.view().substr(0, key_bytes); }
        [[nodiscard]] ByteView value() const { return pair.view().substr(key_bytes); }
    };

    void put(ByteView key, ByteView value);
    // False when there was nothing.
    bool erase(ByteView key);
    // Borrowed until the next write to this copy; nullptr when missing.
    [[nodiscard]] const Entry* find(ByteView key) const;
    // Keys and values together.
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t size() const { return size_; }

    class Cursor;

  private:
    struct Node;
    // An owning reference to a node; the count is in the node.
    class Ref {
      public:
        Ref() = default;
        explicit Ref(Node* node) : node_(node) {}
        Ref(const Ref& other) noexcept;
        Ref(Ref&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
        Ref& operator=(Ref other) noexcept {
            std::swap(node_, other.node_);
            return *this;
        }
        ~Ref();
        [[nodiscard]] const Node* get() const { return node_; }
        // The node, copied first when somebody else can see it.
        Node& own();

      private:
        Node* node_ = nullptr;
    };
    struct Node {
        std::atomic<std::uint32_t> owners{1};
        std::vector<Entry> entries;  // of a leaf, in key order, never empty
        // Of an inner node: children[i] holds the keys from bounds[i] up to bounds[i + 1];
        // bounds[0] stands for minus infinity.
        std::vector<Bytes> bounds;
        std::vector<Ref> children;

        [[nodiscard]] bool leaf() const { return children.empty(); }
        [[nodiscard]] std::size_t child_of(ByteView key) const;
        [[nodiscard]] std::size_t lower_bound(ByteView key) const;
    };
    // The right half of a node that grew too large; empty when it did not.
    struct Split {
        Bytes bound;
        Ref right;
    };
    static constexpr std::size_t kNodeMax = 32;

    Split insert(Ref& ref, ByteView key, ByteView value);
    Split insert_into_leaf(Node& leaf, ByteView key, ByteView value);
    static Split split_leaf(Node& leaf, bool appended);
    static Split split_inner(Node& inner);
    // True when the node is empty afterwards.
    static bool erase_below(Ref& ref, ByteView key);

    Ref root_;
    std::uint64_t bytes_ = 0;
    std::uint64_t size_ = 0;
};

// A place in one copy of a tree, which it keeps alive.
class MemTree::Cursor {
  public:
    explicit Cursor(MemTree tree) : tree_(std::move(tree)) {}
    [[nodiscard]] bool valid() const { return !path_.empty(); }
    [[nodiscard]] const Entry& entry() const {
        return path_.back().node->entries[path_.back().index];
    }
    void seek(ByteView key);
    // To the last entry with a key below `key`.
    void seek_before(ByteView key);
    void next();

  private:
    struct Step {
        const Node* node = nullptr;
        std::size_t index = 0;
    };
    void descend(ByteView key);
    void previous();

    MemTree tree_;
    std::vector<Step> path_;  // from the root to a leaf; empty: nowhere
};

}  // namespace cairn::storage
