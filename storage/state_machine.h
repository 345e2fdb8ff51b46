// The replicated state machine: etcd's key space, members and alarms over a KvEngine.
// Owned by the shell; apply, collect_garbage and replace on the state thread; all that is const
// from any thread.
// Never reads a clock, a flag, a size or a random number: apply is a function of state and entry.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/result.h"
#include "raft/types.h"
#include "storage/engine.h"
#include "storage/membership.h"
#include "storage/mvcc/event.h"
#include "storage/mvcc/read_view.h"

namespace cairn::storage {

// What one command of this member's clients came to. Deterministic, so an error here is as good as
// a success: the command was applied, and had no effect.
struct ApplyResult {
    ProposalId id;
    std::optional<Errc> error;
    std::int64_t revision{};  // the store's revision after the command, for the header
    Bytes body;               // the response message without its header field, serialized
    // When not 0: hold the reply until garbage up to this revision is removed here
    // (CompactionRequest.physical).
    std::int64_t wait_collected{};
};

struct ApplyOutput {
    raft::EntryId applied;  // the last entry applied
    // One for each command entry whose id is of this member and boot, in log order.
    std::vector<ApplyResult> results;
    std::vector<std::shared_ptr<const mvcc::EventBatch>> events;  // one for each revision made
    std::int64_t revision{};
    std::int64_t compacted{};
    std::shared_ptr<const Membership> members;  // as they are now, when they changed; else null
};

struct StateMachineOptions {
    // Whose results are wanted: commands with another (member, boot) produce no ApplyResult.
    NodeId member;
    std::uint64_t boot{};
};

// Where an engine stands, for Raft::restore and for snapshots.
struct AppliedState {
    raft::EntryId applied;  // zero for a new engine
    // In effect after that entry; none for an engine of the format before.
    std::optional<raft::ConfState> conf;
    std::int64_t revision = 1;
    std::shared_ptr<const Membership> members{};
};

// kUnsupportedVersion, kCorrupt, kIo.
Result<AppliedState> read_applied_state(const EngineReader& reader);

class StateMachine {
  public:
    // Opens the state in `engine` (empty: a new one). `old_conf` is the configuration after its
    // last applied entry as the log has it; of use only for an engine of the format before, which
    // does not say, and becomes one of this. kUnsupportedVersion, kCorrupt.
    static Result<std::unique_ptr<StateMachine>> open(std::shared_ptr<KvEngine> engine,
                                                      StateMachineOptions options,
                                                      const raft::ConfState& old_conf = {});
    StateMachine(const StateMachine&) = delete;
    StateMachine& operator=(const StateMachine&) = delete;
    ~StateMachine();

    [[nodiscard]] AppliedState applied_state() const;
    // The applied index a crash right now would leave; zero when nothing was flushed yet.
    [[nodiscard]] Result<Index> flushed_applied() const;
    // Makes what is applied now durable, and says up to where. Blocks; an error is final.
    [[nodiscard]] Result<Index> flush() const;
    // The one that is the state now.
    [[nodiscard]] std::shared_ptr<KvEngine> engine() const;

    // Applies committed entries in order, all effects and the applied index in one engine write.
    // The first entry must be the one after the last applied (asserted). An error is final.
    Result<ApplyOutput> apply(std::span<const raft::Entry> entries);

    // Removes up to `budget` old versions below the compacted revision; returns the revision up to
    // which everything is collected. Idle work: called between applies. An error is final.
    Result<std::int64_t> collect_garbage(std::uint64_t budget);
    [[nodiscard]] bool has_garbage() const;
    // Up to where everything is collected.
    [[nodiscard]] std::int64_t collected() const;

    // Goes on with the state in `engine`, an installed snapshot's, instead of its own. Reads of the
    // old one may go on. An error is final.
    Result<void> replace(std::shared_ptr<KvEngine> engine);

    // The newest applied state, for readers of any thread. Never null.
    [[nodiscard]] std::shared_ptr<const mvcc::ReadView> view() const;

  private:
    class Impl;
    explicit StateMachine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::storage
