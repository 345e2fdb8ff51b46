// The members as clients are told of them, in each state that the log has made of them.
// Owned by the workload; one thread.
// Shares no code with storage/, and forgets no state.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "proto/cairn/command.pb.h"
#include "proto/etcd/rpc_cluster.pb.h"

namespace cairn::sim {

class MemberHistory {
  public:
    // The entry at `index` did this; each once, in order. One that bootstraps adds a voter.
    void apply(Index index, command::CommandKind kind, const command::MemberInfo& info);
    // Since when these were the members, by id, at some moment from `first` applied up to `last`:
    // the earliest, if there are several; none: at none.
    [[nodiscard]] std::optional<Index> since(const etcdserverpb::MemberListResponse& members,
                                             Index first, Index last) const;

  private:
    struct State {
        Index since{};
        std::string members{};  // a MemberListResponse
    };

    std::map<std::uint64_t, etcdserverpb::Member> members_;
    std::vector<State> states_ = std::vector<State>(1);
};

}  // namespace cairn::sim
