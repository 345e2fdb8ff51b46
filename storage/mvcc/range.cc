#include "storage/mvcc/range.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/mutant.h"
#include "storage/mvcc/key_counts.h"
#include "storage/mvcc/key_scan.h"
#include "storage/mvcc/wire.h"

namespace cairn::storage::mvcc {
namespace {

using etcdserverpb::RangeRequest;

constexpr std::uint32_t kFieldKvs = 2;
constexpr std::uint32_t kFieldMore = 3;
constexpr std::uint32_t kFieldCount = 4;

// More than a pair, or the fields behind the pairs, take beside keys and values.
constexpr std::size_t kFramingBytes = 96;

// A key that passed the filters, kept until the sort is done.
struct Picked {
    std::string key;
    std::string value;
    std::int64_t create{};
    std::int64_t mod{};
    std::int64_t version{};
    std::int64_t lease{};

    [[nodiscard]] std::size_t text_bytes() const { return key.size() + value.size(); }
};
// A place in their vector, which may have grown to twice its size.
constexpr std::size_t kPlaceBytes = 2 * sizeof(Picked);

bool passes(const LiveKey& at, const RangeRequest& request) {
    const auto off_or = [](std::int64_t bound, bool holds) { return bound == 0 || holds; };
    return off_or(request.max_mod_revision(), at.mod.main <= request.max_mod_revision()) &&
           off_or(request.min_mod_revision(), at.mod.main >= request.min_mod_revision()) &&
           off_or(request.max_create_revision(), at.create <= request.max_create_revision()) &&
           off_or(request.min_create_revision(), at.create >= request.min_create_revision());
}

bool has_filter(const RangeRequest& request) {
    return request.max_mod_revision() != 0 || request.min_mod_revision() != 0 ||
           request.max_create_revision() != 0 || request.min_create_revision() != 0;
}

// Below, equal or above zero, as `a` stands to `b` by the sort target alone.
int compare_target(const Picked& a, const Picked& b, RangeRequest::SortTarget target) {
    const auto sign = [](std::int64_t x, std::int64_t y) { return x < y ? -1 : (x > y ? 1 : 0); };
    switch (static_cast<int>(target)) {
        case RangeRequest::VERSION: return sign(a.version, b.version);
        case RangeRequest::CREATE: return sign(a.create, b.create);
        case RangeRequest::MOD: return sign(a.mod, b.mod);
        case RangeRequest::VALUE: return a.value.compare(b.value);
        case RangeRequest::KEY:
        default: return a.key.compare(b.key);
    }
}

// Ties go by key, ascending whatever the order: etcd's sort is unstable there.
struct Before {
    RangeRequest::SortTarget target;
    bool descending;
    bool operator()(const Picked& a, const Picked& b) const {
        const int by_target = compare_target(a, b, target);
        if (by_target != 0) {
            return descending ? by_target > 0 : by_target < 0;
        }
        return a.key < b.key;
    }
};

class RangeRun {
  public:
    // The request's revision is readable.
    RangeRun(const EngineReader& reader, const ReadBounds& bounds, const RangeRequest& request,
             std::string& body, ReadGuard* guard)
        : reader_(reader),
          bounds_(bounds),
          request_(request),
          scan_(reader, interval_of(request.key(), request.range_end()), revision(), guard),
          body_(body),
          guard_(guard),
          limit_(request.limit() > 0 ? static_cast<std::size_t>(request.limit()) : SIZE_MAX),
          sorted_(request.sort_order() == RangeRequest::ASCEND ||
                  request.sort_order() == RangeRequest::DESCEND ||
                  request.sort_target() != RangeRequest::KEY) {
        // The natural order needs no sort.
        if (request.sort_target() == RangeRequest::KEY &&
            request.sort_order() == RangeRequest::ASCEND) {
            sorted_ = false;
        }
    }

    Result<void> run() {
        for (;;) {
            if (only_counts()) {
                CAIRN_TRY(count_rest());
                break;
            }
            CAIRN_TRY(const bool found, scan_.next());
            if (!found) {
                break;
            }
            ++count_;
            if (!request_.count_only() && passes(scan_.at(), request_)) {
                CAIRN_TRY(sorted_ ? pick() : emit());
            }
        }
        if (sorted_) {
            CAIRN_TRY(emit_picked());
        }
        CAIRN_TRY(make_room(body_, kFramingBytes, guard_));
        wire::append_int(body_, kFieldMore, more_ ? 1 : 0);
        wire::append_int(body_, kFieldCount, count_);
        return ok();
    }

  private:
    // Whether nothing of what follows can be in the answer, and need not be walked to be counted.
    [[nodiscard]] bool only_counts() const {
        const bool full = emitted_ == limit_ && !sorted_ && !has_filter(request_);
        return bounds_.counts != nullptr && !request_.range_end().empty() &&
               (request_.count_only() || full);
    }

    [[nodiscard]] std::int64_t revision() const {
        return request_.revision() > 0 ? request_.revision() : bounds_.revision;
    }

    Result<void> count_rest() {
        Interval rest = interval_of(request_.key(), request_.range_end());
        std::string behind;
        if (emitted_ > 0) {
            behind.append(scan_.at().key).push_back('\0');
            rest.key = behind;
        }
        CAIRN_TRY(const std::int64_t found,
                  bounds_.counts->count(reader_, rest, revision(), guard_));
        count_ += CAIRN_MUTANT(kv_count_cut_by_limit) ? 0 : found;
        more_ = found > (CAIRN_MUTANT(kv_more_lost_by_one) ? 1 : 0) && !request_.count_only();
        return ok();
    }

