// The clients: calls of the etcd API, one at a time each, and the history of all of them. What a
// client hears is the reply's status and bytes, and it is judged by those:
//   R4 a reply is one that etcd gives to such a call: the code and text of a refusal to the letter;
//      a header of the member that was asked, whose term never falls in one life of it; the members
//      as the log has made them
// Owned by the world; one thread.
// Never calls an operation done or failed before its answer arrived: what is lost stays open.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "sim/answers.h"
#include "sim/basics.h"
#include "sim/check_linear.h"
#include "sim/check_member.h"
#include "sim/check_safety.h"
#include "sim/event_queue.h"
#include "sim/member_history.h"
#include "sim/node_clients.h"
#include "sim/options.h"
#include "sim/parts.h"
#include "sim/requests.h"
#include "sim/sim_node.h"
#include "storage/command.h"

namespace cairn::sim {

// A change of the members that somebody asked for.
struct MemberChange {
    command::CommandKind command = command::UNKNOWN;
    NodeIndex node{};
    bool is_learner = false;

    // At once, or as soon as the leader finds that it has the log.
    [[nodiscard]] bool gives_vote() const {
        return command == command::MEMBER_PROMOTE ||
               (command == command::MEMBER_ADD && !is_learner);
    }
};

class Workload final : public NodeClients {
  public:
    using Nodes = std::vector<std::unique_ptr<SimNode>>;
    // `world` outlives it.
    Workload(const WorldParts& world, Prng prng);
    void set_nodes(Nodes& nodes) { nodes_ = &nodes; }

    void start();
    void handle(const ClientEvent& event);
    // Nothing goes wrong any more, and there is a leader: whoever is told otherwise has failed.
    void expect_leader() { leader_expected_ = true; }
    // No new operations from now on.
    void stop() { stopped_ = true; }
    [[nodiscard]] bool quiet() const { return in_flight_ == 0; }
    // A put and a linearizable read of everything through each node, all of which must succeed.
    void start_final();
    // A call of the administrator, one at a time. False when it is left out of this run, or could
    // not be told from one that is open.
    bool administer(NodeIndex through, const MemberChange& change, Request request);
    [[nodiscard]] bool admin_waits() const { return admin_op_ != 0; }
    // New voters whom the leader has not given their vote yet, as far as any node has applied.
    [[nodiscard]] const std::set<NodeIndex>& votes_due() const { return votes_due_; }
    // What the members may yet become: changes that were asked for and may still take effect,
    // answered or not, and votes that are due.
    [[nodiscard]] std::vector<MemberChange> open_changes() const;
    // Clients that do not wait between two calls, until the same is called with `on` false.
    void overload(bool on) { overloads_ += on ? 1 : -1; }

    // An entry was applied for the first time anywhere.
    void on_first_apply(const raft::Entry& entry);

    void on_proposed(std::uint64_t op, std::uint64_t boot, const server::Propose& propose) override;
    void on_outcome(std::uint64_t op, const server::ProposalOutcome& outcome) override;
    void on_reply(std::uint64_t op, const server::api::Reply& reply, std::int64_t seen) override;
    void on_node_down(NodeIndex node) override;

    [[nodiscard]] const std::vector<HistoryOp>& history() const { return history_; }
    [[nodiscard]] const std::vector<LoggedCommand>& log() const { return log_; }
    [[nodiscard]] std::uint64_t done_count() const { return done_; }
    [[nodiscard]] std::uint64_t drawn_count() const { return drawn_; }
    // Calls refused or timed out, but for too many requests.
    [[nodiscard]] std::uint64_t failed_count() const { return failed_; }

  private:
    // What an operation still is on its way, beside its place in the history.
    struct Flight {
        std::uint32_t client{};
        NodeIndex node{};
        std::uint32_t life{};
        Request request{};
        Index installed_before{};                   // by its node, when it was invoked
        std::optional<wire::GrpcStatus> refusal{};  // the only answer there is
        Told before{};                              // when it arrived
        Index applied_before{};                     // by any member, when it arrived
        bool ended = false;                         // for the client
        bool answered = false;                      // by the node
        bool final = false;
        Index applied{};
        bool refused = false;  // certainly
        HistoryOp answer{};    // what the reply will say
        std::optional<etcdserverpb::ResponseHeader> header{};
        Index members{};  // since when they were as it says
    };
    struct Client {
        std::uint64_t op{};  // in flight; 0: none
        NodeIndex node{};
    };

    // Asked for, with no answer that would tell.
    struct OpenChange {
        std::uint64_t op{};
        MemberChange change{};
        // How the log knows it: the start of the member that proposed it, and the command's
        // request.
        std::uint64_t boot{};
        Bytes proposed{};
        // Once the call is over: whatever it has left lies in a log in this term at the latest.
        std::optional<Term> last_term{};
    };

    [[nodiscard]] bool may_come_again(const Flight& it, const HistoryOp& what) const;
    [[nodiscard]] bool needed_snapshot(const Flight& it) const;
    void final_put(NodeIndex node);
    void final_read(NodeIndex node);
    void think(std::uint32_t client);
    void think_later(std::uint32_t client, Time min);
    [[nodiscard]] NodeIndex draw_node();
    [[nodiscard]] bool left_out();
    void invoke(std::uint32_t client, NodeIndex node, Request request);
    void arrive(std::uint64_t op);
    void reply(std::uint64_t op);
    void answer_later(std::uint64_t op);
    void end(std::uint64_t op);
    void on_write_answer(std::uint64_t op, const Answer& answer);
    void on_read_answer(std::uint64_t op, const Answer& answer);
    void check_status(std::uint64_t op, const Answer& answer);
    void check_members(std::uint64_t op, const Answer& answer);
    void check_header(std::uint64_t op);
    [[nodiscard]] Told told_by(const SimNode& node) const;
    void misheard(std::uint64_t op, const std::string& what);
    [[nodiscard]] bool is_open(const OpenChange& change) const;
    void note_member(Index index, const storage::Command& change);
    // The call whose command an entry is; 0 for none.
    [[nodiscard]] std::uint64_t op_of(const storage::Command& command) const;
    [[nodiscard]] HistoryOp& entry(std::uint64_t op) { return history_[op - 1]; }
    [[nodiscard]] Flight& flight(std::uint64_t op) { return flights_[op - 1]; }
    [[nodiscard]] std::uint64_t next_op() const { return history_.size() + 1; }

    const WorldParts& world_;
    Prng prng_;
    Requests requests_;
    Nodes* nodes_ = nullptr;
    std::vector<Client> clients_;
    std::map<NodeIndex, Told> told_;
    MemberHistory members_;
    std::vector<HistoryOp> history_;  // by op - 1; op is also the tag
    std::deque<Flight> flights_;
    std::vector<LoggedCommand> log_;
    std::set<NodeIndex> votes_due_;
    std::vector<OpenChange> changes_;
    std::int64_t newest_revision_ = 1;  // as any client has seen
    std::uint64_t admin_op_ = 0;        // in flight; 0: none
    std::uint64_t drawn_ = 0;           // calls drawn, those left out included
    std::int32_t overloads_ = 0;
    std::uint64_t in_flight_ = 0;
    std::uint64_t done_ = 0;
    std::uint64_t failed_ = 0;
    bool leader_expected_ = false;
    bool stopped_ = false;
};

}  // namespace cairn::sim
