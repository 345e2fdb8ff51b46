#include "raft/writes.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/mutant.h"
#include "base/probe.h"

namespace cairn::raft {

PersistSeq Writes::start(const HardState& hard_state, std::optional<Index> last) {
    CAIRN_ASSERT(hard_state.term >= queued_.term && hard_state.commit >= queued_.commit);
    queued_ = hard_state;
    batches_.push_back({next_seq_, hard_state, last.value_or(Index{})});
    const PersistSeq seq = next_seq_;
    ++next_seq_;
    return seq;
}

void Writes::truncated(Index from) {
    for (std::size_t i = head_; i < batches_.size(); ++i) {
        batches_[i].last = std::min(
            batches_[i].last, CAIRN_MUTANT(older_write_acks_newer) ? batches_[i].last : from - 1);
    }
}

Writes::Done Writes::persisted(PersistSeq seq) {
    CAIRN_ASSERT(seq < next_seq_);
    Done done;
    while (head_ < batches_.size() &&
           (batches_[head_].seq <= seq || CAIRN_MUTANT(one_write_done_is_all_done))) {
        const Batch& batch = batches_[head_];
        durable_ = batch.hard_state;
        durable_seq_ = batch.seq;
        done.stable = std::max(done.stable, batch.last);
        ticks_waited_ = 0;
        ++head_;
    }
    if (head_ == batches_.size()) {
        batches_.clear();
        head_ = 0;
    } else if (head_ * 2 > batches_.size()) {
        batches_.erase(batches_.begin(), batches_.begin() + static_cast<std::ptrdiff_t>(head_));
        head_ = 0;
    }
    return done;
}

std::optional<PersistSeq> Writes::batch_of_term(Term term) const {
    if (durable_.term >= term) {
        return std::nullopt;
    }
    for (std::size_t i = head_; i < batches_.size(); ++i) {
        if (batches_[i].hard_state.term >= term) {
            return batches_[i].seq;
        }
    }
    return next_seq_;
}

std::optional<PersistSeq> Writes::batch_of_vote(Term term, NodeId vote) const {
    const auto has = [&](const HardState& state) {
        return state.term == term && state.vote == vote;
    };
    if (has(durable_)) {
        return std::nullopt;
    }
    for (std::size_t i = head_; i < batches_.size(); ++i) {
        if (has(batches_[i].hard_state)) {
            return batches_[i].seq;
        }
    }
    return next_seq_;
}

PersistSeq Writes::batch_of_index(Index index) const {
    for (std::size_t i = head_; i < batches_.size(); ++i) {
        if (batches_[i].last >= index) {
            return batches_[i].seq;
        }
    }
    return next_seq_;
}

Writes::Withheld* Writes::same_ack(PersistSeq rests_on, const Message& message) {
    if (withheld_.empty() || message.kind() != MessageKind::kAppendReply) {
        return nullptr;
    }
    Withheld& last = withheld_.back();
    const auto* reply = std::get_if<AppendReply>(&last.message.body);
    const bool merges = reply != nullptr && reply->success && last.rests_on == rests_on &&
                        last.message.to == message.to && last.message.term == message.term &&
                        std::get<AppendReply>(message.body).success;
    return merges ? &last : nullptr;
}

bool Writes::withhold(PersistSeq rests_on, Message message) {
    // Acknowledgements that become true together are one: the larger match says both.
    if (Withheld* ack = same_ack(rests_on, message)) {
        CAIRN_PROBE("raft.acks_merged");
        auto& held = std::get<AppendReply>(ack->message.body);
        held.match = std::max(held.match, std::get<AppendReply>(message.body).match);
        return true;
    }
    if (withheld_.size() >= kWithheldMax) {
        return false;
    }
    withheld_.push_back({rests_on, std::move(message)});
    return true;
}

void Writes::release(std::vector<Message>& out) {
    const auto rests =
        std::stable_partition(withheld_.begin(), withheld_.end(),
                              [&](const Withheld& held) { return held.rests_on <= durable_seq_; });
    for (auto held = withheld_.begin(); held != rests; ++held) {
        out.push_back(std::move(held->message));
    }
    withheld_.erase(withheld_.begin(), rests);
}

void Writes::drop_below(Term term, std::vector<Message>& out) {
    const auto stays =
        std::stable_partition(withheld_.begin(), withheld_.end(),
                              [&](const Withheld& held) { return held.message.term < term; });
    for (auto held = withheld_.begin(); held != stays; ++held) {
        out.push_back(std::move(held->message));
    }
    withheld_.erase(withheld_.begin(), stays);
}

}  // namespace cairn::raft
