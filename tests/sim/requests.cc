#include "sim/requests.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "sim/weighted_draw.h"

namespace cairn::sim {
namespace {

using wire::GrpcCode;
using wire::GrpcStatus;
using wire::MethodId;

// fixed64 number 1000.
constexpr std::array<char, 2> kTagField = {'\xc1', '\x3e'};
constexpr std::size_t kTagBytes = kTagField.size() + 8;

// What is sound in every way but one, which `refusal` names; none: it is sound.
template <class Message>
Request make(std::uint64_t tag, MethodId method, const Message& message,
             std::optional<GrpcStatus> refusal = std::nullopt) {
    Request request{.op = {.tag = tag}, .method = method, .refusal = std::move(refusal)};
    request.op.request = message.SerializeAsString();
    append_tag(request.op.request, tag);
    return request;
}

template <class Message>
Request make_write(std::uint64_t tag, command::CommandKind kind, MethodId method,
                   const Message& message) {
    Request request = make(tag, method, message);
    request.op.command = kind;
    return request;
}

GrpcStatus invalid(std::string text) { return {GrpcCode::kInvalidArgument, std::move(text)}; }

}  // namespace

void append_tag(std::string& request, std::uint64_t tag) {
    request.append(kTagField.data(), kTagField.size());
    for (unsigned byte = 0; byte < 8; ++byte) {
        request.push_back(static_cast<char>((tag >> (8 * byte)) & 0xffU));
    }
}

std::uint64_t read_tag(ByteView request) {
    if (request.size() < kTagBytes) {
        return 0;
    }
    std::uint64_t tag = 0;
    for (unsigned byte = 0; byte < 8; ++byte) {
        const auto bits = static_cast<unsigned char>(request[request.size() - 8 + byte]);
        tag |= static_cast<std::uint64_t>(bits) << (8 * byte);
    }
    return tag;
}

// In etcd's order.
std::optional<GrpcStatus> Request::refused_by(bool learner, bool leaderless) const {
    if (!is_readable) {
        return refusal;
    }
    if (learner && !of_learners) {
        return GrpcStatus{GrpcCode::kUnavailable, "etcdserver: rpc not supported for learner"};
    }
    if (has_leader && leaderless) {
        return GrpcStatus{GrpcCode::kUnavailable, std::string(kNoLeader)};
    }
    return refusal;
}

std::string Requests::key() { return fmt::format("k{}", prng_.below(load_.keys)); }

std::string Requests::value(std::uint64_t tag) {
    std::string out = fmt::format("v{}.", tag);
    out.append(prng_.below(load_.value_bytes_max), 'x');
    return out;
}

Request Requests::put(std::uint64_t tag) {
    etcdserverpb::PutRequest request;
    request.set_key(key());
    request.set_value(value(tag));
    request.set_prev_kv(prng_.chance(1, 4));
    return make_write(tag, command::PUT, MethodId::kKvPut, request);
}

Request Requests::remove(std::uint64_t tag) {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(key());
    request.set_range_end(prng_.chance(1, 5) ? "k3" : "");
    request.set_prev_kv(prng_.chance(1, 2));
    return make_write(tag, command::DELETE_RANGE, MethodId::kKvDeleteRange, request);
}

Request Requests::range(std::uint64_t tag, OpKind kind, std::int64_t newest) {
    etcdserverpb::RangeRequest request;
    if (prng_.chance(1, 3)) {
        request.set_key("k");
        request.set_range_end("l");
    } else {
        request.set_key(key());
    }
    if (prng_.chance(1, 6)) {
        const auto back = static_cast<std::int64_t>(prng_.below(20));
        request.set_revision(std::max<std::int64_t>(1, newest - back));
    }
    request.set_keys_only(prng_.chance(1, 10));
    request.set_count_only(prng_.chance(1, 10));
    request.set_limit(prng_.chance(1, 6) ? static_cast<std::int64_t>(prng_.between(1, 3)) : 0);
    request.set_serializable(kind == OpKind::kSerialRead);
    Request out = make(tag, MethodId::kKvRange, request);
    out.of_learners = request.serializable();
    return out;
}

void Requests::add_guard(etcdserverpb::TxnRequest& request, const std::string& guarded,
                         std::int64_t newest) {
    etcdserverpb::Compare* compare = request.add_compare();
    compare->set_key(guarded);
    compare->set_result(etcdserverpb::Compare::EQUAL);
    if (prng_.chance(1, 3)) {
        compare->set_target(etcdserverpb::Compare::VERSION);
        compare->set_version(static_cast<std::int64_t>(prng_.below(3)));
    } else {
        compare->set_target(etcdserverpb::Compare::MOD);
        compare->set_result(etcdserverpb::Compare::LESS);
        compare->set_mod_revision(newest + 2 - static_cast<std::int64_t>(prng_.below(6)));
    }
}

// Of Ranges alone: it is no write, and serializable when all of them are.
Request Requests::read_txn(std::uint64_t tag, OpKind kind, std::int64_t newest) {
    etcdserverpb::TxnRequest request;
    const std::string guarded = key();
    add_guard(request, guarded, newest);
    etcdserverpb::RangeRequest* all = request.add_success()->mutable_request_range();
    all->set_key("k");
    all->set_range_end("l");
    all->set_serializable(kind == OpKind::kSerialRead || prng_.chance(1, 2));
    etcdserverpb::RangeRequest* one = request.add_failure()->mutable_request_range();
    one->set_key(guarded);
    one->set_serializable(kind == OpKind::kSerialRead);
    Request out = make(tag, MethodId::kKvTxn, request);
    out.op.command = command::TXN;
    return out;
}

Request Requests::read(std::uint64_t tag, OpKind kind, std::int64_t newest) {
    Request out = prng_.chance(1, 6) ? read_txn(tag, kind, newest) : range(tag, kind, newest);
    out.op.kind = kind;
    return out;
}

Request Requests::txn(std::uint64_t tag, bool compare_and_set, std::int64_t newest) {
    etcdserverpb::TxnRequest request;
    const std::string guarded = key();
    add_guard(request, guarded, newest);
    // Mostly it writes when the guard holds.
    const bool inverse = compare_and_set && prng_.chance(1, 6);
    auto* const put =
        (inverse ? request.add_failure() : request.add_success())->mutable_request_put();
    put->set_key(guarded);
    put->set_value(value(tag));
    put->set_prev_kv(prng_.chance(1, 3));
    (inverse ? request.add_success() : request.add_failure())
        ->mutable_request_range()
        ->set_key(guarded);
    if (!compare_and_set) {
        // Other keys than the guarded one, so that no key is written twice.
        for (const char* other : {"ka", "kb", "kc"}) {
            if (prng_.chance(1, 2)) {
                etcdserverpb::PutRequest* more = request.add_success()->mutable_request_put();
                more->set_key(other);
                more->set_value(value(tag));
            } else if (prng_.chance(1, 2)) {
                request.add_success()->mutable_request_delete_range()->set_key(other);
            }
        }
        etcdserverpb::RangeRequest* range = request.add_success()->mutable_request_range();
        range->set_key("k");
        range->set_range_end("l");
    }
    return make_write(tag, command::TXN, MethodId::kKvTxn, request);
}

// Also of a revision that is compacted already, or not made yet.
Request Requests::compact(std::uint64_t tag, std::int64_t newest) {
    etcdserverpb::CompactionRequest request;
    const auto back = static_cast<std::int64_t>(prng_.below(12));
    request.set_revision(std::max<std::int64_t>(1, newest + 2 - back));
    request.set_physical(prng_.chance(1, 2));
    return make_write(tag, command::COMPACT, MethodId::kKvCompact, request);
}

// At the members, not at the keys.
Request Requests::look(std::uint64_t tag) {
    Request out;
    if (prng_.chance(1, 2)) {
        if (tag % 4 == 0) {  // which does nothing here, and is answered at once as well
            out = make(tag, MethodId::kMaintenanceDefragment, etcdserverpb::DefragmentRequest());
        } else {
            out = make(tag, MethodId::kMaintenanceStatus, etcdserverpb::StatusRequest());
            out.of_learners = true;
        }
    } else {
        etcdserverpb::MemberListRequest request;
        request.set_linearizable(prng_.chance(2, 3));
        out = make(tag, MethodId::kClusterMemberList, request);
        out.is_linearizable = request.linearizable();
    }
    out.op.kind = OpKind::kLook;
    return out;
}

// ---- what must be refused

Request Requests::unsound_write(std::uint64_t tag, std::uint64_t kind) {
    etcdserverpb::PutRequest put;
    put.set_key(key());
    etcdserverpb::TxnRequest txn;
    switch (kind) {
        case 0:
            put.clear_key();
            return make(tag, MethodId::kKvPut, put, invalid("etcdserver: key is not provided"));
        case 1:
            put.set_value("v");
            put.set_ignore_value(true);
            return make(tag, MethodId::kKvPut, put, invalid("etcdserver: value is provided"));
        case 2:
            put.set_lease(7);
            put.set_ignore_lease(true);
            return make(tag, MethodId::kKvPut, put, invalid("etcdserver: lease is provided"));
        case 3:
            put.set_value(std::string(kRequestLimits.request_bytes_max, 'x'));
            return make(tag, MethodId::kKvPut, put, invalid("etcdserver: request is too large"));
        case 4:
            *txn.add_success()->mutable_request_put() = put;
            *txn.add_success()->mutable_request_put() = put;
            return make(tag, MethodId::kKvTxn, txn,
                        invalid("etcdserver: duplicate key given in txn request"));
        case 5:
            for (std::size_t at = 0; at <= kRequestLimits.txn_ops_max; ++at) {
                put.set_key(fmt::format("k{}", at));
                *txn.add_failure()->mutable_request_put() = put;
            }
            return make(tag, MethodId::kKvTxn, txn,
                        invalid("etcdserver: too many operations in txn request"));
        case 6:
            txn.add_compare();
            *txn.add_success()->mutable_request_put() = put;
            return make(tag, MethodId::kKvTxn, txn, invalid("etcdserver: key is not provided"));
        default:
            return make(tag, MethodId::kKvDeleteRange, etcdserverpb::DeleteRangeRequest(),
                        invalid("etcdserver: key is not provided"));
    }
}

Request Requests::unsound(std::uint64_t tag) {
    constexpr std::uint64_t kWrites = 8;
    const std::uint64_t kind = prng_.below(kWrites + 8);
    Request out;
    etcdserverpb::RangeRequest range;
    etcdserverpb::MemberAddRequest addition;
    switch (kind) {
        case kWrites:
            return make(tag, MethodId::kKvRange, range, invalid("etcdserver: key is not provided"));
        case kWrites + 1:
            range.set_key(key());
            range.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(3));
            return make(tag, MethodId::kKvRange, range, invalid("etcdserver: invalid sort option"));
        case kWrites + 2:
            addition.add_peerurls("http://nowhere");
            return make(tag, MethodId::kClusterMemberAdd, addition,
                        invalid("etcdserver: given member URLs are invalid"));
        case kWrites + 3:
            return make(tag, MethodId::kClusterMemberRemove, etcdserverpb::MemberRemoveRequest(),
                        GrpcStatus{GrpcCode::kNotFound, "etcdserver: member not found"});
        case kWrites + 4:  // its message ends in the middle of the key
            out = put(tag);
            out.op.request.resize(3);
            out.refusal = {
                GrpcCode::kInternal,
                "grpc: error unmarshalling request: not a valid etcdserverpb.PutRequest"};
            break;
        case kWrites + 5:  // its key is a number
            out = put(tag);
            out.op.request = std::string("\x08\x01", 2);
            out.refusal = {GrpcCode::kInternal,
                           "grpc: error unmarshalling request: wrong wire type in "
                           "etcdserverpb.PutRequest"};
            break;
        case kWrites + 6:
            out = put(tag);
            out.method = MethodId::kLeaseGrant;
            out.refusal = {GrpcCode::kUnimplemented, "unknown service etcdserverpb.Lease"};
            break;
        case kWrites + 7:
            out = put(tag);
            out.method = MethodId::kMaintenanceDowngrade;
            out.refusal = {GrpcCode::kUnimplemented,
                           "unknown method Downgrade for service etcdserverpb.Maintenance"};
            break;
        default: return unsound_write(tag, kind);
    }
    out.is_readable = false;
    return out;
}

