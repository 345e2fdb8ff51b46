#include "sim/workload.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "raft/conf_change.h"
#include "storage/command.h"

namespace cairn::sim {
namespace {

command::MemberInfo read_member(ByteView bytes) {
    command::MemberInfo info;
    CAIRN_ASSERT(info.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    return info;
}

}  // namespace

Workload::Workload(const WorldParts& world, Prng prng)
    : world_(world),
      prng_(prng),
      requests_(world.options.load, prng_),
      clients_(world.options.load.clients) {}

void Workload::start() {
    for (std::uint32_t client = 0; client < clients_.size(); ++client) {
        think_later(client, 1);
    }
}

void Workload::think_later(std::uint32_t client, Time min) {
    Time mean = world_.options.load.think_mean_us;
    if (overloads_ > 0 && !stopped_) {
        mean = mean / 20 + 1;
        world_.counters.saw(FaultClass::kOverload);
    }
    world_.queue.after(draw_time(prng_, min, mean),
                       ClientEvent{.client = client, .kind = ClientEventKind::kThink});
}

// Mostly one that is known to take part.
NodeIndex Workload::draw_node() {
    const std::vector<NodeId>& voters = world_.safety.applied_conf().voters;
    if (voters.empty() || prng_.chance(1, 12)) {
        return static_cast<NodeIndex>(prng_.below(nodes_->size()));
    }
    return world_.safety.index_of(voters[prng_.below(voters.size())]);
}

// Numbers the calls; the draw before it is made all the same, so that the others stay as they are.
bool Workload::left_out() {
    ++drawn_;
    return world_.options.only_calls && !world_.options.only_calls->contains(drawn_);
}

void Workload::handle(const ClientEvent& event) {
    switch (event.kind) {
        case ClientEventKind::kThink: return think(event.client);
        case ClientEventKind::kArrive: return arrive(event.op);
        case ClientEventKind::kReply: return reply(event.op);
        case ClientEventKind::kDeadline:
            if (!flight(event.op).ended) {
                const Flight& it = flight(event.op);
                SimNode& node = *(*nodes_)[it.node];
                if (node.up() && node.life() == it.life && !it.answered) {
                    node.cancel(event.op);
                }
                // A crash in the turn of the cancellation has ended it already.
                if (!flight(event.op).ended) {
                    end(event.op);
                }
            }
            return;
    }
}

// ---- the life of an operation

void Workload::think(std::uint32_t client) {
    if (stopped_) {
        return;
    }
    Client& it = clients_[client];
    if (!(*nodes_)[it.node]->up() || prng_.chance(1, 4)) {
        it.node = draw_node();
    }
    if (!(*nodes_)[it.node]->up()) {  // connection refused
        return think_later(client, 500);
    }
    Request request = requests_.draw(next_op(), newest_revision_);
    request.has_leader = prng_.chance(1, 8);
    if (left_out()) {
        return think_later(client, 1);
    }
    invoke(client, it.node, std::move(request));
    if (world_.options.load.deadline_ticks > 0) {
        world_.queue.after(
            world_.options.load.deadline_ticks * world_.options.tick_us,
            ClientEvent{
                .client = client, .kind = ClientEventKind::kDeadline, .op = clients_[client].op});
    }
}

void Workload::invoke(std::uint32_t client, NodeIndex node, Request request) {
    const std::uint64_t number = next_op();
    HistoryOp op = request.op;
    op.invoked = world_.queue.now();
    if (op.kind == OpKind::kWrite) {
        op.request.clear();  // the log has it
    }
    history_.push_back(std::move(op));
    flights_.push_back(Flight{.client = client,
                              .node = node,
                              .life = (*nodes_)[node]->life(),
                              .request = std::move(request),
                              .installed_before = world_.safety.installed(node)});
    if (client < clients_.size()) {
        clients_[client].op = number;
    }
    ++in_flight_;
    world_.queue.after(
        prng_.between(20, 300),
        ClientEvent{.client = client, .kind = ClientEventKind::kArrive, .op = number});
}

void Workload::arrive(std::uint64_t op) {
    Flight& it = flight(op);
    if (it.ended) {
        return;
    }
    SimNode& node = *(*nodes_)[it.node];
    if (node.paused_until() > world_.queue.now()) {
        world_.queue.at(
            node.paused_until(),
            ClientEvent{.client = it.client, .kind = ClientEventKind::kArrive, .op = op});
        return;
    }
    ++world_.counters.calls;
    it.life = node.life();
    it.before = told_by(node);
    it.applied_before = Index{world_.safety.applied_log().size()};
    if (node.up()) {
        it.refusal = it.request.refused_by(node.view().is_learner, !node.view().leader);
    }
    // A place can be given once: whoever was asked for before has come to life in it meanwhile.
    const bool taken = op == admin_op_ && changes_.back().change.command == command::MEMBER_ADD &&
                       (*nodes_)[changes_.back().change.node]->started();
    if ((taken || !node.call(op, it.request)) && !flight(op).ended) {
        flight(op).answer.outcome = OpOutcome::kNotApplied;
        flight(op).refused = true;
        answer_later(op);
    }
}

// Only now is it known by which id a new member will go.
void Workload::on_proposed(std::uint64_t op, std::uint64_t boot, const server::Propose& propose) {
    if (op != admin_op_) {
        return;
    }
    OpenChange& it = changes_.back();
    it.boot = boot;
    it.proposed = propose.request;
    if (propose.kind == command::MEMBER_ADD) {
        world_.safety.name(it.change.node, NodeId{read_member(it.proposed.view()).id()});
    }
}

void Workload::on_outcome(std::uint64_t op, const server::ProposalOutcome& outcome) {
    Flight& it = flight(op);
    if (std::holds_alternative<server::Applied>(outcome)) {
        if (!it.applied) {
            return world_.verdict.fail("R3", fmt::format("op {} is answered and not applied", op));
        }
        world_.safety.on_acknowledged(it.applied);
        it.answer.outcome = OpOutcome::kDone;
    } else if (const auto* refused = std::get_if<server::NotApplied>(&outcome)) {
        if (it.applied) {
            return world_.verdict.fail(
                "R3", fmt::format("op {} is applied at {} and answered as NotApplied: {}", op,
                                  it.applied.value, errc_name(refused->reason)));
        }
        it.refused = true;
        it.answer.outcome = OpOutcome::kNotApplied;
        failed_ += refused->reason == Errc::kTooManyRequests || op == admin_op_ ? 0 : 1;
    } else {
        ++failed_;
        it.answer.outcome = OpOutcome::kOpen;
    }
}

void Workload::misheard(std::uint64_t op, const std::string& what) {
    world_.verdict.fail("R4", fmt::format("op {}, {} at node {}: {}", op,
                                          wire::method_info(flight(op).request.method).path,
                                          flight(op).node, what));
}

void Workload::on_reply(std::uint64_t op, const server::api::Reply& reply, std::int64_t seen) {
    const auto heard = [&] {
        return fmt::format("code {}: {}", static_cast<int>(reply.status.code),
                           reply.status.message);
    };
    if (op == 0) {  // the nemesis wanted another leader
        if (!read_reply(wire::MethodId::kMaintenanceMoveLeader, reply)) {
            world_.verdict.fail("R4", "a transfer is answered with " + heard());
        }
        return;
    }
    Flight& it = flight(op);
    it.answered = true;
    world_.trace.mix(hash_bytes(reply.body.data(), reply.body.size(), op));
    if (it.refusal) {
        if (reply != server::api::Reply{*it.refusal, {}}) {
            misheard(op, fmt::format("hears {} and not {}", heard(), it.refusal->message));
        }
        it.refused = true;
        it.answer.outcome = OpOutcome::kNotApplied;
        failed_ += leader_expected_ && it.refusal->message == kNoLeader ? 1U : 0U;
        return answer_later(op);
    }
    std::optional<Answer> answer = read_reply(it.request.method, reply);
    if (!answer) {
        return misheard(op, "hears " + heard());
    }
    it.answer.error = answer->error;
    it.answer.revision = answer->header ? answer->header->revision() : seen;
    it.answer.body = std::move(answer->body);
    it.header = answer->header;
    if (entry(op).kind == OpKind::kWrite) {
        on_write_answer(op, *answer);
    } else {
        on_read_answer(op, *answer);
    }
}

// What it hears must agree with what became of the call.
void Workload::on_write_answer(std::uint64_t op, const Answer& answer) {
    Flight& it = flight(op);
    const OpOutcome outcome = it.answer.outcome;
    if (!answer.error ? outcome != OpOutcome::kDone
                      : answer.certain && outcome == OpOutcome::kOpen) {
        misheard(op, "hears " + std::string(answer.error ? errc_name(*answer.error) : "success") +
                         ", and that is not what became of it");
    }
    if (outcome == OpOutcome::kOpen && world_.options.sabotage == Sabotage::kRetryUnknown) {
        world_.queue.after(
            1, ClientEvent{.client = it.client, .kind = ClientEventKind::kArrive, .op = op});
        return;
    }
    if (!answer.error && storage::is_member_change(entry(op).command)) {
        check_members(op, answer);
    }
    answer_later(op);
}

void Workload::on_read_answer(std::uint64_t op, const Answer& answer) {
    Flight& it = flight(op);
    const bool unread =
        answer.error && *answer.error != Errc::kCompacted && *answer.error != Errc::kFutureRev;
    it.answer.outcome = unread ? OpOutcome::kNotApplied : OpOutcome::kDone;
    if (unread && *answer.error != Errc::kTooManyRequests) {
        ++failed_;
    }
    if (!answer.error && it.request.method == wire::MethodId::kMaintenanceStatus) {
        check_status(op, answer);
    } else if (!answer.error && it.request.method == wire::MethodId::kClusterMemberList) {
        check_members(op, answer);
    }
    answer_later(op);
}

void Workload::check_status(std::uint64_t op, const Answer& answer) {
    const etcdserverpb::StatusResponse& status = answer.status;
    const bool leaderless = status.leader() == 0;
    const bool says_so = status.errors_size() == 1 && status.errors(0) == kNoLeader;
    if (status.raftterm() != answer.header->raft_term() ||
        status.raftappliedindex() > status.raftindex() || leaderless != says_so ||
        (!leaderless && !world_.safety.knows(NodeId{status.leader()}))) {
        misheard(op, "a status that cannot be: " + status.ShortDebugString());
    }
}

// A change answers with the members right after it; a list shows those of some moment during the
// call, or, when it need not be linearizable, before it: but none older than a list of this member
// that a client had heard when it asked.
void Workload::check_members(std::uint64_t op, const Answer& answer) {
    Flight& it = flight(op);
    Index first = it.before.life == it.life ? it.before.members : Index{};
    Index last{world_.safety.applied_log().size()};
    if (it.request.is_linearizable) {
        first = it.applied_before;
    }
    if (it.applied) {
        first = last = it.applied;
    }
    const std::optional<Index> since = members_.since(answer.members, first, last);
    if (!since) {
        misheard(op, fmt::format("members that never were from {} to {}: {}", first.value,
                                 last.value, answer.members.ShortDebugString()));
    }
    it.members = since.value_or(Index{});
    const bool adds = it.request.method == wire::MethodId::kClusterMemberAdd;
    if (adds && world_.safety.index_of(NodeId{answer.added}) != changes_.back().change.node) {
        misheard(op, fmt::format("the new member is said to be {:x}", answer.added));
    }
}

void Workload::answer_later(std::uint64_t op) {
    if (flight(op).ended) {
        return;
    }
    if (prng_.chance(world_.options.load.reply_loss_permille, 1000) && !flight(op).final) {
        return end(op);  // the connection broke: the client knows nothing
    }
    world_.queue.after(
        prng_.between(20, 300),
        ClientEvent{.client = flight(op).client, .kind = ClientEventKind::kReply, .op = op});
}

void Workload::reply(std::uint64_t op) {
    Flight& it = flight(op);
    if (it.ended) {
        return;
    }
    ++world_.counters.calls;
    HistoryOp& what = entry(op);
    what.outcome = it.answer.outcome;
    what.error = it.answer.error;
    what.revision = it.answer.revision;
    what.body = std::move(it.answer.body);
    what.returned = world_.queue.now();
    newest_revision_ = std::max(newest_revision_, what.revision);
    done_ += what.outcome == OpOutcome::kDone ? 1 : 0;
    const bool again = it.final && may_come_again(it, what);
    const bool is_put = what.kind == OpKind::kWrite;
    const NodeIndex node = it.node;
    if (it.final && what.outcome != OpOutcome::kDone && !again) {
        world_.verdict.fail(
            "V2", fmt::format("after everything is healed op {} ends with {}", op,
                              what.error ? errc_name(*what.error) : "an unknown outcome"));
    }
    if (it.header) {
        check_header(op);
    }
    end(op);
    if (again) {
        is_put ? final_put(node) : final_read(node);
    }
}

// What its clients know of it: in a new life, the state that it found.
Told Workload::told_by(const SimNode& node) const {
    const auto found = told_.find(node.index());
    if (found != told_.end() && found->second.life == node.life()) {
        return found->second;
    }
    return {.life = node.life(),
            .revision = node.born_revision(),
            .ever = found != told_.end() ? found->second.ever : 0};
}

void Workload::check_header(std::uint64_t op) {
    const Flight& it = flight(op);
    const etcdserverpb::ResponseHeader& header = *it.header;
    const SimNode& node = *(*nodes_)[it.node];
    const bool same_life = node.up() && node.life() == it.life;
    if (header.cluster_id() != kClusterId.value ||
        header.member_id() != world_.safety.id_of(it.node).value || header.raft_term() == 0 ||
        (same_life && header.raft_term() > node.view().term.value)) {
        misheard(op, "a wrong header: " + header.ShortDebugString());
    }
    const bool about_members = storage::is_member_change(entry(op).command) ||
                               it.request.method == wire::MethodId::kClusterMemberList;
    if ((header.revision() == 0) != about_members) {
        misheard(op, fmt::format("revision {} in the header", header.revision()));
    }
    if (it.before.life == it.life) {
        if (header.raft_term() < it.before.term) {
            misheard(op, fmt::format("term {} after {}", header.raft_term(), it.before.term));
        }
        if (!about_members) {
            const bool of_store = entry(op).kind != OpKind::kLook;
            check_told(it.node, it.before, {header.revision(), of_store}, world_.verdict);
        }
    }
    Told& told = told_[it.node];
    if (told.life < it.life) {
        told = it.before;
    }
    told.ever = std::max(told.ever, header.revision());
    if (told.life == it.life) {
        told.term = std::max(told.term, header.raft_term());
        told.revision = std::max(told.revision, header.revision());
        told.members = std::max(told.members, it.members);
    }
}

void Workload::end(std::uint64_t op) {
    Flight& it = flight(op);
    it.ended = true;
    it.request.op.request.clear();
    --in_flight_;
    world_.trace.mix(op * 4 + static_cast<std::uint64_t>(entry(op).outcome));
    if (op == admin_op_) {
        admin_op_ = 0;
        changes_.back().last_term = world_.safety.term_of(it.node);
    }
    if (it.client >= clients_.size()) {
        return;
    }
    clients_[it.client].op = 0;
    think_later(it.client, 1);
}

bool Workload::administer(NodeIndex through, const MemberChange& change, Request request) {
    const std::uint32_t life = (*nodes_)[through]->life();
    const bool again = std::any_of(changes_.begin(), changes_.end(), [&](const OpenChange& it) {
        const Flight& call = flights_[it.op - 1];
        return is_open(it) && it.change.command == change.command &&
               it.change.node == change.node && call.node == through && call.life == life;
    });
    if (left_out() || again) {
        return false;
    }
    request.op.tag = next_op();
    request.op.command = change.command;
    admin_op_ = request.op.tag;
    changes_.push_back(OpenChange{.op = admin_op_, .change = change});
    invoke(static_cast<std::uint32_t>(clients_.size()), through, std::move(request));
    return true;
}

// One whose call is over may still be in a log or on its way to a leader of the term that its node
// was in. It never takes effect once an entry of a later term did.
bool Workload::is_open(const OpenChange& change) const {
    const auto& log = world_.safety.applied_log();
    const Term applied = log.empty() ? Term{} : log.back().id.term;
    const Flight& call = flights_[change.op - 1];
    return !call.applied && !call.refused && (!change.last_term || *change.last_term >= applied);
}

std::vector<MemberChange> Workload::open_changes() const {
    std::vector<MemberChange> open;
    for (const OpenChange& it : changes_) {
        if (is_open(it)) {
            open.push_back(it.change);
        }
    }
    for (const NodeIndex node : votes_due_) {
        open.push_back(MemberChange{.command = command::MEMBER_PROMOTE, .node = node});
    }
    return open;
}

void Workload::on_node_down(NodeIndex node) {
    for (Client& client : clients_) {
        const std::uint64_t op = client.op;
        if (op != 0 && flight(op).node == node && !flight(op).answered) {
            end(op);
        }
    }
    if (admin_op_ != 0 && flight(admin_op_).node == node && !flight(admin_op_).answered) {
        end(admin_op_);
    }
}

// A new voter comes in without a vote, and the leader gives it one when it has the log.
void Workload::note_member(Index index, const storage::Command& change) {
    const command::MemberInfo info = read_member(change.request.view());
    members_.apply(index, change.kind, info);
    const NodeIndex node = world_.safety.index_of(NodeId{info.id()});
    world_.counters.saw(FaultClass::kMembership);
    if (change.kind == command::MEMBER_ADD && !info.is_learner()) {
        votes_due_.insert(node);
    } else if (change.kind == command::MEMBER_REMOVE) {
        votes_due_.erase(node);
    } else if (!change.id.member && votes_due_.erase(node) == 0) {
        world_.verdict.fail("M1", fmt::format("node {} gets a vote that nobody asked for", node));
    }
}

// The requests of the keys have a tag; those about members are made anew by the member that is
// asked, and no two that may yet happen are alike in one start of it.
std::uint64_t Workload::op_of(const storage::Command& command) const {
    if (!storage::is_member_change(command.kind)) {
        return read_tag(command.request.view());
    }
    const auto found = std::find_if(changes_.rbegin(), changes_.rend(), [&](const OpenChange& it) {
        return it.boot == command.id.boot && it.change.command == command.kind &&
               it.proposed == command.request;
    });
    return found == changes_.rend() ? 0 : found->op;
}

void Workload::on_first_apply(const raft::Entry& applied) {
    Bytes payload = applied.payload;
    if (applied.kind == raft::EntryKind::kConfig) {
        auto change = raft::decode_conf_change(payload);
        if (change && change.value().kind == raft::ConfChangeKind::kBootstrapVoter) {
            return members_.apply(applied.id.index, command::MEMBER_ADD,
                                  read_member(change.value().context.view()));
        }
        if (!change || change.value().kind == raft::ConfChangeKind::kLeaveJoint) {
            return;  // nobody's call
        }
        payload = std::move(change.value().context);
    } else if (applied.kind != raft::EntryKind::kCommand) {
        return;
    }
    auto decoded = storage::decode_command(payload);
    if (!decoded) {
        return world_.verdict.fail("R3", "an entry does not decode: " + to_string(decoded.error()));
    }
    if (storage::is_member_change(decoded.value().kind)) {
        note_member(applied.id.index, decoded.value());
        if (!decoded.value().id.member) {
            return;  // the leader's own
        }
    }
    const std::uint64_t op = op_of(decoded.value());
    if (op == 0 || op > history_.size()) {
        return world_.verdict.fail("R3", "an entry nobody proposed");
    }
    Flight& it = flight(op);
    if (it.applied) {
        return world_.verdict.fail("R3", fmt::format("op {} takes effect at {} and at {}", op,
                                                     it.applied.value, applied.id.index.value));
    }
    if (it.refused) {
        return world_.verdict.fail("R3", fmt::format("op {} takes effect at {} after NotApplied",
                                                     op, applied.id.index.value));
    }
    it.applied = applied.id.index;
    log_.push_back(LoggedCommand{
        .tag = op, .kind = decoded.value().kind, .request = std::move(decoded.value().request)});
}

// ---- the end

void Workload::start_final() {
    for (const auto& node : *nodes_) {
        if (node->is_voter() && !node->lost()) {
            final_put(node->index());
            final_read(node->index());
        }
    }
}

// Several puts at once may be more than a small limit takes. Whoever falls behind the log by them
// needs a snapshot, and that may take longer than a call waits.
bool Workload::may_come_again(const Flight& it, const HistoryOp& what) const {
    if (what.error == Errc::kTooManyRequests) {
        return true;
    }
    const Errc waited =
        what.kind == OpKind::kWrite ? Errc::kTimeout : Errc::kTimeoutWaitAppliedIndex;
    return what.error == waited && needed_snapshot(it);
}

bool Workload::needed_snapshot(const Flight& it) const {
    const std::optional<NodeIndex> leader = world_.safety.leader();
    return world_.safety.installed(it.node) > it.installed_before ||
           (leader && (world_.safety.is_below_floor(it.node, *leader) ||
                       world_.lanes.is_wanted(*leader, it.node)));
}

void Workload::final_put(NodeIndex node) {
    invoke(static_cast<std::uint32_t>(clients_.size()), node, requests_.final_put(next_op()));
    flights_.back().final = true;
}

void Workload::final_read(NodeIndex node) {
    invoke(static_cast<std::uint32_t>(clients_.size()), node, Requests::final_read(next_op()));
    flights_.back().final = true;
}

}  // namespace cairn::sim
