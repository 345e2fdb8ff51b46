// etcd's key space in its simplest form: every version of every key in one list, nothing shared
// with the shipped code. The tests hold the state machine against it.
// One thread; owned by a test. Never fast.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::storage::test {

class Model {
  public:
    // What a command comes to: an error, or the response without outer header.
    template <class Response>
    struct Outcome {
        std::optional<Errc> error;
        Response response;
    };

    Outcome<etcdserverpb::PutResponse> put(const etcdserverpb::PutRequest& request);
    Outcome<etcdserverpb::DeleteRangeResponse> delete_range(
        const etcdserverpb::DeleteRangeRequest& request);
    Outcome<etcdserverpb::TxnResponse> txn(const etcdserverpb::TxnRequest& request);
    Outcome<etcdserverpb::RangeResponse> range(const etcdserverpb::RangeRequest& request) const;
    std::optional<Errc> compact(std::int64_t revision);

    [[nodiscard]] std::int64_t revision() const { return revision_; }
    [[nodiscard]] std::int64_t compacted() const { return compacted_ < 0 ? 0 : compacted_; }

    struct Change {
        bool deleted = false;
        mvccpb::KeyValue kv;    // for a delete: key and mod_revision
        mvccpb::KeyValue prev;  // version 0: none
    };
    // The changes of each revision, in order.
    [[nodiscard]] const std::map<std::int64_t, std::vector<Change>>& changes() const {
        return changes_;
    }

  private:
    using Pairs = std::map<std::string, mvccpb::KeyValue>;
    // The pairs of [key, end) as they were at `revision`.
    [[nodiscard]] Pairs pairs_at(std::int64_t revision, const std::string& key,
                                 const std::string& end) const;
    [[nodiscard]] bool guards_hold(const etcdserverpb::TxnRequest& request) const;
    // Which branch each Txn of the tree takes, before anything runs.
    void decide(const etcdserverpb::TxnRequest& request,
                std::map<const etcdserverpb::TxnRequest*, bool>& taken) const;
    std::optional<Errc> check(const etcdserverpb::TxnRequest& request,
                              const std::map<const etcdserverpb::TxnRequest*, bool>& taken,
                              bool puts) const;
    std::optional<Errc> execute(const etcdserverpb::TxnRequest& request,
                                const std::map<const etcdserverpb::TxnRequest*, bool>& taken,
                                etcdserverpb::TxnResponse& response);
    std::optional<Errc> do_put(const etcdserverpb::PutRequest& request,
                               etcdserverpb::PutResponse& response);
    void do_delete(const etcdserverpb::DeleteRangeRequest& request,
                   etcdserverpb::DeleteRangeResponse& response);
    // Takes the open command's revision for good, if it changed anything.
    void commit();
    // What operations of the open command see.
    [[nodiscard]] std::int64_t visible() const { return revision_ + (open_.empty() ? 0 : 1); }

    std::int64_t revision_ = 1;
    std::int64_t compacted_ = -1;
    std::map<std::int64_t, std::vector<Change>> changes_;
    std::vector<Change> open_;  // of the command that runs
};

}  // namespace cairn::storage::test
