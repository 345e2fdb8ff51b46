// Linearizable reads waiting at the leader for proof that it still led when they were asked
// (dissertation §6.4).
// Owned by the core, on the replica's thread.
// Never grants a read by a round that began before the read arrived.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace cairn::raft {

struct PendingRead {
    NodeId from;  // none: asked by this member's own clients
    std::uint64_t request{};
    std::uint64_t round{};  // 0: not yet in a round
    Index index;            // the commit index when its round began
};

class ReadQueue {
  public:
    static constexpr std::size_t kPendingMax = 65'536;

    // A new term of leadership: rounds count from 1 again. There must be no read waiting.
    void reset();
    // False when the queue is full.
    bool add(NodeId from, std::uint64_t request);

    [[nodiscard]] bool has_unassigned() const { return unassigned() > 0; }
    [[nodiscard]] std::size_t unassigned() const { return reads_.size() - assigned_; }
    [[nodiscard]] bool empty() const { return reads_.empty(); }
    [[nodiscard]] std::size_t size() const { return reads_.size(); }
    // The newest round begun in this term.
    [[nodiscard]] std::uint64_t round() const { return round_; }

    // A new round that no read waits for: it confirms those before it.
    std::uint64_t next_round() { return ++round_; }
    // Puts all reads that wait for a round into a new one, at `commit`.
    void begin_round(Index commit);
    // Moves out the reads of all rounds up to `round`, in the order they came.
    void take_confirmed(std::uint64_t round, std::vector<PendingRead>& out);
    // Moves out everything.
    void take_all(std::vector<PendingRead>& out);

  private:
    // In the order of arrival, so also of rounds; the first assigned_ have one.
    std::vector<PendingRead> reads_;
    std::size_t assigned_ = 0;
    std::uint64_t round_ = 0;
};

}  // namespace cairn::raft
