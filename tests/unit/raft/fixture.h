// Cores for tests: a few lines to make one, and a disk that can lose what was not yet durable.
// Included by the tests of raft/ only.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "raft/conf_change.h"
#include "raft/describe.h"
#include "raft/invariants.h"
#include "raft/raft.h"

namespace cairn::raft::testing {

inline std::vector<NodeId> node_ids(std::uint64_t count) {
    std::vector<NodeId> ids;
    for (std::uint64_t i = 1; i <= count; ++i) {
        ids.push_back(NodeId{i});
    }
    return ids;
}

inline Config test_config(std::uint64_t id) {
    Config config;
    config.id = NodeId{id};
    config.seed = id * 1000 + 7;
    return config;
}

inline Entry command(std::uint64_t term, std::uint64_t index, const std::string& text = "x") {
    return {.id = {Term{term}, Index{index}},
            .kind = EntryKind::kCommand,
            .payload = Bytes::copy_of(text)};
}

inline Entry noop(std::uint64_t term, std::uint64_t index) {
    return {.id = {Term{term}, Index{index}}, .kind = EntryKind::kNoop, .payload = {}};
}

// One command for each term listed: a log as the figures of the Raft paper draw it.
inline std::vector<Entry> log_of(const std::vector<std::uint64_t>& terms) {
    std::vector<Entry> entries;
    for (const std::uint64_t term : terms) {
        entries.push_back(command(term, entries.size() + 1, "e" + std::to_string(term)));
    }
    return entries;
}

// A log found on disk, of a cluster of `voter_count` members, with nothing committed.
inline Recovered recovered(std::uint64_t voter_count, std::uint64_t term = 0,
                           std::vector<Entry> entries = {}) {
    Recovered found;
    found.hard_state.term = Term{term};
    found.floor.conf.voters = node_ids(voter_count);
    found.entries = std::move(entries);
    return found;
}

// Batches on their way, and what a restart would find.
struct TestDisk {
    Recovered image;
    std::deque<PersistBatch> in_flight;

    // The oldest batch becomes durable; its number is what Persisted carries.
    PersistSeq complete_one() {
        const PersistBatch batch = std::move(in_flight.front());
        in_flight.pop_front();
        if (batch.floor && batch.restart) {
            restart(*batch.floor);
        } else if (batch.floor) {
            const auto dropped = batch.floor->last.index - image.floor.last.index;
            REQUIRE(dropped <= image.entries.size());
            image.entries.erase(image.entries.begin(),
                                image.entries.begin() + static_cast<std::ptrdiff_t>(dropped));
            image.floor = *batch.floor;
        }
        if (batch.hard_state) {
            image.hard_state = *batch.hard_state;
        }
        if (!batch.entries.empty()) {
            const Index first = batch.entries.front().id.index;
            REQUIRE(first > image.floor.last.index);
            REQUIRE(first <= last() + 1);
            image.entries.resize(static_cast<std::size_t>(first - image.floor.last.index - 1));
            image.entries.insert(image.entries.end(), batch.entries.begin(), batch.entries.end());
        }
        return batch.seq;
    }
    // What an installed snapshot leaves of the log.
    void restart(const SnapshotMeta& snapshot) {
        image.entries.clear();
        image.floor = snapshot;
    }
    [[nodiscard]] Index last() const { return image.floor.last.index + image.entries.size(); }
    [[nodiscard]] std::optional<Term> term_at(Index index) const {
        if (index == image.floor.last.index) {
            return image.floor.last.term;
        }
        if (index < image.floor.last.index || index > last()) {
            return std::nullopt;
        }
        return image.entries[static_cast<std::size_t>(index - image.floor.last.index - 1)].id.term;
    }
};

// A core, its disk and its state machine's place; every step is followed by the invariants.
class TestNode {
  public:
    TestNode(Config config, Recovered found, Index applied = {}) : config_(config) {
        disk.image = std::move(found);
        start(applied);
    }

