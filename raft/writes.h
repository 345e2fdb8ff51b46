// The write side of the async-write contract: batches on their way to the disk, what they make
// durable, and the messages withheld until then.
// Owned by the core, on the replica's thread.
// Never lets a message go before the batch it rests on, and never claims an entry that a later
// batch truncates (architecture §3.4; reliability rows 36-39).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "raft/message.h"
#include "raft/persist.h"
#include "raft/types.h"

namespace cairn::raft {

class Writes {
  public:
    // Beyond it a message is dropped, as the network may: only a hung disk gets there.
    static constexpr std::size_t kWithheldMax = 4096;

    // What Persisted has made true.
    struct Done {
        Index stable;  // durable up to here; zero when no entries were in the batches
    };

    explicit Writes(const HardState& durable) : durable_(durable), queued_(durable) {}

    [[nodiscard]] const HardState& durable() const { return durable_; }
    // As the newest batch has it, durable or not.
    [[nodiscard]] const HardState& queued() const { return queued_; }
    [[nodiscard]] std::size_t in_flight() const { return batches_.size() - head_; }
    // Since the last batch came to an end, or the oldest in flight began; 0 when none is.
    [[nodiscard]] std::uint32_t ticks_waited() const { return ticks_waited_; }
    void tick() { ticks_waited_ = in_flight() > 0 ? ticks_waited_ + 1 : 0; }
    [[nodiscard]] std::size_t withheld_count() const { return withheld_.size(); }
    // The number the next batch will carry.
    [[nodiscard]] PersistSeq next_seq() const { return next_seq_; }

    // A batch leaves: it makes `hard_state` durable and, with `last`, the log up to there.
    PersistSeq start(const HardState& hard_state, std::optional<Index> last);
    // The log was cut before `from`: batches in flight no longer speak for what lay there.
    void truncated(Index from);
    // Batches up to `seq` are durable. Asserts that they were asked for; an old one changes
    // nothing.
    Done persisted(PersistSeq seq);

    // The batch that makes `term` durable (and with it `vote`, when given). None when it is.
    [[nodiscard]] std::optional<PersistSeq> batch_of_term(Term term) const;
    [[nodiscard]] std::optional<PersistSeq> batch_of_vote(Term term, NodeId vote) const;
    // The batch that makes the log durable up to `index`, which is above the stable mark.
    [[nodiscard]] PersistSeq batch_of_index(Index index) const;

    // False: there was no room, the message is lost.
    bool withhold(PersistSeq rests_on, Message message);
    // Moves out what rests on batches that are durable by now, in the order it was withheld.
    void release(std::vector<Message>& out);
    // Moves out what was stamped below `term`: nobody waits for it any more.
    void drop_below(Term term, std::vector<Message>& out);

  private:
    struct Batch {
        PersistSeq seq;
        HardState hard_state;
        Index last;  // zero: no entries, or all of them truncated since
    };
    struct Withheld {
        PersistSeq rests_on;
        Message message;
    };

    [[nodiscard]] Withheld* same_ack(PersistSeq rests_on, const Message& message);

    HardState durable_;
    HardState queued_;
    PersistSeq next_seq_{1};
    PersistSeq durable_seq_;
    std::vector<Batch> batches_;  // from head_ on: in flight, by seq
    std::size_t head_ = 0;
    std::uint32_t ticks_waited_ = 0;
    std::vector<Withheld> withheld_;
};

}  // namespace cairn::raft
