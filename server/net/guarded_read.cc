#include "server/net/guarded_read.h"

namespace cairn::server::net {
namespace {

// A view whose reads ask the answer they write for its memory, and whether it is still wanted.
struct GuardedView {
    const storage::mvcc::ReadView& view;
    HeldAnswer& answer;

    [[nodiscard]] std::int64_t revision() const { return view.revision(); }
    Result<void> range(const etcdserverpb::RangeRequest& request, std::string& body) const {
        return view.range(request, body, &answer);
    }
    Result<void> read_txn(const etcdserverpb::TxnRequest& request, std::string& body) const {
        return view.read_txn(request, body, &answer);
    }
    [[nodiscard]] auto hash_kv(std::int64_t at) const { return view.hash_kv(at, &answer); }
    [[nodiscard]] auto members() const { return view.members(); }
    [[nodiscard]] auto alarms() const { return view.alarms(); }
};

}  // namespace

Result<void> write_answer(const Read& read, const storage::mvcc::ReadView& view,
                          const api::ReadFacts& facts, HeldAnswer& answer) {
    auto done = api::write_answer(read, GuardedView{view, answer}, facts, answer.body);
    if (done.has_value()) {
        answer.settle();
    } else {
        answer.drop();
    }
    return done;
}

api::ReadFacts read_facts(NodePorts& node, const Read& read) {
    api::ReadFacts facts;
    facts.identity = node.dispatcher.identity();
    facts.node = node.driver.view();
    if (read.kind == ReadKind::kStatus) {
        facts.size.allocated_bytes = static_cast<std::int64_t>(node.facts().db_bytes);
        facts.size.used_bytes = facts.size.allocated_bytes;
    }
    return facts;
}

}  // namespace cairn::server::net
