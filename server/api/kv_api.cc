#include "server/api/kv_api.h"

#include "base/mutant.h"

namespace cairn::server::api {

namespace {

Result<Intent> propose(command::CommandKind kind, const Call& call, const CallContext& context,
                       bool long_answer) {
    CAIRN_TRY(validate_request_size(call.request.size(), context.limits));
    return Intent{Propose{.kind = kind, .request = call.request, .long_answer = long_answer}};
}

}  // namespace

Result<Intent> on_range(const Call& call, const CallContext& context) {
    etcdserverpb::RangeRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(
        admit(call, context.node, request.serializable() ? Learner::kServed : Learner::kRefused));
    CAIRN_TRY(validate_range(request));
    const bool point = request.range_end().empty();
    return Intent{Read{
        .kind = ReadKind::kRange,
        .linearizable = !request.serializable() && !(point && CAIRN_MUTANT(point_read_is_local)),
        .point = point,
        .request = call.request}};
}

Result<Intent> on_put(const Call& call, const CallContext& context) {
    etcdserverpb::PutRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    CAIRN_TRY(validate_put(request));
    return propose(command::PUT, call, context, request.prev_kv());
}

Result<Intent> on_delete_range(const Call& call, const CallContext& context) {
    etcdserverpb::DeleteRangeRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    CAIRN_TRY(validate_delete_range(request));
    return propose(command::DELETE_RANGE, call, context, request.prev_kv());
}

Result<Intent> on_txn(const Call& call, const CallContext& context) {
    etcdserverpb::TxnRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    CAIRN_TRY(validate_txn(request, context.limits.txn_ops_max));
    if (is_read_only(request)) {
        return Intent{Read{.kind = ReadKind::kTxn,
                           .linearizable = !is_serializable(request),
                           .request = call.request}};
    }
    return propose(command::TXN, call, context, may_answer_long(request));
}

Result<Intent> on_compact(const Call& call, const CallContext& context) {
    etcdserverpb::CompactionRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    return propose(command::COMPACT, call, context, false);
}

}  // namespace cairn::server::api
