#include "sim/workload.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "raft/conf_change.h"
#include "storage/command.h"

namespace cairn::sim {
namespace {

// A field that no etcd message has, so that every request is one of a kind: fixed64 number 1000.
constexpr std::array<char, 2> kTagField = {'\xc1', '\x3e'};
constexpr std::size_t kTagBytes = kTagField.size() + 8;

void append_tag(std::string& request, std::uint64_t tag) {
    request.append(kTagField.data(), kTagField.size());
    for (unsigned byte = 0; byte < 8; ++byte) {
        request.push_back(static_cast<char>((tag >> (8 * byte)) & 0xffU));
    }
}

std::uint64_t read_tag(ByteView request) {
    CAIRN_ASSERT(request.size() >= kTagBytes);
    std::uint64_t tag = 0;
    for (unsigned byte = 0; byte < 8; ++byte) {
        const auto bits = static_cast<unsigned char>(request[request.size() - 8 + byte]);
        tag |= static_cast<std::uint64_t>(bits) << (8 * byte);
    }
    return tag;
}

}  // namespace

Workload::Workload(const WorldParts& world, Prng prng)
    : world_(world), prng_(prng), clients_(world.options.load.clients) {}

void Workload::start() {
    for (std::uint32_t client = 0; client < clients_.size(); ++client) {
        think_later(client, 1);
    }
}

void Workload::think_later(std::uint32_t client, Time min) {
    const Time mean = overloads_ > 0 ? world_.options.load.think_mean_us / 20 + 1
                                     : world_.options.load.think_mean_us;
    world_.queue.after(draw_time(prng_, min, mean),
                       ClientEvent{.client = client, .kind = ClientEventKind::kThink});
}

// Mostly one that is known to take part.
NodeIndex Workload::draw_node() {
    const std::vector<NodeId>& voters = world_.safety.applied_conf().voters;
    if (voters.empty() || prng_.chance(1, 12)) {
        return static_cast<NodeIndex>(prng_.below(nodes_->size()));
    }
    return SafetyChecker::index_of(voters[prng_.below(voters.size())]);
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

// ---- making operations

std::string Workload::key() { return fmt::format("k{}", prng_.below(world_.options.load.keys)); }

std::string Workload::value(std::uint64_t tag) {
    std::string out = fmt::format("v{}.", tag);
    out.append(prng_.below(world_.options.load.value_bytes_max), 'x');
    return out;
}

void Workload::set_request(HistoryOp& op, std::string bytes) {
    append_tag(bytes, op.tag);
    op.request = std::move(bytes);
}

HistoryOp Workload::make_read(OpKind kind) {
    HistoryOp op{.tag = next_op(), .kind = kind};
    etcdserverpb::RangeRequest request;
    if (prng_.chance(1, 3)) {
        request.set_key("k");
        request.set_range_end("l");
    } else {
        request.set_key(key());
    }
    if (prng_.chance(1, 6)) {
        const auto back = static_cast<std::int64_t>(prng_.below(20));
        request.set_revision(std::max<std::int64_t>(1, newest_revision_ - back));
    }
    request.set_keys_only(prng_.chance(1, 10));
    request.set_count_only(prng_.chance(1, 10));
    request.set_limit(prng_.chance(1, 6) ? static_cast<std::int64_t>(prng_.between(1, 3)) : 0);
    request.set_serializable(kind == OpKind::kSerialRead);
    op.request = request.SerializeAsString();
    return op;
}

void Workload::make_txn(HistoryOp& op, bool compare_and_set) {
    op.command = command::TXN;
    etcdserverpb::TxnRequest request;
    const std::string guarded = key();
    etcdserverpb::Compare* compare = request.add_compare();
    compare->set_key(guarded);
    compare->set_result(etcdserverpb::Compare::EQUAL);
    if (prng_.chance(1, 3)) {
        compare->set_target(etcdserverpb::Compare::VERSION);
        compare->set_version(static_cast<std::int64_t>(prng_.below(3)));
    } else {
        compare->set_target(etcdserverpb::Compare::MOD);
        compare->set_result(etcdserverpb::Compare::LESS);
        compare->set_mod_revision(newest_revision_ + 2 - static_cast<std::int64_t>(prng_.below(6)));
    }
    etcdserverpb::PutRequest* put = request.add_success()->mutable_request_put();
    put->set_key(guarded);
    put->set_value(value(op.tag));
    put->set_prev_kv(prng_.chance(1, 3));
    request.add_failure()->mutable_request_range()->set_key(guarded);
    if (!compare_and_set) {
        // Other keys than the guarded one, so that no key is written twice.
        for (const char* other : {"ka", "kb", "kc"}) {
            if (prng_.chance(1, 2)) {
                etcdserverpb::PutRequest* more = request.add_success()->mutable_request_put();
                more->set_key(other);
                more->set_value(value(op.tag));
            } else if (prng_.chance(1, 2)) {
                request.add_success()->mutable_request_delete_range()->set_key(other);
            }
        }
        etcdserverpb::RangeRequest* range = request.add_success()->mutable_request_range();
        range->set_key("k");
        range->set_range_end("l");
    }
    set_request(op, request.SerializeAsString());
}

HistoryOp Workload::make_compact() {
    HistoryOp op{.tag = next_op(), .kind = OpKind::kWrite, .command = command::COMPACT};
    etcdserverpb::CompactionRequest request;
    const auto back = static_cast<std::int64_t>(prng_.below(12));
    request.set_revision(std::max<std::int64_t>(1, newest_revision_ + 2 - back));
    request.set_physical(prng_.chance(1, 2));
    set_request(op, request.SerializeAsString());
    return op;
}

HistoryOp Workload::draw_op() {
    const LoadOptions& load = world_.options.load;
    HistoryOp op{.tag = next_op(), .kind = OpKind::kWrite};
    std::uint64_t draw = prng_.below(load.put + load.remove + load.compare_and_set + load.txn +
                                     load.linear_read + load.serial_read + load.compact);
    const auto picked = [&](std::uint32_t weight) {
        if (draw < weight) {
            return true;
        }
        draw -= weight;
        return false;
    };
    if (picked(load.put)) {
        op.command = command::PUT;
        etcdserverpb::PutRequest request;
        request.set_key(key());
        request.set_value(value(op.tag));
        request.set_prev_kv(prng_.chance(1, 4));
        set_request(op, request.SerializeAsString());
    } else if (picked(load.remove)) {
        op.command = command::DELETE_RANGE;
        etcdserverpb::DeleteRangeRequest request;
        request.set_key(key());
        request.set_range_end(prng_.chance(1, 5) ? "k3" : "");
        request.set_prev_kv(prng_.chance(1, 2));
        set_request(op, request.SerializeAsString());
    } else if (picked(load.compare_and_set)) {
        make_txn(op, true);
    } else if (picked(load.txn)) {
        make_txn(op, false);
    } else if (picked(load.linear_read)) {
        return make_read(OpKind::kLinearRead);
    } else if (picked(load.serial_read)) {
        return make_read(OpKind::kSerialRead);
    } else {
        return make_compact();
    }
    return op;
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
    HistoryOp op = draw_op();
    if (left_out()) {
        return think_later(client, 1);
    }
    invoke(client, it.node, std::move(op));
    if (world_.options.load.deadline_ticks > 0) {
        world_.queue.after(
            world_.options.load.deadline_ticks * world_.options.tick_us,
            ClientEvent{
                .client = client, .kind = ClientEventKind::kDeadline, .op = clients_[client].op});
    }
}

void Workload::invoke(std::uint32_t client, NodeIndex node, HistoryOp op) {
    const std::uint64_t number = next_op();
    op.invoked = world_.queue.now();
    Flight flight{.client = client, .node = node, .life = (*nodes_)[node]->life()};
    if (op.kind != OpKind::kWrite) {
        CAIRN_ASSERT(flight.read.ParseFromString(op.request));
    }
    history_.push_back(std::move(op));
    flights_.push_back(std::move(flight));
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
    const HistoryOp& what = entry(op);
    const bool taken = what.kind == OpKind::kWrite
                           ? node.submit(op, what.command, what.request)
                           : node.submit_read(op, what.kind == OpKind::kLinearRead);
    if (!taken && !flight(op).ended) {
        flight(op).answer.outcome = OpOutcome::kNotApplied;
        flight(op).refused = true;
        answer_later(op);
    }
}

void Workload::on_outcome(std::uint64_t op, const server::ProposalOutcome& outcome) {
    Flight& it = flight(op);
    it.answered = true;
    if (const auto* applied = std::get_if<server::Applied>(&outcome)) {
        if (!it.applied) {
            return world_.verdict.fail("R3", fmt::format("op {} is answered and not applied", op));
        }
        world_.safety.on_acknowledged(it.applied);
        it.answer.outcome = OpOutcome::kDone;
        it.answer.error = applied->error;
        it.answer.revision = applied->revision;
        it.answer.body = std::string(applied->body.view());
    } else if (const auto* refused = std::get_if<server::NotApplied>(&outcome)) {
        if (it.applied) {
            return world_.verdict.fail(
                "R3", fmt::format("op {} is applied at {} and answered as NotApplied: {}", op,
                                  it.applied.value, errc_name(refused->reason)));
        }
        it.refused = true;
        it.answer.outcome = OpOutcome::kNotApplied;
        it.answer.error = refused->reason;
        failed_ += refused->reason == Errc::kTooManyRequests || op == admin_op_ ? 0 : 1;
    } else {
        ++failed_;
        if (world_.options.sabotage == Sabotage::kRetryUnknown) {
            SimNode& node = *(*nodes_)[it.node];
            it.answer.outcome = OpOutcome::kOpen;
            (void)node;
            world_.queue.after(
                1, ClientEvent{.client = it.client, .kind = ClientEventKind::kArrive, .op = op});
            return;
        }
    }
    answer_later(op);
}

void Workload::on_read(std::uint64_t op, ReadAnswer answer) {
    Flight& it = flight(op);
    it.answered = true;
    const bool unread =
        answer.error && *answer.error != Errc::kCompacted && *answer.error != Errc::kFutureRev;
    it.answer.outcome = unread ? OpOutcome::kNotApplied : OpOutcome::kDone;
    it.answer.error = answer.error;
    it.answer.revision = answer.revision;
    it.answer.body = std::move(answer.body);
    if (unread && *answer.error != Errc::kTooManyRequests) {
        ++failed_;
    }
    answer_later(op);
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
    // Several puts at once may be more than a small limit takes: then this one comes again.
    const bool again = it.final && what.error == Errc::kTooManyRequests;
    const NodeIndex node = it.node;
    if (it.final && what.outcome != OpOutcome::kDone && !again) {
        world_.verdict.fail(
            "V2", fmt::format("after everything is healed op {} ends with {}", op,
                              what.error ? errc_name(*what.error) : "an unknown outcome"));
    }
    if (what.kind == OpKind::kSerialRead && it.client < clients_.size()) {
        check_serial(clients_[it.client], op);
    }
    end(op);
    if (again) {
        final_put(node);
    }
}

// R2: on one member and in one life of it a client never sees the past of what it saw.
void Workload::check_serial(Client& client, std::uint64_t op) {
    const Flight& it = flight(op);
    if (client.seen_node == it.node && client.seen_life == it.life &&
        client.seen_revision > entry(op).revision) {
        world_.verdict.fail("R2",
                            fmt::format("serializable read {} went back from revision {} to {}", op,
                                        client.seen_revision, entry(op).revision));
    }
    client.seen_node = it.node;
    client.seen_life = it.life;
    client.seen_revision = entry(op).revision;
}

void Workload::end(std::uint64_t op) {
    Flight& it = flight(op);
    it.ended = true;
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

bool Workload::administer(NodeIndex through, const MemberChange& change, std::string request) {
    if (left_out()) {
        return false;
    }
    HistoryOp op{.tag = next_op(), .kind = OpKind::kWrite, .command = change.command};
    set_request(op, std::move(request));
    admin_op_ = op.tag;
    changes_.push_back(OpenChange{.op = op.tag, .change = change});
    invoke(static_cast<std::uint32_t>(clients_.size()), through, std::move(op));
    return true;
}

// One whose call is over may still be in a log or on its way to a leader of the term that its node
// was in. It never takes effect once an entry of a later term did.
std::vector<MemberChange> Workload::open_changes() const {
    const auto& log = world_.safety.applied_log();
    const Term applied = log.empty() ? Term{} : log.back().id.term;
    std::vector<MemberChange> open;
    for (const OpenChange& it : changes_) {
        const Flight& call = flights_[it.op - 1];
        if (!call.applied && !call.refused && (!it.last_term || *it.last_term >= applied)) {
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

const etcdserverpb::RangeRequest& Workload::read_request(std::uint64_t op) {
    return flight(op).read;
}

// A new voter comes in without a vote, and the leader gives it one when it has the log.
void Workload::note_member(const storage::Command& change) {
    command::MemberInfo info;
    const ByteView request = change.request.view();
    CAIRN_ASSERT(info.ParseFromArray(request.data(), static_cast<int>(request.size())));
    const NodeIndex node = SafetyChecker::index_of(NodeId{info.id()});
    world_.counters.saw(FaultClass::kMembership);
    if (change.kind == command::MEMBER_ADD && !info.is_learner()) {
        votes_due_.insert(node);
    } else if (change.kind == command::MEMBER_REMOVE) {
        votes_due_.erase(node);
    } else if (!change.id.member && votes_due_.erase(node) == 0) {
        world_.verdict.fail("M1", fmt::format("node {} gets a vote that nobody asked for", node));
    }
}

void Workload::on_first_apply(const raft::Entry& applied) {
    Bytes payload = applied.payload;
    if (applied.kind == raft::EntryKind::kConfig) {
        auto change = raft::decode_conf_change(payload);
        if (!change || change.value().kind == raft::ConfChangeKind::kBootstrapVoter ||
            change.value().kind == raft::ConfChangeKind::kLeaveJoint) {
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
        note_member(decoded.value());
        if (!decoded.value().id.member) {
            return;  // the leader's own
        }
    }
    const std::uint64_t op = read_tag(decoded.value().request.view());
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

void Workload::final_put(NodeIndex node) {
    HistoryOp put{.tag = next_op(), .kind = OpKind::kWrite, .command = command::PUT};
    etcdserverpb::PutRequest request;
    request.set_key("final");
    request.set_value(value(put.tag));
    set_request(put, request.SerializeAsString());
    invoke(static_cast<std::uint32_t>(clients_.size()), node, std::move(put));
    flights_.back().final = true;
}

void Workload::final_read(NodeIndex node) {
    HistoryOp read{.tag = next_op(), .kind = OpKind::kLinearRead};
    etcdserverpb::RangeRequest all;
    all.set_key(std::string(1, '\0'));
    all.set_range_end(std::string(1, '\0'));
    read.request = all.SerializeAsString();
    invoke(static_cast<std::uint32_t>(clients_.size()), node, std::move(read));
    flights_.back().final = true;
}

}  // namespace cairn::sim