    // A new run on what is durable; `applied` is what the engine still has.
    void start(Index applied) {
        disk.in_flight.clear();
        auto restored = Raft::restore(config_, disk.image, applied);
        INFO((restored.has_error() ? to_string(restored.error()) : std::string()));
        REQUIRE(restored.has_value());
        raft.emplace(std::move(restored).value());
        check();
    }

    void step(Input input) {
        const StateMarks before = state_marks(*raft);
        INFO("node " << config_.id.value << ": " << describe(input));
        raft->step(std::move(input));
        check();
        const auto delta = check_delta(before, *raft);
        INFO((delta.has_error() ? delta.error().detail : std::string()));
        REQUIRE(delta.has_value());
    }
    void receive(Message message) { step(Receive{std::move(message)}); }
    template <class Body>
    void receive(std::uint64_t from, std::uint64_t term, Body body) {
        receive(Message{
            .from = NodeId{from}, .to = config_.id, .term = Term{term}, .body = std::move(body)});
    }
    void tick(std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) {
            step(Tick{});
        }
    }

    // Takes the Ready; its batch goes on its way to the disk.
    Ready take() {
        Ready ready = raft->take_ready();
        check();
        if (ready.persist) {
            disk.in_flight.push_back(*ready.persist);
        }
        return ready;
    }
    // All batches become durable; returns what the core asks for then.
    Ready persist() {
        while (!disk.in_flight.empty()) {
            step(Persisted{disk.complete_one()});
        }
        return take();
    }
    // Takes and persists until nothing is left to write; returns all messages on the way.
    std::vector<Message> settle() {
        std::vector<Message> messages;
        do {
            finish(take(), messages);
            finish(persist(), messages);
        } while (raft->has_ready() || !disk.in_flight.empty());
        return messages;
    }

    // Makes it lead in its next term, with the votes of all others. Settled.
    void elect() {
        step(Campaign{});
        settle();
        const std::uint64_t next = raft->term().value + 1;
        for (const NodeId voter : raft->status().conf.voters) {
            if (voter != config_.id && raft->role() == Role::kPreCandidate) {
                receive(voter.value, next, PreVoteReply{.granted = true});
            }
        }
        settle();
        for (const NodeId voter : raft->status().conf.voters) {
            if (voter != config_.id && raft->role() == Role::kCandidate) {
                receive(voter.value, raft->term().value, VoteReply{.granted = true});
            }
        }
        settle();
        REQUIRE(raft->role() == Role::kLeader);
    }

    void check() const {
        const auto state = check_state(*raft);
        INFO((state.has_error() ? state.error().detail : std::string()));
        REQUIRE(state.has_value());
    }

    [[nodiscard]] const Config& config() const { return config_; }

    TestDisk disk;
    std::optional<Raft> raft;

  private:
    // What was handed out is applied at once.
    void finish(Ready ready, std::vector<Message>& messages) {
        for (Message& message : ready.messages) {
            messages.push_back(std::move(message));
        }
        if (!ready.committed.empty()) {
            step(Applied{ready.committed.back().id.index});
        }
    }

    Config config_;
};

template <class Body>
Message message(std::uint64_t from, std::uint64_t to, std::uint64_t term, Body body) {
    return {.from = NodeId{from}, .to = NodeId{to}, .term = Term{term}, .body = std::move(body)};
}

// The messages of one kind, in order.
inline std::vector<Message> of_kind(const std::vector<Message>& messages, MessageKind kind) {
    std::vector<Message> found;
    for (const Message& candidate : messages) {
        if (candidate.kind() == kind) {
            found.push_back(candidate);
        }
    }
    return found;
}

inline AppendReply acked(std::uint64_t match) {
    return {.success = true, .match = Index{match}, .rejected = {}, .hint = {}};
}

inline AppendReply refused(std::uint64_t rejected, std::uint64_t hint_term,
                           std::uint64_t hint_index) {
    return {.success = false,
            .match = {},
            .rejected = Index{rejected},
            .hint = {Term{hint_term}, Index{hint_index}}};
}

}  // namespace cairn::raft::testing
