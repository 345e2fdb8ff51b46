// The reference: etcd's key-value semantics in the plainest form, for the commands the load uses.
// Owned by a checker; one thread.
// Shares no code with storage/, and never forgets a version, so that it can answer at any revision.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "proto/cairn/command.pb.h"
#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::sim {

class Model {
  public:
    struct Outcome {
        std::optional<Errc> error{};
        std::int64_t revision{};  // of the store afterwards
        std::string body{};       // the response without header, as canonical() makes it
        bool mutated = false;     // it made a revision
    };

    // Executes PUT, DELETE_RANGE, TXN or COMPACT; a change of the members does nothing here.
    Outcome apply(command::CommandKind kind, ByteView request);
    // What a read on a store that stands at `revision` and has never compacted must see.
    [[nodiscard]] etcdserverpb::RangeResponse range(const etcdserverpb::RangeRequest& request,
                                                    std::int64_t revision) const;
    // The same of a Txn of such Ranges.
    [[nodiscard]] etcdserverpb::TxnResponse read_txn(const etcdserverpb::TxnRequest& request,
                                                     std::int64_t revision) const;

    [[nodiscard]] std::int64_t revision() const { return revision_; }
    [[nodiscard]] std::int64_t compacted() const { return compacted_; }

    // The response's bytes without the headers inside a Txn's answers, in protobuf's own order.
    static std::string canonical(command::CommandKind kind, ByteView body);
    static std::string canonical_range(ByteView body);

  private:
    struct Version {
        std::int64_t mod{};
        std::int64_t create{};  // 0: a tombstone
        std::int64_t version{};
        std::string value{};
    };

    [[nodiscard]] const Version* find(const std::string& key, std::int64_t revision) const;
    [[nodiscard]] bool holds(const etcdserverpb::Compare& compare, std::int64_t revision) const;
    [[nodiscard]] bool succeeds(const etcdserverpb::TxnRequest& request,
                                std::int64_t revision) const;
    etcdserverpb::PutResponse put(const etcdserverpb::PutRequest& request, std::int64_t revision);
    etcdserverpb::DeleteRangeResponse remove(const etcdserverpb::DeleteRangeRequest& request,
                                             std::int64_t revision);
    etcdserverpb::TxnResponse txn(const etcdserverpb::TxnRequest& request, std::int64_t revision);
    void compact(const etcdserverpb::CompactionRequest& request, Outcome& out);

    std::map<std::string, std::vector<Version>> keys_;
    std::int64_t revision_ = 1;
    std::int64_t compacted_ = 0;
    std::uint64_t changes_ = 0;  // of the command under way
};

}  // namespace cairn::sim