    Result<void> emit() {
        if (emitted_ == limit_) {
            more_ = true;
            return ok();
        }
        const LiveKey& at = scan_.at();
        wire::PairView pair{at.key, at.create, at.mod.main, at.version, at.lease, {}};
        if (!request_.keys_only()) {
            CAIRN_TRY(pair.value, scan_.value());
        }
        ++emitted_;
        return append(pair);
    }

    Result<void> append(const wire::PairView& pair) {
        CAIRN_TRY(make_room(body_, pair.key.size() + pair.value.size() + kFramingBytes, guard_));
        wire::append_pair(body_, kFieldKvs, pair);
        return within_bound(body_.size());
    }

    // With sort order NONE and a target etcd takes the first limit + 1 keys and sorts those; with
    // an explicit order it sorts everything. Here a heap keeps the best `limit` of them.
    Result<void> pick() {
        const bool fetch_first = request_.sort_order() != RangeRequest::ASCEND &&
                                 request_.sort_order() != RangeRequest::DESCEND &&
                                 !has_filter(request_);
        if (fetch_first && limit_ != SIZE_MAX && fetched_ > limit_) {
            return ok();
        }
        ++fetched_;
        const LiveKey& at = scan_.at();
        Picked picked{std::string(at.key), {}, at.create, at.mod.main, at.version, at.lease};
        const bool by_value = request_.sort_target() == RangeRequest::VALUE;
        if (by_value || !request_.keys_only()) {
            CAIRN_TRY(const ByteView value, scan_.value());
            picked.value = value;
        }
        const Before before = order();
        if (picked_.size() < limit_) {
            CAIRN_TRY(grow(kPlaceBytes + picked.text_bytes()));
            picked_bytes_ += picked.text_bytes();
            picked_.push_back(std::move(picked));
            std::push_heap(picked_.begin(), picked_.end(), before);
            return within_bound(picked_bytes_);
        }
        more_ = true;
        if (before(picked, picked_.front())) {
            CAIRN_TRY(grow(picked.text_bytes()));
            picked_bytes_ += picked.text_bytes();
            picked_bytes_ -= picked_.front().text_bytes();
            std::pop_heap(picked_.begin(), picked_.end(), before);
            shrink(picked_.back().text_bytes());
            picked_.back() = std::move(picked);
            std::push_heap(picked_.begin(), picked_.end(), before);
        }
        return within_bound(picked_bytes_);
    }

    // Each is freed as it goes into the answer.
    Result<void> emit_picked() {
        std::sort_heap(picked_.begin(), picked_.end(), order());
        for (Picked& picked : picked_) {
            CAIRN_TRY(append({picked.key, picked.create, picked.mod, picked.version, picked.lease,
                              request_.keys_only() && !CAIRN_MUTANT(kv_sorted_keys_keep_values)
                                  ? ByteView()
                                  : ByteView(picked.value)}));
            shrink(picked.text_bytes());
            // By swap: an assigned empty string may keep its memory.
            std::string().swap(picked.key);
            std::string().swap(picked.value);
        }
        shrink(kPlaceBytes * picked_.size());  // they go with this run, which ends now
        return ok();
    }

    [[nodiscard]] Result<void> within_bound(std::uint64_t bytes) const {
        if (bytes > bounds_.answer_bytes_max) {
            return Errc::kMessageTooLarge;
        }
        return ok();
    }

    Result<void> grow(std::size_t bytes) {
        if (guard_ != nullptr) {
            CAIRN_TRY(guard_->grow(bytes));
        }
        return ok();
    }
    void shrink(std::size_t bytes) {
        if (guard_ != nullptr) {
            guard_->shrink(bytes);
        }
    }

    [[nodiscard]] Before order() const {
        return {request_.sort_target(), request_.sort_order() == RangeRequest::DESCEND};
    }

    const EngineReader& reader_;
    const ReadBounds& bounds_;
    const RangeRequest& request_;
    KeyScan scan_;
    std::string& body_;
    ReadGuard* guard_;
    std::size_t limit_;
    bool sorted_;
    std::int64_t count_ = 0;
    std::size_t emitted_ = 0;
    std::size_t fetched_ = 0;
    bool more_ = false;
    std::uint64_t picked_bytes_ = 0;  // Invariant: the sum of text_bytes() over picked_.
    std::vector<Picked> picked_;      // a heap, the worst in front; at most `limit_`
};

}  // namespace

Result<std::int64_t> readable_revision(std::int64_t asked, const ReadBounds& bounds) {
    if (asked > bounds.revision) {
        return Errc::kFutureRev;
    }
    const std::int64_t revision = asked <= 0 ? bounds.revision : asked;
    if (revision < bounds.compacted) {
        return Errc::kCompacted;
    }
    return revision;
}

Result<void> run_range(const EngineReader& reader, const ReadBounds& bounds,
                       const RangeRequest& request, std::string& body, ReadGuard* guard) {
    CAIRN_TRY(readable_revision(request.revision(), bounds));
    const std::size_t start = body.size();
    auto done = RangeRun(reader, bounds, request, body, guard).run();
    if (!done) {
        body.resize(start);
    }
    return done;
}

}  // namespace cairn::storage::mvcc
