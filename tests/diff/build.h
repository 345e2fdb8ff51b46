// Requests in few words, for the scripted cases.
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "diff/step.h"
#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::diff {

using etcdserverpb::Compare;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::TxnRequest;

inline const std::string kOpenEnd(1, '\0');

inline RangeRequest range(const std::string& key, const std::string& end = "",
                          std::int64_t revision = 0) {
    RangeRequest request;
    request.set_key(key);
    request.set_range_end(end);
    request.set_revision(revision);
    return request;
}

inline PutRequest put(const std::string& key, const std::string& value) {
    PutRequest request;
    request.set_key(key);
    request.set_value(value);
    return request;
}

inline DeleteRangeRequest erase(const std::string& key, const std::string& end = "") {
    DeleteRangeRequest request;
    request.set_key(key);
    request.set_range_end(end);
    request.set_prev_kv(true);
    return request;
}

// Without an operand.
inline Compare guard(const std::string& key, Compare::CompareTarget target,
                     Compare::CompareResult result, const std::string& end = "") {
    Compare compare;
    compare.set_key(key);
    compare.set_target(target);
    compare.set_result(result);
    compare.set_range_end(end);
    return compare;
}

inline Compare is_version(const std::string& key, std::int64_t version) {
    Compare compare = guard(key, Compare::VERSION, Compare::EQUAL);
    compare.set_version(version);
    return compare;
}

inline Step compact(std::int64_t revision, bool physical = false) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    request.set_physical(physical);
    return step_of(request);
}

// txn.when(guard).then(op).otherwise(op)
class Txn {
  public:
    Txn& when(const Compare& compare) {
        *request_.add_compare() = compare;
        return *this;
    }
    template <class Request>
    Txn& then(const Request& request) {
        add(*request_.add_success(), request);
        return *this;
    }
    template <class Request>
    Txn& otherwise(const Request& request) {
        add(*request_.add_failure(), request);
        return *this;
    }
    // Operations with nothing in them.
    Txn& then_nothing() {
        request_.add_success();
        return *this;
    }
    Txn& otherwise_nothing() {
        request_.add_failure();
        return *this;
    }
    [[nodiscard]] const TxnRequest& request() const { return request_; }
    [[nodiscard]] Step step() const { return step_of(request_); }

  private:
    static void add(etcdserverpb::RequestOp& op, const RangeRequest& request) {
        *op.mutable_request_range() = request;
    }
    static void add(etcdserverpb::RequestOp& op, const PutRequest& request) {
        *op.mutable_request_put() = request;
    }
    static void add(etcdserverpb::RequestOp& op, const DeleteRangeRequest& request) {
        *op.mutable_request_delete_range() = request;
    }
    static void add(etcdserverpb::RequestOp& op, const TxnRequest& request) {
        *op.mutable_request_txn() = request;
    }
    static void add(etcdserverpb::RequestOp& op, const Txn& txn) { add(op, txn.request_); }

    TxnRequest request_;
};

// Deletes everything, then writes k/1 … k/5 with different versions, one of them deleted and made
// anew, and k/6, deleted; and e, with an empty value.
std::vector<Step> sample_data();

}  // namespace cairn::diff
