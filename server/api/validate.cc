#include "server/api/validate.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/mutant.h"
#include "server/api/write_set.h"

namespace cairn::server::api {

namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Operations = google::protobuf::RepeatedPtrField<RequestOp>;

// What etcd's log entry adds to the request: the header with an id of nine or ten bytes (taken as
// ten), and the tag of the request's field; its length comes on top.
constexpr std::size_t kEntryHeaderBytes = 14;
constexpr std::size_t kEntryTagBytes = 1;

std::size_t varint_bytes(std::size_t value) {
    std::size_t count = 1;
    for (; value >= 0x80; value >>= 7U) {
        ++count;
    }
    return count;
}

Result<void> validate_txn_operations(const TxnRequest& request, std::size_t ops_max);

Result<void> validate_operation(const RequestOp& operation, std::size_t ops_max) {
    switch (operation.request_case()) {
        case RequestOp::kRequestRange: return validate_range(operation.request_range());
        case RequestOp::kRequestPut: return validate_put(operation.request_put());
        case RequestOp::kRequestDeleteRange:
            return validate_delete_range(operation.request_delete_range());
        case RequestOp::kRequestTxn:
            return validate_txn_operations(operation.request_txn(), ops_max);
        case RequestOp::REQUEST_NOT_SET: return Errc::kKeyNotFound;
    }
    return Errc::kKeyNotFound;
}

// Recursion is bounded: each level uses up at least one of `ops_max`.
Result<void> validate_txn_operations(const TxnRequest& request, std::size_t ops_max) {
    const auto used = static_cast<std::size_t>(
        std::max({request.compare_size(), request.success_size(), request.failure_size()}));
    if (used > ops_max || (CAIRN_MUTANT(api_txn_of_max_ops_refused) && used == ops_max)) {
        return Errc::kTooManyOps;
    }
    for (const auto& compare : request.compare()) {
        if (compare.key().empty() && !CAIRN_MUTANT(api_guard_without_key_passes)) {
            return Errc::kEmptyKey;
        }
    }
    for (const Operations* branch : {&request.success(), &request.failure()}) {
        for (const RequestOp& operation : *branch) {
            CAIRN_TRY(validate_operation(operation, ops_max - used));
        }
    }
    return ok();
}

Result<WriteSet> collect_writes(const Operations& operations);

// The branches of a nested Txn exclude each other, so both may put the same key; but neither may
// put what an earlier operation of the list writes. As in etcd, a nested delete of what an earlier
// nested Txn puts is let through, the other way round is not.
Result<void> add_nested_writes(const TxnRequest& nested, WriteSet& writes) {
    CAIRN_TRY(WriteSet success, collect_writes(nested.success()));
    CAIRN_TRY(WriteSet failure, collect_writes(nested.failure()));
    if (writes.collides_with_puts_of(success) ||
        (writes.collides_with_puts_of(failure) && !CAIRN_MUTANT(api_failure_branch_unchecked))) {
        return Errc::kDuplicateKey;
    }
    writes.merge(std::move(success));
    writes.merge(std::move(failure));
    return ok();
}

// Fails with kDuplicateKey. The list's own deletes come first, then its nested Txns, then its own
// puts, whatever their order in the list.
Result<WriteSet> collect_writes(const Operations& operations) {
    WriteSet writes;
    for (const RequestOp& operation : operations) {
        if (operation.has_request_delete_range()) {
            const auto& request = operation.request_delete_range();
            writes.deletes.add(request.key(), request.range_end());
        }
    }
    for (const RequestOp& operation : operations) {
        if (operation.has_request_txn()) {
            CAIRN_TRY(add_nested_writes(operation.request_txn(), writes));
        }
    }
    for (const RequestOp& operation : operations) {
        if (operation.has_request_put()) {
            const ByteView key = operation.request_put().key();
            if (writes.deletes.contains(key) || !writes.puts.insert(key).second) {
                return Errc::kDuplicateKey;
            }
        }
    }
    return writes;
}

bool all_are_ranges(const Operations& operations) {
    return std::all_of(operations.begin(), operations.end(),
                       [](const RequestOp& op) { return op.has_request_range(); });
}

bool all_are_serializable(const Operations& operations) {
    return std::all_of(operations.begin(), operations.end(),
                       [](const RequestOp& op) { return op.request_range().serializable(); });
}

}  // namespace

