// What the clients ask: etcd requests on a few keys, drawn at random; most of them sound.
// Owned by the workload; one thread.
// Never asks for what the model does not know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/prng.h"
#include "proto/wire/grpc_method.h"
#include "proto/wire/grpc_status.h"
#include "server/api/validate.h"
#include "sim/check_linear.h"
#include "sim/options.h"

namespace cairn::sim {

// Small, so that a request above them costs little.
inline constexpr server::api::RequestLimits kRequestLimits{.txn_ops_max = 16,
                                                           .request_bytes_max = 16'384};

// How a member that knows no leader refuses who demands one.
inline constexpr std::string_view kNoLeader = "etcdserver: no leader";

// One call, as it goes over the wire.
struct Request {
    HistoryOp op{};  // with the message's bytes
    wire::MethodId method = wire::MethodId::kMethodCount;
    bool has_leader = false;       // metadata "hasleader: true"
    bool of_learners = false;      // a learner serves it, too
    bool is_linearizable = false;  // of a list of members
    // How it is refused by every member, whatever the member stores: what cannot be read before
    // anything else is looked at, the rest behind what the member is.
    std::optional<wire::GrpcStatus> refusal{};
    bool is_readable = true;

    // How a member refuses it at once, if it does.
    [[nodiscard]] std::optional<wire::GrpcStatus> refused_by(bool learner, bool leaderless) const;
};

// Names the call `tag` in the request's bytes, by a field that no etcd message has.
void append_tag(std::string& request, std::uint64_t tag);
// 0 when there is none.
std::uint64_t read_tag(ByteView request);

class Requests {
  public:
    // Both outlive it.
    Requests(const LoadOptions& load, Prng& prng) : load_(load), prng_(prng) {}

    // `newest`: the newest revision that a client has heard of.
    Request draw(std::uint64_t tag, std::int64_t newest);
    // A write that always succeeds, and a linearizable read of everything.
    Request final_put(std::uint64_t tag);
    static Request final_read(std::uint64_t tag);

  private:
    std::string key();
    std::string value(std::uint64_t tag);
    Request put(std::uint64_t tag);
    Request remove(std::uint64_t tag);
    Request range(std::uint64_t tag, OpKind kind, std::int64_t newest);
    Request read_txn(std::uint64_t tag, OpKind kind, std::int64_t newest);
    Request read(std::uint64_t tag, OpKind kind, std::int64_t newest);
    Request txn(std::uint64_t tag, bool compare_and_set, std::int64_t newest);
    Request compact(std::uint64_t tag, std::int64_t newest);
    Request look(std::uint64_t tag);
    Request unsound(std::uint64_t tag);
    Request unsound_write(std::uint64_t tag, std::uint64_t kind);
    void add_guard(etcdserverpb::TxnRequest& request, const std::string& guarded,
                   std::int64_t newest);

    const LoadOptions& load_;
    Prng& prng_;
};

}  // namespace cairn::sim
