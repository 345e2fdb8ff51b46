#include "model.h"

#include <algorithm>

namespace cairn::storage::test {

using etcdserverpb::Compare;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;
using mvccpb::KeyValue;

namespace {

bool inside(const std::string& candidate, const std::string& key, const std::string& end) {
    if (end.empty()) {
        return candidate == key;
    }
    return candidate >= key && (end == std::string(1, '\0') || candidate < end);
}

bool compare(const Compare& guard, const KeyValue& kv) {
    std::int64_t difference = 0;
    if (guard.target() == Compare::VALUE) {
        difference = kv.value().compare(guard.value());
    } else if (guard.target() == Compare::VERSION) {
        difference = kv.version() - guard.version();
    } else if (guard.target() == Compare::CREATE) {
        difference = kv.create_revision() - guard.create_revision();
    } else if (guard.target() == Compare::MOD) {
        difference = kv.mod_revision() - guard.mod_revision();
    } else if (guard.target() == Compare::LEASE) {
        difference = kv.lease() - guard.lease();
    }
    switch (static_cast<int>(guard.result())) {
        case Compare::EQUAL: return difference == 0;
        case Compare::NOT_EQUAL: return difference != 0;
        case Compare::GREATER: return difference > 0;
        case Compare::LESS: return difference < 0;
        default: return true;
    }
}

void filter(const RangeRequest& request, std::vector<KeyValue>& kvs) {
    std::erase_if(kvs, [&](const KeyValue& kv) {
        return (request.max_mod_revision() != 0 &&
                kv.mod_revision() > request.max_mod_revision()) ||
               (request.min_mod_revision() != 0 &&
                kv.mod_revision() < request.min_mod_revision()) ||
               (request.max_create_revision() != 0 &&
                kv.create_revision() > request.max_create_revision()) ||
               (request.min_create_revision() != 0 &&
                kv.create_revision() < request.min_create_revision());
    });
}

void sort_by(RangeRequest::SortTarget target, bool descending, std::vector<KeyValue>& kvs) {
    const auto less = [target](const KeyValue& a, const KeyValue& b) {
        switch (static_cast<int>(target)) {
            case RangeRequest::VERSION: return a.version() < b.version();
            case RangeRequest::CREATE: return a.create_revision() < b.create_revision();
            case RangeRequest::MOD: return a.mod_revision() < b.mod_revision();
            case RangeRequest::VALUE: return a.value() < b.value();
            default: return a.key() < b.key();
        }
    };
    // Stable, so ties stay in key order either way.
    if (descending) {
        std::stable_sort(kvs.begin(), kvs.end(),
                         [&less](const KeyValue& a, const KeyValue& b) { return less(b, a); });
    } else {
        std::stable_sort(kvs.begin(), kvs.end(), less);
    }
}

}  // namespace

Model::Pairs Model::pairs_at(std::int64_t revision, const std::string& key,
                             const std::string& end) const {
    Pairs pairs;
    const auto replay = [&](const std::vector<Change>& changes) {
        for (const Change& change : changes) {
            if (!inside(change.kv.key(), key, end)) {
                continue;
            }
            if (change.deleted) {
                pairs.erase(change.kv.key());
            } else {
                pairs[change.kv.key()] = change.kv;
            }
        }
    };
    for (const auto& [at, changes] : changes_) {
        if (at <= revision) {
            replay(changes);
        }
    }
    if (revision > revision_) {
        replay(open_);
    }
    return pairs;
}

Model::Outcome<RangeResponse> Model::range(const RangeRequest& request) const {
    Outcome<RangeResponse> outcome;
    if (request.revision() > visible()) {
        outcome.error = Errc::kFutureRev;
        return outcome;
    }
    const std::int64_t at = request.revision() <= 0 ? visible() : request.revision();
    if (at < compacted_) {
        outcome.error = Errc::kCompacted;
        return outcome;
    }
    std::vector<KeyValue> kvs;
    for (auto& [key, kv] : pairs_at(at, request.key(), request.range_end())) {
        kvs.push_back(kv);
    }
    RangeResponse& response = outcome.response;
    response.set_count(static_cast<std::int64_t>(kvs.size()));
    if (request.count_only()) {
        return outcome;
    }
    const bool explicit_order = request.sort_order() != RangeRequest::NONE;
    const bool filtered = request.max_mod_revision() != 0 || request.min_mod_revision() != 0 ||
                          request.max_create_revision() != 0 || request.min_create_revision() != 0;
    const auto limit = static_cast<std::size_t>(std::max<std::int64_t>(request.limit(), 0));
    if (limit > 0 && !explicit_order && !filtered && kvs.size() > limit + 1) {
        kvs.resize(limit + 1);
    }
    filter(request, kvs);
    sort_by(request.sort_target(), request.sort_order() == RangeRequest::DESCEND, kvs);
    if (limit > 0 && kvs.size() > limit) {
        kvs.resize(limit);
        response.set_more(true);
    }
    for (KeyValue& kv : kvs) {
        if (request.keys_only()) {
            kv.clear_value();
        }
        *response.add_kvs() = kv;
    }
    return outcome;
}

std::optional<Errc> Model::do_put(const PutRequest& request, PutResponse& response) {
    if (request.lease() != 0) {
        return Errc::kLeaseNotFound;
    }
    const Pairs before = pairs_at(visible(), request.key(), "");
    const bool existed = !before.empty();
    if ((request.ignore_value() || request.ignore_lease()) && !existed) {
        return Errc::kKeyNotFound;
    }
    Change change;
    change.kv.set_key(request.key());
    change.kv.set_value(request.ignore_value() ? before.begin()->second.value() : request.value());
    change.kv.set_mod_revision(revision_ + 1);
    change.kv.set_create_revision(existed ? before.begin()->second.create_revision()
                                          : revision_ + 1);
    change.kv.set_version(existed ? before.begin()->second.version() + 1 : 1);
    if (existed) {
        change.prev = before.begin()->second;
        if (request.prev_kv()) {
            *response.mutable_prev_kv() = change.prev;
        }
    }
    open_.push_back(change);
    return std::nullopt;
}

void Model::do_delete(const DeleteRangeRequest& request, DeleteRangeResponse& response) {
    const Pairs doomed = pairs_at(visible(), request.key(), request.range_end());
    response.set_deleted(static_cast<std::int64_t>(doomed.size()));
    for (const auto& [key, kv] : doomed) {
        if (request.prev_kv()) {
            *response.add_prev_kvs() = kv;
        }
        Change change;
        change.deleted = true;
        change.kv.set_key(key);
        change.kv.set_mod_revision(revision_ + 1);
        change.prev = kv;
        open_.push_back(change);
    }
}

void Model::commit() {
    if (!open_.empty()) {
        changes_[++revision_] = std::move(open_);
        open_.clear();
    }
}

Model::Outcome<PutResponse> Model::put(const PutRequest& request) {
    Outcome<PutResponse> outcome;
    outcome.error = do_put(request, outcome.response);
    commit();
    return outcome;
}

Model::Outcome<DeleteRangeResponse> Model::delete_range(const DeleteRangeRequest& request) {
    Outcome<DeleteRangeResponse> outcome;
    do_delete(request, outcome.response);
    commit();
    return outcome;
}

bool Model::guards_hold(const TxnRequest& request) const {
    return std::all_of(
        request.compare().begin(), request.compare().end(), [this](const Compare& guard) {
            const Pairs pairs = pairs_at(revision_, guard.key(), guard.range_end());
            if (pairs.empty()) {
                return guard.target() != Compare::VALUE && compare(guard, KeyValue());
            }
            return std::all_of(pairs.begin(), pairs.end(),
                               [&guard](const auto& pair) { return compare(guard, pair.second); });
        });
}

void Model::decide(const TxnRequest& request, std::map<const TxnRequest*, bool>& taken) const {
    const bool success = guards_hold(request);
    taken[&request] = success;
    for (const RequestOp& op : success ? request.success() : request.failure()) {
        if (op.has_request_txn()) {
            decide(op.request_txn(), taken);
        }
    }
}

std::optional<Errc> Model::check(const TxnRequest& request,
                                 const std::map<const TxnRequest*, bool>& taken, bool puts) const {
    for (const RequestOp& op : taken.at(&request) ? request.success() : request.failure()) {
        std::optional<Errc> error;
        if (op.has_request_txn()) {
            error = check(op.request_txn(), taken, puts);
        } else if (puts && op.has_request_put()) {
            const PutRequest& put = op.request_put();
            if ((put.ignore_value() || put.ignore_lease()) &&
                pairs_at(revision_, put.key(), "").empty()) {
                error = Errc::kKeyNotFound;
            } else if (put.lease() != 0) {
                error = Errc::kLeaseNotFound;
            }
        } else if (!puts && op.has_request_range() && op.request_range().revision() != 0) {
            const std::int64_t at = op.request_range().revision();
            if (at > revision_) {
                error = Errc::kFutureRev;
            } else if (at < compacted_) {
                error = Errc::kCompacted;
            }
        }
        if (error) {
            return error;
        }
    }
    return std::nullopt;
}

std::optional<Errc> Model::execute(const TxnRequest& request,
                                   const std::map<const TxnRequest*, bool>& taken,
                                   TxnResponse& response) {
    const bool success = taken.at(&request);
    response.set_succeeded(success);
    for (const RequestOp& op : success ? request.success() : request.failure()) {
        auto* result = response.add_responses();
        std::optional<Errc> error;
        if (op.has_request_range()) {
            auto outcome = range(op.request_range());
            error = outcome.error;
            *result->mutable_response_range() = outcome.response;
            result->mutable_response_range()->mutable_header()->set_revision(visible());
        } else if (op.has_request_put()) {
            error = do_put(op.request_put(), *result->mutable_response_put());
            result->mutable_response_put()->mutable_header()->set_revision(visible());
        } else if (op.has_request_delete_range()) {
            do_delete(op.request_delete_range(), *result->mutable_response_delete_range());
            result->mutable_response_delete_range()->mutable_header()->set_revision(visible());
        } else if (op.has_request_txn()) {
            result->mutable_response_txn()->mutable_header();
            error = execute(op.request_txn(), taken, *result->mutable_response_txn());
        }
        if (error) {
            return error;
        }
    }
    return std::nullopt;
}

Model::Outcome<TxnResponse> Model::txn(const TxnRequest& request) {
    Outcome<TxnResponse> outcome;
    std::map<const TxnRequest*, bool> taken;
    decide(request, taken);
    outcome.error = check(request, taken, true);
    if (!outcome.error) {
        outcome.error = check(request, taken, false);
    }
    if (!outcome.error) {
        outcome.error = execute(request, taken, outcome.response);
    }
    if (outcome.error) {
        open_.clear();
        outcome.response.Clear();
    }
    commit();
    return outcome;
}

std::optional<Errc> Model::compact(std::int64_t revision) {
    if (revision <= compacted_) {
        return Errc::kCompacted;
    }
    if (revision > revision_) {
        return Errc::kFutureRev;
    }
    compacted_ = revision;
    return std::nullopt;
}

}  // namespace cairn::storage::test
