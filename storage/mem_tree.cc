#include "storage/mem_tree.h"

#include <algorithm>
#include <iterator>

#include "base/assert.h"

namespace cairn::storage {

MemTree::Ref::Ref(const Ref& other) noexcept : node_(other.node_) {
    if (node_ != nullptr) {
        node_->owners.fetch_add(1, std::memory_order_relaxed);
    }
}

MemTree::Ref::~Ref() {
    if (node_ != nullptr && node_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete node_;
    }
}

MemTree::Node& MemTree::Ref::own() {
    if (node_->owners.load(std::memory_order_acquire) != 1) {
        auto* copy = new Node;
        if (node_->leaf()) {
            copy->entries.reserve(kNodeMax + 1);
            copy->entries = node_->entries;
        } else {
            copy->bounds.reserve(kNodeMax + 1);
            copy->children.reserve(kNodeMax + 1);
            copy->bounds = node_->bounds;
            copy->children = node_->children;
        }
        *this = Ref(copy);
    }
    return *node_;
}

std::size_t MemTree::Node::child_of(ByteView key) const {
    const auto above = std::upper_bound(bounds.begin() + 1, bounds.end(), key,
                                        [](ByteView k, const Bytes& b) { return k < b.view(); });
    return static_cast<std::size_t>(above - bounds.begin()) - 1;
}

std::size_t MemTree::Node::lower_bound(ByteView key) const {
    const auto at = std::lower_bound(entries.begin(), entries.end(), key,
                                     [](const Entry& e, ByteView k) { return e.key() < k; });
    return static_cast<std::size_t>(at - entries.begin());
}

const MemTree::Entry* MemTree::find(ByteView key) const {
    const Node* node = root_.get();
    if (node == nullptr) {
        return nullptr;
    }
    while (!node->leaf()) {
        node = node->children[node->child_of(key)].get();
    }
    const std::size_t index = node->lower_bound(key);
    if (index == node->entries.size() || node->entries[index].key() != key) {
        return nullptr;
    }
    return &node->entries[index];
}

void MemTree::put(ByteView key, ByteView value) {
    if (root_.get() == nullptr) {
        root_ = Ref(new Node);
    }
    Split split = insert(root_, key, value);
    if (split.right.get() != nullptr) {
        auto* grown = new Node;
        grown->bounds.reserve(kNodeMax + 1);
        grown->children.reserve(kNodeMax + 1);
        grown->bounds.emplace_back();
        grown->bounds.push_back(std::move(split.bound));
        grown->children.push_back(std::move(root_));
        grown->children.push_back(std::move(split.right));
        root_ = Ref(grown);
    }
}

MemTree::Split MemTree::insert(Ref& ref, ByteView key, ByteView value) {
    Node& node = ref.own();
    if (node.leaf()) {
        return insert_into_leaf(node, key, value);
    }
    const std::size_t index = node.child_of(key);
    Split split = insert(node.children[index], key, value);
    if (split.right.get() == nullptr) {
        return {};
    }
    const auto after = static_cast<std::ptrdiff_t>(index) + 1;
    node.bounds.insert(node.bounds.begin() + after, std::move(split.bound));
    node.children.insert(node.children.begin() + after, std::move(split.right));
    return node.children.size() > kNodeMax ? split_inner(node) : Split{};
}

MemTree::Split MemTree::insert_into_leaf(Node& leaf, ByteView key, ByteView value) {
    const std::size_t index = leaf.lower_bound(key);
    Entry entry{Bytes::concat(key, value), static_cast<std::uint32_t>(key.size()), false};
    if (index < leaf.entries.size() && leaf.entries[index].key() == key) {
        bytes_ += value.size();
        bytes_ -= leaf.entries[index].value().size();
        entry.overwritten = true;
        leaf.entries[index] = std::move(entry);
        return {};
    }
    bytes_ += key.size() + value.size();
    ++size_;
    const bool appended = index == leaf.entries.size();
    leaf.entries.insert(leaf.entries.begin() + static_cast<std::ptrdiff_t>(index),
                        std::move(entry));
    return leaf.entries.size() > kNodeMax ? split_leaf(leaf, appended) : Split{};
}

MemTree::Split MemTree::split_leaf(Node& leaf, bool appended) {
    // Ascending keys (revlog) leave full leaves behind.
    const std::size_t keep = appended ? kNodeMax : kNodeMax / 2;
    const auto middle = leaf.entries.begin() + static_cast<std::ptrdiff_t>(keep);
    auto* right = new Node;
    right->entries.reserve(kNodeMax + 1);
    std::move(middle, leaf.entries.end(), std::back_inserter(right->entries));
    leaf.entries.erase(middle, leaf.entries.end());
    return {Bytes::copy_of(right->entries.front().key()), Ref(right)};
}

MemTree::Split MemTree::split_inner(Node& inner) {
    constexpr std::ptrdiff_t kKeep = kNodeMax / 2;
    auto* right = new Node;
    right->bounds.reserve(kNodeMax + 1);
    right->children.reserve(kNodeMax + 1);
    std::move(inner.bounds.begin() + kKeep, inner.bounds.end(), std::back_inserter(right->bounds));
    std::move(inner.children.begin() + kKeep, inner.children.end(),
              std::back_inserter(right->children));
    inner.bounds.erase(inner.bounds.begin() + kKeep, inner.bounds.end());
    inner.children.erase(inner.children.begin() + kKeep, inner.children.end());
    return {std::exchange(right->bounds.front(), Bytes()), Ref(right)};
}

bool MemTree::erase(ByteView key) {
    const Entry* found = find(key);
    if (found == nullptr) {
        return false;
    }
    bytes_ -= found->pair.size();
    --size_;
    if (erase_below(root_, key)) {
        root_ = Ref();
    }
    while (root_.get() != nullptr && root_.get()->children.size() == 1) {
        Ref only = root_.get()->children.front();
        root_ = std::move(only);
    }
    return true;
}

bool MemTree::erase_below(Ref& ref, ByteView key) {
    Node& node = ref.own();
    if (node.leaf()) {
        const std::size_t index = node.lower_bound(key);
        CAIRN_DCHECK(index < node.entries.size() && node.entries[index].key() == key);
        node.entries.erase(node.entries.begin() + static_cast<std::ptrdiff_t>(index));
        return node.entries.empty();
    }
    const std::size_t index = node.child_of(key);
    if (erase_below(node.children[index], key)) {
        node.bounds.erase(node.bounds.begin() + static_cast<std::ptrdiff_t>(index));
        node.children.erase(node.children.begin() + static_cast<std::ptrdiff_t>(index));
    }
    return node.children.empty();
}

void MemTree::Cursor::descend(ByteView key) {
    path_.clear();
    const Node* node = tree_.root_.get();
    if (node == nullptr) {
        return;
    }
    while (!node->leaf()) {
        const std::size_t index = node->child_of(key);
        path_.push_back({node, index});
        node = node->children[index].get();
    }
    path_.push_back({node, node->lower_bound(key)});
}

void MemTree::Cursor::seek(ByteView key) {
    descend(key);
    if (valid() && path_.back().index == path_.back().node->entries.size()) {
        --path_.back().index;
        next();
    }
}

void MemTree::Cursor::seek_before(ByteView key) {
    descend(key);
    if (valid()) {
        previous();
    }
}

void MemTree::Cursor::next() {
    if (++path_.back().index < path_.back().node->entries.size()) {
        return;
    }
    path_.pop_back();
    while (!path_.empty() && path_.back().index + 1 == path_.back().node->children.size()) {
        path_.pop_back();
    }
    if (path_.empty()) {
        return;
    }
    const Node* node = path_.back().node->children[++path_.back().index].get();
    while (!node->leaf()) {
        path_.push_back({node, 0});
        node = node->children.front().get();
    }
    path_.push_back({node, 0});
}

void MemTree::Cursor::previous() {
    if (path_.back().index > 0) {
        --path_.back().index;
        return;
    }
    path_.pop_back();
    while (!path_.empty() && path_.back().index == 0) {
        path_.pop_back();
    }
    if (path_.empty()) {
        return;
    }
    const Node* node = path_.back().node->children[--path_.back().index].get();
    while (!node->leaf()) {
        path_.push_back({node, node->children.size() - 1});
        node = node->children.back().get();
    }
    path_.push_back({node, node->entries.size() - 1});
}

}  // namespace cairn::storage
