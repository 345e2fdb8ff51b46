// Proposals on their way to a leader, which let everything else of the connection go first.
// Owned by a PeerLink; on the reactor's thread.
// Never holds more than kForwardQueueBytesMax, nor proposals of two terms. Raft needs no order
// between its messages (Raft paper §2: a network may reorder them), and answers to heartbeats
// behind all that clients have to say would cost a leader its quorum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "raft/message.h"
#include "server/peer/peer_codec.h"
#include "server/peer/peer_frame.h"

namespace cairn::server::net {

inline constexpr std::size_t kForwardQueueBytesMax = 64U * 1024U * 1024U;
// Of one write, beside what else there is; a proposal larger than that goes whole.
inline constexpr std::size_t kForwardedAtOnce = 256U * 1024U;

class ForwardQueue {
  public:
    // False when there is no room for some of them, which are dropped. `message` holds
    // ForwardProposals.
    bool push(const raft::Message& message) {
        forget_before(message.term);
        std::size_t bytes = kForwardedAtOnce;  // in the last one: it is full
        for (const auto& proposal : std::get<raft::ForwardProposals>(message.body).proposals) {
            const std::size_t cost = cost_of(proposal);
            if (bytes_ + cost > kForwardQueueBytesMax) {
                return false;
            }
            if (bytes + cost > kForwardedAtOnce) {
                messages_.push_back(
                    {message.from, message.to, message.term, raft::ForwardProposals{}});
                bytes = 0;
            }
            bytes += cost;
            bytes_ += cost;
            body_of(messages_.back()).proposals.push_back(proposal);
        }
        return true;
    }
    // Whoever has heard of the later term drops one of an earlier. Who waits for it is answered by
    // the first entry of the later term, as ever.
    void forget_before(Term term) {
        if (!messages_.empty() && messages_.front().term < term) {
            clear();
        }
    }
    // Appends the next frames to a write.
    void take(std::string& out) {
        std::size_t bytes = 0;
        while (!messages_.empty()) {
            const std::size_t cost = cost_of(messages_.front());
            if (bytes > 0 && bytes + cost > kForwardedAtOnce) {
                break;
            }
            const bool fits = peer::append_message_frame(messages_.front(), SIZE_MAX, out);
            CAIRN_ASSERT(fits);
            bytes += cost;
            bytes_ -= cost;
            messages_.pop_front();
        }
    }
    void clear() {
        messages_.clear();
        bytes_ = 0;
    }

  private:
    // Not less than its part of the frame, nor much less than what it takes here.
    static std::size_t cost_of(const raft::Forwarded& proposal) {
        constexpr std::size_t kEnvelope = 128;
        return kEnvelope + proposal.payload.size();
    }
    static std::size_t cost_of(raft::Message& message) {
        std::size_t bytes = 0;
        for (const auto& proposal : body_of(message).proposals) {
            bytes += cost_of(proposal);
        }
        return bytes;
    }
    static raft::ForwardProposals& body_of(raft::Message& message) {
        return std::get<raft::ForwardProposals>(message.body);
    }

    std::deque<raft::Message> messages_;
    std::size_t bytes_ = 0;  // what they cost
};

}  // namespace cairn::server::net
