#include "storage/mvcc/txn_eval.h"

#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "base/mutant.h"
#include "storage/mvcc/key_scan.h"
#include "storage/mvcc/wire.h"

namespace cairn::storage::mvcc {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

constexpr std::uint32_t kTxnSucceeded = 2;
constexpr std::uint32_t kTxnResponses = 3;
constexpr std::uint32_t kOpRange = 1;
constexpr std::uint32_t kOpPut = 2;
constexpr std::uint32_t kOpDeleteRange = 3;
constexpr std::uint32_t kOpTxn = 4;
constexpr std::size_t kTagAndLengthBytes = 11;

int sign(std::int64_t a, std::int64_t b) { return a < b ? -1 : (a > b ? 1 : 0); }

// How the stored attribute stands to the operand. An operand of another kind than the target reads
// as 0 or empty, which is what the accessors of protobuf's oneof give.
Result<int> compare_target(const Compare& guard, const LiveKey& at, KeyScan& scan) {
    switch (static_cast<int>(guard.target())) {
        case Compare::VERSION: return sign(at.version, guard.version());
        case Compare::CREATE: return sign(at.create, guard.create_revision());
        case Compare::MOD: return sign(at.mod.main, guard.mod_revision());
        case Compare::LEASE: return sign(at.lease, guard.lease());
        case Compare::VALUE: {
            CAIRN_TRY(const ByteView value, scan.value());
            return value.compare(ByteView(guard.value()));
        }
        default: return 0;  // etcd: an unknown target compares as equal
    }
}

bool holds(const Compare& guard, int result) {
    switch (static_cast<int>(guard.result())) {
        case Compare::EQUAL: return result == 0;
        case Compare::NOT_EQUAL: return result != 0;
        case Compare::GREATER: return result > 0;
        case Compare::LESS: return result < 0;
        default: return true;  // etcd: an unknown operator always holds
    }
}

Result<bool> evaluate(KeyScan scan, const Compare& guard) {
    bool any = false;
    for (;;) {
        CAIRN_TRY(const bool found, scan.next());
        if (!found) {
            break;
        }
        any = true;
        CAIRN_TRY(const int result, compare_target(guard, scan.at(), scan));
        if (!holds(guard, result)) {
            return false;
        }
    }
    if (any) {
        return true;
    }
    if (guard.target() == Compare::VALUE && !CAIRN_MUTANT(kv_missing_key_has_empty_value)) {
        return false;  // a missing key has no value, not even an unequal one
    }
    CAIRN_TRY(const int result, compare_target(guard, LiveKey{}, scan));
    return holds(guard, result);
}

// Walks the branches taken three times (decide, check, execute) in the same order; which branch a
// nested Txn takes is remembered from the first walk.
class TxnRun {
  public:
    // `txn` is null for a Txn that only reads; only such a one may have a `read_guard`.
    TxnRun(const EngineReader& reader, const ReadBounds& bounds, WriteTxn* txn,
           ReadGuard* read_guard)
        : reader_(reader), bounds_(bounds), txn_(txn), read_guard_(read_guard) {}

    Result<void> run(const TxnRequest& request, std::string& body) {
        CAIRN_TRY(decide(request));
        // etcd: every put is checked before any range is.
        place_ = 0;
        CAIRN_TRY(check(request, &TxnRun::check_put));
        place_ = 0;
        CAIRN_TRY(check(request, &TxnRun::check_range));
        place_ = 0;
        return execute(request, body);
    }

  private:
    using Check = Result<void> (TxnRun::*)(const RequestOp& op) const;

    // All guards, also those of nested Txns, look at the state before the Txn.
    Result<void> decide(const TxnRequest& request) {
        bool succeeded = true;
        for (const Compare& guard : request.compare()) {
            CAIRN_TRY(succeeded,
                      evaluate(KeyScan(reader_, interval_of(guard.key(), guard.range_end()),
                                       bounds_.revision, read_guard_),
                               guard));
            if (!succeeded) {
                break;
            }
        }
        path_.push_back(succeeded);
        for (const RequestOp& op : branch(request, succeeded)) {
            if (op.has_request_txn()) {
                CAIRN_TRY(decide(op.request_txn()));
            }
        }
        return ok();
    }

    static const google::protobuf::RepeatedPtrField<RequestOp>& branch(const TxnRequest& request,
                                                                       bool succeeded) {
        return succeeded ? request.success() : request.failure();
    }

    Result<void> check(const TxnRequest& request, Check check_op) {
        for (const RequestOp& op : branch(request, path_[place_++])) {
            if (op.has_request_txn()) {
                CAIRN_TRY(check(op.request_txn(), check_op));
            } else {
                CAIRN_TRY((this->*check_op)(op));
            }
        }
        return ok();
    }

