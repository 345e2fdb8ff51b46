// Who belongs to the cluster: whom the transport must reach, and which changes a leader takes.
// Owned by the replica; one thread.
// Never counts votes: the core does, by the configuration in its log.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "proto/cairn/command.pb.h"
#include "raft/conf_change.h"
#include "raft/message.h"
#include "raft/raft.h"
#include "server/replica/membership_limits.h"
#include "server/replica/peers.h"
#include "storage/membership.h"

namespace cairn::server {

// A change that somebody asks this member for, as leader of `term`.
struct WantedChange {
    NodeId from;
    Term term;
    raft::Forwarded change;  // once judged with its refusal, if any
};

// What a leader knows of its connections.
struct Reach {
    std::function<bool(NodeId)> is_connected;  // asked of others than itself
    // It leads since so short a time that those who are well need not have answered yet.
    bool is_early = false;
};

// Each change is judged here, by the leader alone, when all before it are applied: two that pass
// one by one may not pass together. What passes goes to the core, which counts the member in or out
// as soon as the entry is in the log, so that apply has nothing left to refuse.
class Membership {
  public:
    // Null for a state machine without members.
    Membership(NodeId self, MembershipLimits limits,
               std::shared_ptr<const storage::Membership> applied);

    void on_applied(std::shared_ptr<const storage::Membership> applied);

    // Waits for its turn. False when too many wait.
    [[nodiscard]] bool want(WantedChange change);
    // The next one whose turn has come, judged; kLeaderChanged when this is not its leader any
    // more. While it is early, none that could be refused just for that.
    std::optional<WantedChange> judge_next(const raft::Raft& raft, Index applied,
                                           const Reach& reach);

    // The configuration entry that gives a new voter its vote: one that clients know as a voter,
    // and that has all that is committed but the end by now.
    [[nodiscard]] std::optional<Bytes> vote_due(const raft::Raft& raft, Index applied) const;
    // As clients know it.
    [[nodiscard]] bool is_learner(NodeId id) const;

    // Looks at the log's configuration; true when peers() has changed.
    [[nodiscard]] bool follow(const raft::Raft& raft, Index applied);
    [[nodiscard]] const std::shared_ptr<const PeerSet>& peers() const { return peers_; }

  private:
    // What peers() was made of.
    struct Basis {
        std::shared_ptr<const storage::Membership> applied;
        std::optional<raft::EntryId> conf;
        bool settled = false;
        bool operator==(const Basis&) const = default;
    };
    struct Count;

    [[nodiscard]] const command::MemberInfo* find(NodeId id) const;
    [[nodiscard]] bool was_removed(NodeId id) const;
    [[nodiscard]] bool is_heard(NodeId id, const Reach& reach) const;
    [[nodiscard]] bool all_heard(const Reach& reach) const;
    [[nodiscard]] Count count_voters(const Reach& reach) const;
    [[nodiscard]] std::optional<Errc> refusal(const Bytes& payload, const raft::Raft& raft,
                                              const Reach& reach) const;
    [[nodiscard]] std::optional<Errc> check_quorum(const command::MemberInfo& info,
                                                   command::CommandKind kind,
                                                   const Reach& reach) const;
    [[nodiscard]] std::optional<Errc> check_quorum_without(NodeId id, const raft::ConfState& conf,
                                                           const Reach& reach) const;
    [[nodiscard]] std::optional<Errc> check_promotion(NodeId id, const raft::Status& status) const;
    [[nodiscard]] std::optional<Errc> check_sense(const command::MemberInfo& info,
                                                  command::CommandKind kind) const;
    [[nodiscard]] bool url_taken(const command::MemberInfo& info) const;
    [[nodiscard]] PeerSet make_peers(const raft::Raft& raft, Index applied) const;

    NodeId self_;
    MembershipLimits limits_;
    std::shared_ptr<const storage::Membership> applied_;  // never null
    std::deque<WantedChange> wanted_;                     // at most kWantedMax
    Basis basis_;
    std::shared_ptr<const PeerSet> peers_ = std::make_shared<const PeerSet>();
};

}  // namespace cairn::server
