// What a single member keeps to, as it shows from outside: rules without a state of the cluster,
// for those who see it to ask.
//   B2 nothing is left when all is quiet
//   D4 a failed write or sync is the last thing that a member does
//   R2 nobody sees the past of what a client was told before
//   V5 a leader that cannot write does not stay one
// Values, of whoever asks; one thread.
// Never asks the member what it thinks it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "server/replica/effect.h"
#include "sim/basics.h"

namespace cairn::sim {

// D4. Of the turn after a failed write or sync (`is_due`), and of each that has a halt.
void check_halt(NodeIndex node, const server::Effects& effects, bool is_due, Verdict& verdict);

// What a member has under way.
struct Pending {
    std::uint64_t writes{};     // of the log
    std::uint64_t applies{};    // asked for
    std::uint64_t calls{};      // of its clients
    std::uint64_t reads{};      // of them, that have not run
    std::uint64_t proposals{};  // waiting for the log, those that went to the leader too
    std::uint64_t collections{};
    std::uint64_t snapshot_work{};  // pieces of it, and what came of them
    std::uint64_t sending{};        // snapshots, as the next three
    std::uint64_t receiving{};
    std::uint64_t installing{};
    std::vector<std::string> files{};  // that no member needs, of snapshots and former engines

    [[nodiscard]] bool nothing() const { return *this == Pending{}; }
    // Each that is not nothing.
    [[nodiscard]] std::string describe() const;
    bool operator==(const Pending&) const = default;
};

// B2. Of a cluster that agrees and whose clients have gone.
void check_quiet(NodeIndex node, const Pending& pending, Verdict& verdict);

// What clients were told by one member in one life of it.
struct Told {
    std::uint32_t life{};
    std::uint64_t term{};
    std::int64_t revision{};
    Index members{};      // since when they were as in the newest list
    std::int64_t ever{};  // the newest revision, in earlier lives too
};

struct Telling {
    std::int64_t revision{};  // of the answer's header
    bool of_store{};          // and not of the member, which is as it is
};

// R2. `before`: when the call arrived.
void check_told(NodeIndex node, const Told& before, const Telling& now, Verdict& verdict);

// V5, one tick after another.
class OfficeWatch {
  public:
    explicit OfficeWatch(std::uint32_t election_ticks) : election_ticks_(election_ticks) {}

    // `could_leave`: it leads, and the others can elect one of them without its vote.
    void tick(NodeIndex node, bool is_writing, bool could_leave, Verdict& verdict);
    // A write has ended; or all did, with the member's life.
    void on_written() { write_ticks_ = 0; }

  private:
    std::uint32_t election_ticks_;
    std::uint32_t write_ticks_ = 0;  // that the write under way has taken
    std::uint32_t over_ticks_ = 0;   // that it led without, though it could have left
};

// V5 of a leader that nobody hears: check-quorum (dissertation §6.2), one tick after another.
class QuorumWatch {
  public:
    explicit QuorumWatch(std::uint32_t election_ticks) : election_ticks_(election_ticks) {}

    // `led`: the term that it leads. `heard`: a quorum has answered it within an election timeout.
    void tick(NodeIndex node, std::optional<Term> led, bool heard, Verdict& verdict);

  private:
    std::uint32_t election_ticks_;
    std::optional<Term> led_;
    std::uint32_t unheard_ticks_ = 0;
};

}  // namespace cairn::sim
