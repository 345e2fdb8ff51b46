#include "storage/mvcc/range.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "storage/mvcc/key_scan.h"
#include "storage/mvcc/wire.h"

namespace cairn::storage::mvcc {
namespace {

using etcdserverpb::RangeRequest;

constexpr std::uint32_t kFieldKvs = 2;
constexpr std::uint32_t kFieldMore = 3;
constexpr std::uint32_t kFieldCount = 4;

// A key that passed the filters, kept until the sort is done.
struct Picked {
    std::string key;
    std::string value;
    std::int64_t create{};
    std::int64_t mod{};
    std::int64_t version{};
    std::int64_t lease{};
};

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
    RangeRun(const EngineReader& reader, std::int64_t revision, const RangeRequest& request,
             std::string& body)
        : request_(request),
          scan_(reader, interval_of(request.key(), request.range_end()), revision),
          body_(body),
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
            emit_picked();
        }
        wire::append_int(body_, kFieldMore, more_ ? 1 : 0);
        wire::append_int(body_, kFieldCount, count_);
        return ok();
    }

  private:
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
        wire::append_pair(body_, kFieldKvs, pair);
        ++emitted_;
        return ok();
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
            picked_.push_back(std::move(picked));
            std::push_heap(picked_.begin(), picked_.end(), before);
            return ok();
        }
        more_ = true;
        if (before(picked, picked_.front())) {
            std::pop_heap(picked_.begin(), picked_.end(), before);
            picked_.back() = std::move(picked);
            std::push_heap(picked_.begin(), picked_.end(), before);
        }
        return ok();
    }

    void emit_picked() {
        std::sort_heap(picked_.begin(), picked_.end(), order());
        for (const Picked& picked : picked_) {
            wire::append_pair(body_, kFieldKvs,
                              {picked.key, picked.create, picked.mod, picked.version, picked.lease,
                               request_.keys_only() ? ByteView() : ByteView(picked.value)});
        }
    }

    [[nodiscard]] Before order() const {
        return {request_.sort_target(), request_.sort_order() == RangeRequest::DESCEND};
    }

    const RangeRequest& request_;
    KeyScan scan_;
    std::string& body_;
    std::size_t limit_;
    bool sorted_;
    std::int64_t count_ = 0;
    std::size_t emitted_ = 0;
    std::size_t fetched_ = 0;
    bool more_ = false;
    std::vector<Picked> picked_;  // a heap, the worst in front; at most `limit_`
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
                       const RangeRequest& request, std::string& body) {
    CAIRN_TRY(const std::int64_t revision, readable_revision(request.revision(), bounds));
    const std::size_t start = body.size();
    auto done = RangeRun(reader, revision, request, body).run();
    if (!done) {
        body.resize(start);
    }
    return done;
}

}  // namespace cairn::storage::mvcc
