#include "proto/wire/h2_stream.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace cairn::wire {

namespace {

constexpr std::size_t kFirstBuckets = 16;
constexpr std::size_t kKeptItems = 16;
constexpr std::size_t kKeptSlots = 256;

}  // namespace

void SendQueue::push(Bytes payload) {
    const ByteView view = payload.view();
    push(Item{encode_prefix(view.size()), view, std::move(payload), nullptr});
}

void SendQueue::push(ByteView payload, std::shared_ptr<const void> owner) {
    push(Item{encode_prefix(payload.size()), payload, Bytes(), std::move(owner)});
}

void SendQueue::push(Item item) {
    bytes_ += kGrpcPrefixBytes + item.payload.size();
    items_.push_back(std::move(item));
}

void SendQueue::copy_to(std::string& out, std::size_t count) {
    CAIRN_ASSERT(count <= bytes_);
    bytes_ -= count;
    while (count > 0) {
        const Item& item = items_[head_];
        if (sent_ < kGrpcPrefixBytes) {
            const std::size_t part = std::min(count, kGrpcPrefixBytes - sent_);
            out.append(item.prefix.data() + sent_, part);
            sent_ += part;
            count -= part;
        }
        const std::size_t offset = sent_ - kGrpcPrefixBytes;
        if (sent_ >= kGrpcPrefixBytes) {
            const std::size_t part = std::min(count, item.payload.size() - offset);
            out.append(item.payload.data() + offset, part);
            sent_ += part;
            count -= part;
            if (sent_ == kGrpcPrefixBytes + item.payload.size()) {
                drop_front();
            }
        }
    }
}

// A long-lived stream may never find its queue empty: the dead front is cut off now and then, so
// that the vector does not grow with all that was ever sent.
void SendQueue::drop_front() {
    items_[head_] = Item();
    ++head_;
    sent_ = 0;
    if (head_ == items_.size()) {
        items_.clear();
        head_ = 0;
    } else if (head_ >= kKeptItems && head_ * 2 >= items_.size()) {
        items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
        head_ = 0;
    }
}

void SendQueue::clear() {
    if (items_.capacity() > kKeptItems) {
        items_ = std::vector<Item>();
    } else {
        items_.clear();
    }
    head_ = 0;
    sent_ = 0;
    bytes_ = 0;
}

bool H2Stream::keeps_messages() const {
    if (finished || request.method == nullptr) {
        return false;
    }
    const StreamingKind kind = request.method->kind;
    return kind == StreamingKind::kUnary || kind == StreamingKind::kServerStream;
}

void H2Stream::recycle() {
    GrpcDeframer kept_deframer = std::move(deframer);
    SendQueue kept_out = std::move(out);
    *this = H2Stream{};
    deframer = std::move(kept_deframer);
    deframer.reset();
    out = std::move(kept_out);
    out.clear();
}

StreamTable::StreamTable() : buckets_(kFirstBuckets, nullptr) {}

std::size_t StreamTable::bucket_of(StreamId id) const {
    return (static_cast<std::size_t>(id) >> 1U) & (buckets_.size() - 1);
}

H2Stream* StreamTable::find(StreamId id) const {
    H2Stream* stream = buckets_[bucket_of(id)];
    while (stream != nullptr && stream->id != id) {
        stream = stream->next_in_bucket;
    }
    return stream;
}

H2Stream& StreamTable::open(StreamId id) {
    CAIRN_ASSERT(find(id) == nullptr);
    if (size_ == buckets_.size()) {
        grow();
    }
    if (free_.empty()) {
        slots_.push_back(std::make_unique<H2Stream>());
        free_.push_back(slots_.back().get());
    }
    H2Stream* stream = free_.back();
    free_.pop_back();
    stream->id = id;
    H2Stream*& bucket = buckets_[bucket_of(id)];
    stream->next_in_bucket = bucket;
    bucket = stream;
    ++size_;
    return *stream;
}

void StreamTable::close(StreamId id) {
    H2Stream** link = &buckets_[bucket_of(id)];
    while (*link != nullptr && (*link)->id != id) {
        link = &(*link)->next_in_bucket;
    }
    H2Stream* stream = *link;
    CAIRN_ASSERT(stream != nullptr);
    *link = stream->next_in_bucket;
    stream->recycle();
    free_.push_back(stream);
    --size_;
    // A burst must not keep its memory for the rest of the connection's life.
    if (size_ == 0 && slots_.size() > kKeptSlots) {
        slots_ = std::vector<std::unique_ptr<H2Stream>>();
        free_ = std::vector<H2Stream*>();
        buckets_ = std::vector<H2Stream*>(kFirstBuckets, nullptr);
    }
}

void StreamTable::grow() {
    std::vector<H2Stream*> old(buckets_.size() * 2, nullptr);
    old.swap(buckets_);
    for (H2Stream* stream : old) {
        while (stream != nullptr) {
            H2Stream* next = stream->next_in_bucket;
            H2Stream*& bucket = buckets_[bucket_of(stream->id)];
            stream->next_in_bucket = bucket;
            bucket = stream;
            stream = next;
        }
    }
}

}  // namespace cairn::wire