// ---- all of them

Request Requests::draw(std::uint64_t tag, std::int64_t newest) {
    WeightedDraw draw(prng_, load_.sum());
    if (draw.picks(load_.put)) {
        return put(tag);
    }
    if (draw.picks(load_.remove)) {
        return remove(tag);
    }
    if (draw.picks(load_.compare_and_set)) {
        return txn(tag, true, newest);
    }
    if (draw.picks(load_.txn)) {
        return txn(tag, false, newest);
    }
    if (draw.picks(load_.linear_read)) {
        return read(tag, OpKind::kLinearRead, newest);
    }
    if (draw.picks(load_.serial_read)) {
        return read(tag, OpKind::kSerialRead, newest);
    }
    if (draw.picks(load_.look)) {
        return look(tag);
    }
    if (draw.picks(load_.unsound)) {
        return unsound(tag);
    }
    return compact(tag, newest);
}

Request Requests::final_put(std::uint64_t tag) {
    etcdserverpb::PutRequest request;
    request.set_key("final");
    request.set_value(value(tag));
    return make_write(tag, command::PUT, MethodId::kKvPut, request);
}

Request Requests::final_read(std::uint64_t tag) {
    etcdserverpb::RangeRequest all;
    all.set_key(std::string(1, '\0'));
    all.set_range_end(std::string(1, '\0'));
    Request out = make(tag, MethodId::kKvRange, all);
    out.op.kind = OpKind::kLinearRead;
    return out;
}

}  // namespace cairn::sim
