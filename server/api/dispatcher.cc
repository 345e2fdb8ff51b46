#include "server/api/dispatcher.h"

#include <array>
#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/mutant.h"
#include "base/overload.h"
#include "server/api/api_error.h"
#include "server/api/cluster_api.h"
#include "server/api/health_api.h"
#include "server/api/kv_api.h"
#include "server/api/maintenance_api.h"

namespace cairn::server::api {

namespace {

using wire::MethodId;
using Handler = Result<Intent> (*)(const Call&, const CallContext&);

// nullptr: a method of the wire's table that is not served.
using HandlerTable = std::array<Handler, wire::kMethodCount>;

constexpr HandlerTable make_handlers() {
    HandlerTable handlers{};
    const auto set = [&handlers](MethodId method, Handler handler) {
        handlers[static_cast<std::size_t>(method)] = handler;
    };
    set(MethodId::kKvRange, on_range);
    set(MethodId::kKvPut, on_put);
    set(MethodId::kKvDeleteRange, on_delete_range);
    set(MethodId::kKvTxn, on_txn);
    set(MethodId::kKvCompact, on_compact);
    set(MethodId::kClusterMemberList, on_member_list);
    set(MethodId::kClusterMemberAdd, on_member_add);
    set(MethodId::kClusterMemberRemove, on_member_remove);
    set(MethodId::kClusterMemberUpdate, on_member_update);
    set(MethodId::kClusterMemberPromote, on_member_promote);
    set(MethodId::kMaintenanceAlarm, on_alarm);
    set(MethodId::kMaintenanceMoveLeader, on_move_leader);
    set(MethodId::kMaintenanceStatus, on_status);
    set(MethodId::kMaintenanceDefragment, on_defragment);
    set(MethodId::kMaintenanceHash, on_hash);
    set(MethodId::kMaintenanceHashKv, on_hash_kv);
    set(MethodId::kMaintenanceSnapshot, on_snapshot);
    set(MethodId::kHealthCheck, on_health_check);
    return handlers;
}

constexpr HandlerTable kHandlers = make_handlers();

Handler handler_of(MethodId method) {
    CAIRN_ASSERT(method < MethodId::kMethodCount);
    return kHandlers[static_cast<std::size_t>(method)];
}

// grpc-go knows a service when any of its methods is registered.
bool is_served(std::string_view service) {
    for (std::size_t i = 0; i < wire::kMethodCount; ++i) {
        const auto method = static_cast<MethodId>(i);
        if (handler_of(method) != nullptr && wire::method_info(method).service() == service) {
            return true;
        }
    }
    return false;
}

}  // namespace

Result<void> validate_method(wire::MethodId method) {
    if (handler_of(method) != nullptr) {
        return ok();
    }
    const wire::GrpcMethod& info = wire::method_info(method);
    const std::string service(info.service());
    if (!is_served(service)) {
        return Error{Errc::kUnimplemented, "unknown service " + service};
    }
    return Error{Errc::kUnimplemented,
                 "unknown method " + std::string(info.name()) + " for service " + service};
}

Dispatcher::Dispatcher(Identity identity, RequestLimits limits)
    : identity_(identity), limits_(limits) {}

Intent Dispatcher::on_request(const Call& call, const NodeView& node) const {
    if (Result<void> served = validate_method(call.method); !served) {
        return Reject{std::move(served).error()};
    }
    Result<Intent> intent = handler_of(call.method)(call, {.node = node, .limits = limits_});
    if (!intent) {
        return Reject{std::move(intent).error()};
    }
    return std::move(intent).value();
}

Reply Dispatcher::format(const ProposalOutcome& outcome, Term term) const {
    if (const auto* applied = std::get_if<Applied>(&outcome)) {
        if (applied->error) {
            return format_error(*applied->error);
        }
        return {.status = {},
                .body = with_header(
                    {identity_, applied->revision - (CAIRN_MUTANT(api_header_before_write) ? 1 : 0),
                     term},
                    applied->body.view())};
    }
    if (const auto* not_applied = std::get_if<NotApplied>(&outcome)) {
        return format_error(not_applied->reason);
    }
    return format_error(CAIRN_MUTANT(unknown_says_refused) ? Errc::kTooManyRequests
                                                           : std::get<Unknown>(outcome).reason);
}

// A transfer is answered without a header, as in etcd.
Reply Dispatcher::format(const Completion& completion) const {
    return std::visit(
        Overload{[&](const ProposalOutcome& outcome) { return format(outcome, completion.term); },
                 [](const ReadGranted&) -> Reply { CAIRN_UNREACHABLE(); },
                 [](const ReadFailed& failed) { return format_error(failed.reason); },
                 [](const TransferDone& moved) {
                     return moved.error ? format_error(*moved.error) : Reply{};
                 }},
        completion.result);
}

Reply Dispatcher::format(const ReplyNow& reply, std::int64_t revision, Term term) const {
    if (!reply.stamp_header) {
        return {.status = {}, .body = reply.body};
    }
    return {.status = {}, .body = with_header({identity_, revision, term}, reply.body.view())};
}

Reply format_error(const Error& error) { return {.status = to_status(error), .body = {}}; }

}  // namespace cairn::server::api