Result<void> validate_range(const etcdserverpb::RangeRequest& request) {
    if (request.key().empty()) {
        return Errc::kEmptyKey;
    }
    if (!etcdserverpb::RangeRequest::SortOrder_IsValid(request.sort_order()) ||
        !etcdserverpb::RangeRequest::SortTarget_IsValid(request.sort_target())) {
        return Errc::kInvalidSortOption;
    }
    return ok();
}

Result<void> validate_put(const etcdserverpb::PutRequest& request) {
    if (request.key().empty()) {
        return Errc::kEmptyKey;
    }
    if (request.ignore_value() && !request.value().empty()) {
        return Errc::kValueProvided;
    }
    if (request.ignore_lease() && request.lease() != 0 && !CAIRN_MUTANT(api_ignored_lease_passes)) {
        return Errc::kLeaseProvided;
    }
    return ok();
}

Result<void> validate_delete_range(const etcdserverpb::DeleteRangeRequest& request) {
    if (request.key().empty()) {
        return Errc::kEmptyKey;
    }
    return ok();
}

Result<void> validate_txn(const TxnRequest& request, std::size_t txn_ops_max) {
    CAIRN_TRY(validate_txn_operations(request, txn_ops_max));
    CAIRN_TRY(collect_writes(request.success()));
    CAIRN_TRY(collect_writes(request.failure()));
    return ok();
}

Result<void> validate_alarm(const etcdserverpb::AlarmRequest& request) {
    if (!etcdserverpb::AlarmRequest::AlarmAction_IsValid(request.action())) {
        return Error{Errc::kInvalidArgument,
                     "unknown alarm action " + std::to_string(request.action())};
    }
    if (request.action() != etcdserverpb::AlarmRequest::GET &&
        !etcdserverpb::AlarmType_IsValid(request.alarm())) {
        return Error{Errc::kInvalidArgument, "unknown alarm " + std::to_string(request.alarm())};
    }
    return ok();
}

Result<void> validate_request_size(std::size_t request_bytes, const RequestLimits& limits) {
    const std::size_t entry_bytes =
        (CAIRN_MUTANT(api_size_without_entry) ? 0 : kEntryHeaderBytes + kEntryTagBytes) +
        varint_bytes(request_bytes) + request_bytes;
    if (entry_bytes > limits.request_bytes_max) {
        return Errc::kRequestTooLarge;
    }
    return ok();
}

bool is_read_only(const TxnRequest& request) {
    return all_are_ranges(request.success()) &&
           (CAIRN_MUTANT(api_read_only_by_success) || all_are_ranges(request.failure()));
}

bool may_answer_long(const TxnRequest& request) {
    const auto is_long = [](const RequestOp& op) {
        switch (op.request_case()) {
            case RequestOp::kRequestRange:
                return !op.request_range().count_only() &&
                       (!op.request_range().keys_only() || !op.request_range().range_end().empty());
            case RequestOp::kRequestPut: return op.request_put().prev_kv();
            case RequestOp::kRequestDeleteRange: return op.request_delete_range().prev_kv();
            case RequestOp::kRequestTxn: return may_answer_long(op.request_txn());
            case RequestOp::REQUEST_NOT_SET: break;
        }
        return false;
    };
    return std::any_of(request.success().begin(), request.success().end(), is_long) ||
           std::any_of(request.failure().begin(), request.failure().end(), is_long);
}

bool is_serializable(const TxnRequest& request) {
    return request.success_size() + request.failure_size() > 0 &&
           all_are_serializable(request.success()) &&
           (all_are_serializable(request.failure()) || CAIRN_MUTANT(txn_local_by_success));
}

}  // namespace cairn::server::api