    Result<void> check_put(const RequestOp& op) const {
        if (!op.has_request_put()) {
            return ok();
        }
        const PutRequest& put = op.request_put();
        if (put.ignore_value() || put.ignore_lease()) {
            KeyScan scan(reader_, interval_of(put.key(), {}), bounds_.revision);
            CAIRN_TRY(const bool found, scan.next());
            if (!found) {
                return Errc::kKeyNotFound;
            }
        }
        if (put.lease() != 0) {
            return Errc::kLeaseNotFound;
        }
        return ok();
    }

    // Against the state before the Txn: a Range may not ask for the Txn's own revision.
    Result<void> check_range(const RequestOp& op) const {
        if (!op.has_request_range() || op.request_range().revision() == 0) {
            return ok();
        }
        const std::int64_t revision = op.request_range().revision();
        if (revision > bounds_.revision) {
            return Errc::kFutureRev;
        }
        // etcd: a store never compacted counts as compacted at -1 here.
        if (revision < (bounds_.compacted == 0 ? -1 : bounds_.compacted)) {
            return Errc::kCompacted;
        }
        return ok();
    }

    Result<void> execute(const TxnRequest& request, std::string& body) {
        const bool succeeded = path_[place_++];
        wire::append_int(body, kTxnSucceeded, succeeded ? 1 : 0);
        for (const RequestOp& op : branch(request, succeeded)) {
            CAIRN_TRY(execute_op(op, body));
        }
        return ok();
    }

    // Appends one entry of `responses`; an empty one for an operation that was left empty.
    Result<void> execute_op(const RequestOp& op, std::string& body) {
        std::string fields;
        if (op.has_request_range()) {
            CAIRN_TRY(run_range(reader_, now(), op.request_range(), fields, read_guard_));
            return append_response(
                body, kOpRange,
                CAIRN_MUTANT(kv_range_in_txn_dated_back) ? bounds_.revision : now().revision,
                fields);
        }
        if (op.has_request_put()) {
            CAIRN_ASSERT(txn_ != nullptr);
            CAIRN_TRY(txn_->put(op.request_put(), fields));
            return append_response(body, kOpPut, now().revision, fields);
        }
        if (op.has_request_delete_range()) {
            CAIRN_ASSERT(txn_ != nullptr);
            CAIRN_TRY(txn_->delete_range(op.request_delete_range(), fields));
            return append_response(body, kOpDeleteRange, now().revision, fields);
        }
        if (op.has_request_txn()) {
            CAIRN_TRY(execute(op.request_txn(), fields));
            // etcd: a nested TxnResponse has a header, and nothing in it.
            return append_response(
                body, kOpTxn, CAIRN_MUTANT(kv_nested_header_filled) ? now().revision : 0, fields);
        }
        wire::append_message(body, kTxnResponses, {});
        return ok();
    }

    // The response's fields go from their buffer straight to where they stay: the lengths of what
    // is around them are known before.
    Result<void> append_response(std::string& body, std::uint32_t op_field, std::int64_t revision,
                                 const std::string& fields) {
        std::string head;
        wire::append_header(head, revision);
        const std::size_t response_bytes = head.size() + fields.size();
        const std::size_t op_bytes = 1 + wire::varint_bytes(response_bytes) + response_bytes;
        CAIRN_TRY(make_room(body, op_bytes + kTagAndLengthBytes, read_guard_));
        wire::append_tag(body, kTxnResponses, 2);
        append_varint(body, op_bytes);
        wire::append_tag(body, op_field, 2);
        append_varint(body, response_bytes);
        body += head;
        body += fields;
        if (read_guard_ != nullptr) {
            // Its owner drops it now. What it had from the start was never counted.
            read_guard_->shrink(fields.capacity() - std::string().capacity());
        }
        if (body.size() > bounds_.answer_bytes_max) {
            return Errc::kMessageTooLarge;
        }
        return ok();
    }

    [[nodiscard]] ReadBounds now() const { return txn_ == nullptr ? bounds_ : txn_->bounds(); }

    const EngineReader& reader_;
    ReadBounds bounds_;
    WriteTxn* txn_;
    ReadGuard* read_guard_;
    std::vector<bool> path_;
    std::size_t place_ = 0;
};

}  // namespace

Result<void> run_txn(WriteTxn& txn, const TxnRequest& request, std::string& body) {
    return TxnRun(txn.reader(), txn.bounds(), &txn, nullptr).run(request, body);
}

Result<void> run_read_txn(const EngineReader& reader, const ReadBounds& bounds,
                          const TxnRequest& request, std::string& body, ReadGuard* guard) {
    const std::size_t start = body.size();
    auto done = TxnRun(reader, bounds, nullptr, guard).run(request, body);
    if (!done) {
        body.resize(start);
    }
    return done;
}

bool contains_put(const TxnRequest& request) {
    const auto is_put = [](const RequestOp& op) {
        return op.has_request_put() || (op.has_request_txn() && contains_put(op.request_txn()));
    };
    return std::any_of(request.success().begin(), request.success().end(), is_put) ||
           std::any_of(request.failure().begin(), request.failure().end(), is_put);
}

}  // namespace cairn::storage::mvcc
