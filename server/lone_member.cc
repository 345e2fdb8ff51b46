#include "server/lone_member.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "proto/cairn/command.pb.h"
#include "raft/conf_change.h"
#include "storage/command.h"

namespace cairn::server {
namespace {

bool contains(const std::vector<NodeId>& ids, NodeId id) {
    return std::binary_search(ids.begin(), ids.end(), id);
}

Result<raft::ConfState> last_conf(const raft::Recovered& recovered) {
    raft::ConfState conf = recovered.floor.conf;
    for (const raft::Entry& entry : recovered.entries) {
        if (entry.kind == raft::EntryKind::kConfig) {
            CAIRN_TRY(const auto change, raft::decode_conf_change(entry.payload));
            CAIRN_TRY(conf, raft::apply_conf_change(conf, change));
        }
    }
    return conf;
}

// Appends changes to a batch, each out of its joint configuration again.
class Changes {
  public:
    Changes(raft::ConfState conf, raft::EntryId behind) : conf_(std::move(conf)), last_(behind) {}

    Result<void> leave_joint() {
        if (conf_.voters_outgoing.empty()) {
            return ok();
        }
        return add({.kind = raft::ConfChangeKind::kLeaveJoint, .node = {}, .context = {}});
    }
    Result<void> change(raft::ConfChangeKind kind, command::CommandKind command, NodeId node) {
        command::MemberInfo info;
        info.set_id(node.value);
        const Bytes context =
            storage::encode_command({.kind = command,
                                     .id = {},
                                     .decided_in = last_.term,
                                     .request = Bytes::copy_of(info.SerializeAsString())});
        CAIRN_TRY(add({.kind = kind, .node = node, .context = context}));
        return leave_joint();
    }
    [[nodiscard]] const raft::ConfState& conf() const { return conf_; }
    std::vector<raft::Entry> take() { return std::move(entries_); }

  private:
    Result<void> add(const raft::ConfChange& change) {
        CAIRN_TRY(conf_, raft::apply_conf_change(conf_, change));
        ++last_.index;
        entries_.push_back({.id = last_,
                            .kind = raft::EntryKind::kConfig,
                            .payload = raft::encode_conf_change(change)});
        return ok();
    }

    raft::ConfState conf_;
    raft::EntryId last_;
    std::vector<raft::Entry> entries_;
};

}  // namespace

Result<std::optional<raft::PersistBatch>> make_lone_member(const raft::Recovered& recovered,
                                                           NodeId self) {
    CAIRN_TRY(raft::ConfState conf, last_conf(recovered));
    const Index last =
        recovered.entries.empty() ? recovered.floor.last.index : recovered.entries.back().id.index;
    // A term of its own: what the others may have at these indexes is not this.
    const Term term = recovered.hard_state.term + 1;
    Changes changes(std::move(conf), {term, last});
    CAIRN_TRY(changes.leave_joint());
    if (contains(changes.conf().learners, self)) {
        CAIRN_TRY(changes.change(raft::ConfChangeKind::kAddVoter, command::MEMBER_PROMOTE, self));
    }
    if (!contains(changes.conf().voters, self)) {
        return Error{Errc::kInvalidConfig,
                     fmt::format("--force-new-cluster: {:x} is not a member of the cluster that "
                                 "its data is of",
                                 self.value)};
    }
    std::vector<NodeId> others = changes.conf().voters;
    others.insert(others.end(), changes.conf().learners.begin(), changes.conf().learners.end());
    std::erase(others, self);
    for (const NodeId other : others) {
        CAIRN_TRY(changes.change(raft::ConfChangeKind::kRemove, command::MEMBER_REMOVE, other));
    }
    std::vector<raft::Entry> entries = changes.take();
    if (entries.empty()) {
        return std::optional<raft::PersistBatch>();
    }
    raft::PersistBatch batch;
    batch.seq = PersistSeq{1};
    batch.hard_state = raft::HardState{.term = term, .vote = {}, .commit = entries.back().id.index};
    batch.entries = std::move(entries);
    return std::optional(std::move(batch));
}

void rewrite(raft::Recovered& recovered, raft::PersistBatch batch) {
    recovered.hard_state = *batch.hard_state;
    for (raft::Entry& entry : batch.entries) {
        recovered.entries.push_back(std::move(entry));
    }
}

}  // namespace cairn::server
