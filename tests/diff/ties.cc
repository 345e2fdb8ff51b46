#include "diff/ties.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string>

namespace cairn::diff {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;
using mvccpb::KeyValue;

// Up to here etcd's sort is an insertion sort, which keeps the order of equal elements.
constexpr std::int64_t kStableSortMax = 12;

// Whether etcd reads all keys before the limit; else it reads one more than that.
bool reads_all(const RangeRequest& request) {
    return request.sort_order() != RangeRequest::NONE || request.min_mod_revision() != 0 ||
           request.max_mod_revision() != 0 || request.min_create_revision() != 0 ||
           request.max_create_revision() != 0;
}

// Whether etcd may have sorted more pairs than it sorts stably.
bool is_unstable(const RangeRequest& request, const RangeResponse& response) {
    if (request.sort_target() == RangeRequest::KEY) {
        return false;
    }
    const std::int64_t before_cut =
        reads_all(request) ? response.count() : std::min(response.count(), request.limit() + 1);
    return (response.more() ? before_cut : response.kvs_size()) > kStableSortMax;
}

// Nothing but what pairs have in common that the sort finds equal, as far as the answer tells: with
// keys_only, by value, all are.
KeyValue what_ties(const RangeRequest& request, const KeyValue& kv) {
    KeyValue rest;
    switch (static_cast<int>(request.sort_target())) {
        case RangeRequest::VERSION: rest.set_version(kv.version()); break;
        case RangeRequest::CREATE: rest.set_create_revision(kv.create_revision()); break;
        case RangeRequest::MOD: rest.set_mod_revision(kv.mod_revision()); break;
        default: rest.set_value(kv.value()); break;
    }
    return rest;
}

// Whether the server was free to choose this pair; asked once for each.
using IsFree = std::function<bool(const KeyValue& kv)>;

IsFree is_candidate(const Message* candidates) {
    std::multiset<std::string> all;
    if (candidates != nullptr) {
        for (const auto& kv : dynamic_cast<const RangeResponse&>(*candidates).kvs()) {
            all.insert(kv.SerializeAsString());
        }
    }
    return [all](const KeyValue& kv) mutable {
        const auto found = all.find(kv.SerializeAsString());
        if (found == all.end()) {
            return false;
        }
        all.erase(found);
        return true;
    };
}

IsFree is_not_in(const RangeResponse& other) {
    std::set<std::string> keys;
    for (const auto& kv : other.kvs()) {
        keys.insert(kv.key());
    }
    return [keys](const KeyValue& kv) { return !keys.contains(kv.key()); };
}

bool settle(const RangeRequest& request, RangeResponse& response, const IsFree& is_free) {
    if (!is_unstable(request, response)) {
        return false;
    }
    bool used = false;
    auto& kvs = *response.mutable_kvs();
    for (auto first = kvs.begin(); first != kvs.end();) {
        const std::string shared = what_ties(request, *first).SerializeAsString();
        const auto end = std::find_if_not(first, kvs.end(), [&](const KeyValue& kv) {
            return what_ties(request, kv).SerializeAsString() == shared;
        });
        std::sort(first, end,
                  [](const KeyValue& a, const KeyValue& b) { return a.key() < b.key(); });
        used |= end - first > 1;
        if (response.more() && end == kvs.end()) {
            used = true;
            const auto free =
                std::stable_partition(first, end, [&](const KeyValue& kv) { return !is_free(kv); });
            std::fill(free, end, what_ties(request, *first));
        }
        first = end;
    }
    return used;
}

// Both answers to one operation of a transaction.
bool settle(const RangeRequest& request, RangeResponse& a, RangeResponse& b) {
    const IsFree free_of_a = is_not_in(b);
    const IsFree free_of_b = is_not_in(a);
    const bool used = settle(request, a, free_of_a);
    return settle(request, b, free_of_b) || used;
}

bool settle(const TxnRequest& request, TxnResponse& a, TxnResponse& b) {
    if (a.succeeded() != b.succeeded()) {
        return false;
    }
    const auto& operations = a.succeeded() ? request.success() : request.failure();
    const int count = std::min({operations.size(), a.responses_size(), b.responses_size()});
    bool used = false;
    for (int i = 0; i < count; ++i) {
        auto& one = *a.mutable_responses(i);
        auto& other = *b.mutable_responses(i);
        if (one.response_case() != other.response_case()) {
            continue;
        }
        if (operations[i].has_request_range() && one.has_response_range()) {
            used |= settle(operations[i].request_range(), *one.mutable_response_range(),
                           *other.mutable_response_range());
        } else if (operations[i].has_request_txn() && one.has_response_txn()) {
            used |= settle(operations[i].request_txn(), *one.mutable_response_txn(),
                           *other.mutable_response_txn());
        }
    }
    return used;
}

}  // namespace

std::optional<RangeRequest> request_for_candidates(const Message& request, const Answer& etcd) {
    const auto* range = dynamic_cast<const RangeRequest*>(&request);
    if (range == nullptr || etcd.response == nullptr) {
        return std::nullopt;
    }
    const auto& response = dynamic_cast<const RangeResponse&>(*etcd.response);
    if (!response.more() || !is_unstable(*range, response)) {
        return std::nullopt;
    }
    RangeRequest all = *range;
    all.set_limit(reads_all(*range) ? 0 : range->limit() + 1);
    all.clear_sort_order();
    all.clear_sort_target();
    return all;
}

bool settle_ties(Exchange& exchange) {
    const Step& step = exchange.step;
    if (exchange.etcd.response == nullptr || exchange.cairn.response == nullptr) {
        return false;
    }
    if (step.call == Call::kTxn) {
        return settle(dynamic_cast<const TxnRequest&>(*step.request),
                      dynamic_cast<TxnResponse&>(*exchange.etcd.response),
                      dynamic_cast<TxnResponse&>(*exchange.cairn.response));
    }
    bool used = false;
    if (step.call == Call::kRange) {
        for (Answer* answer : {&exchange.etcd, &exchange.cairn}) {
            used |= settle(dynamic_cast<const RangeRequest&>(*step.request),
                           dynamic_cast<RangeResponse&>(*answer->response),
                           is_candidate(exchange.candidates.get()));
        }
    }
    return used;
}

}  // namespace cairn::diff
