// write_answer: runs a Read intent over a view of the store and writes the whole reply.
// Called on whatever thread reads, once the replica granted the read (or at once, if serializable).
// Never waits for anything but the view's own reads.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "server/api/call.h"
#include "server/api/cluster_api.h"
#include "server/api/dispatcher.h"
#include "server/api/header.h"
#include "server/api/health_api.h"
#include "server/api/maintenance_api.h"
#include "server/replica/intent.h"
#include "server/replica/view.h"

namespace cairn::server::api {

// What a reply holds beside the store's data.
struct ReadFacts {
    Identity identity;
    NodeView node;   // of now
    StoreSize size;  // looked at for kStatus only
};

namespace detail {

template <class Request, class Run>
Result<void> run_parsed(const Read& read, Run&& run) {
    Request request;
    CAIRN_TRY(parse_again(read.request.view(), request));
    return std::forward<Run>(run)(request);
}

template <class View>
Result<void> append_kv_hash(const Read& read, const View& view, std::string& reply) {
    return run_parsed<etcdserverpb::HashKVRequest>(read, [&](const auto& request) -> Result<void> {
        CAIRN_TRY(const auto found, view.hash_kv(request.revision()));
        append_hash_kv({.hash = found.hash,
                        .compact_revision = found.compact_revision,
                        .hash_revision = found.hash_revision},
                       reply);
        return ok();
    });
}

// Everything behind the header.
template <class View>
Result<void> append_body(const Read& read, const View& view, const ReadFacts& facts,
                         std::string& reply) {
    switch (read.kind) {
        case ReadKind::kRange:
            return run_parsed<etcdserverpb::RangeRequest>(
                read, [&](const auto& request) { return view.range(request, reply); });
        case ReadKind::kTxn:
            return run_parsed<etcdserverpb::TxnRequest>(
                read, [&](const auto& request) { return view.read_txn(request, reply); });
        case ReadKind::kMemberList: {
            CAIRN_TRY(const auto members, view.members());
            append_member_list(members, reply);
            return ok();
        }
        case ReadKind::kAlarmList: {
            CAIRN_TRY(const auto alarms, view.alarms());
            return run_parsed<etcdserverpb::AlarmRequest>(read,
                                                          [&](const auto& request) -> Result<void> {
                                                              append_alarms(request, alarms, reply);
                                                              return ok();
                                                          });
        }
        case ReadKind::kHash: {
            // Of the key space alone: what else a member stores is not its clients' data.
            CAIRN_TRY(const auto found, view.hash_kv(0));
            append_hash(found.hash, reply);
            return ok();
        }
        case ReadKind::kHashKv: return append_kv_hash(read, view, reply);
        case ReadKind::kStatus: {
            CAIRN_TRY(const auto alarms, view.alarms());
            append_status(facts.node, facts.size, alarms, reply);
            return ok();
        }
        case ReadKind::kHealth: append_health(facts.node, reply); return ok();
    }
    return Errc::kInternal;
}

}  // namespace detail

// Writes the reply message into `reply`, which is empty; after an error what it holds is of no use.
// `View` is storage::mvcc::ReadView or has its members: revision, range, read_txn, hash_kv,
// members, alarms. Errors: those of the view.
template <class View>
Result<void> write_answer(const Read& read, const View& view, const ReadFacts& facts,
                          std::string& reply) {
    if (read.kind != ReadKind::kHealth) {
        // Replies about members carry no revision in etcd.
        const std::int64_t revision = read.kind == ReadKind::kMemberList ? 0 : view.revision();
        append_header({facts.identity, revision, facts.node.term}, reply);
    }
    return detail::append_body(read, view, facts, reply);
}

// The same as a value, an error as the reply's status.
template <class View>
Reply answer_read(const Read& read, const View& view, const ReadFacts& facts) {
    std::string reply;
    const Result<void> written = write_answer(read, view, facts, reply);
    return written ? Reply{.status = {}, .body = Bytes::copy_of(reply)}
                   : format_error(written.error());
}

}  // namespace cairn::server::api
