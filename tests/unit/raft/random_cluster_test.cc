// Random clusters of cores over a network that drops, repeats and reorders, and disks that forget
// what was not durable; all safety invariants after every step, then convergence.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>

#include "base/prng.h"
#include "unit/raft/fixture.h"

namespace cairn::raft::testing {
namespace {

// What the whole cluster must agree on, over all time.
class Oracle {
  public:
    void leads(Term term, NodeId node) {
        const auto [place, fresh] = leaders_.emplace(term, node);
        INFO("E1: two leaders in term " << term.value);
        REQUIRE(place->second == node);
    }
    // Log matching: one name, one entry and one predecessor.
    void holds(const Entry& entry, EntryId before) {
        const auto [place, fresh] = entries_.emplace(entry.id, std::pair(entry.payload, before));
        INFO("G1: two entries are called " << describe(entry.id));
        REQUIRE(place->second == std::pair(entry.payload, before));
        if (fresh && entry.kind == EntryKind::kCommand) {
            const std::string name(entry.payload.view());
            INFO("R3: proposal " << name << " is in the log of another term than its own");
            REQUIRE(bound_.at(name) == entry.id.term);
            INFO("R3: proposal " << name << " has entered a log twice");
            REQUIRE(entered_.insert(name).second);
            INFO("R3: proposal " << name << " was refused and has entered a log");
            REQUIRE(refused_.count(name) == 0);
        }
    }
    void committed(EntryId id) {
        const auto [place, fresh] = committed_.emplace(id.index, id.term);
        INFO("C3: two entries are committed at " << id.index.value);
        REQUIRE(place->second == id.term);
        top_ = std::max(top_, id.index);
    }
    void proposed(const std::string& name, Term term) { bound_[name] = term; }
    void refused(const std::string& name) {
        refused_.insert(name);
        INFO("R3: proposal " << name << " has entered a log and was refused");
        REQUIRE(entered_.count(name) == 0);
    }
    [[nodiscard]] Index top() const { return top_; }
    [[nodiscard]] const std::map<Index, Term>& all_committed() const { return committed_; }
    [[nodiscard]] std::size_t leader_count() const { return leaders_.size(); }

  private:
    std::map<Term, NodeId> leaders_;
    std::map<EntryId, std::pair<Bytes, EntryId>> entries_;
    std::map<Index, Term> committed_;
    std::map<std::string, Term> bound_;
    std::set<std::string> entered_;
    std::set<std::string> refused_;
    Index top_;
};

// How often each thing happens; drawn anew for each seed, so that some runs have slow disks, some
// many crashes, some none.
struct Weights {
    std::uint64_t deliver = 550;
    std::uint64_t tick = 150;
    std::uint64_t persist = 120;
    std::uint64_t apply = 40;
    std::uint64_t input = 120;
    std::uint64_t crash = 10;
    std::uint64_t cut = 5;

    [[nodiscard]] std::uint64_t total() const {
        return deliver + tick + persist + apply + input + crash + cut;
    }
};

struct World {
    World(std::uint64_t seed_value, std::uint64_t size) : seed(seed_value), prng(seed_value) {
        std::vector<BootstrapMember> members;
        for (const NodeId id : node_ids(size)) {
            members.push_back({id, Bytes::copy_of("m")});
        }
        weights.tick = prng.between(80, 400);
        weights.persist = prng.between(20, 250);
        weights.crash = prng.chance(1, 3) ? 0 : prng.between(1, 20);
        weights.cut = prng.chance(1, 4) ? 0 : prng.between(1, 4);
        const auto election_ticks = static_cast<std::uint32_t>(prng.between(3, 8));
        TestDisk disk;
        disk.in_flight.push_back(bootstrap_batch(members));
        disk.complete_one();
        for (const NodeId id : node_ids(size)) {
            Config config = test_config(id.value);
            config.seed = seed * 31 + id.value;
            config.election_ticks = election_ticks;
            config.append_bytes_max = 40 + prng.below(200);
            config.inflight_count_max = static_cast<std::uint32_t>(1 + prng.below(5));
            config.uncommitted_bytes_max = 2000;
            config.apply_bytes_max = 100;
            config.apply_gap_max = 50;
            config.pre_vote = prng.chance(4, 5);
            config.check_quorum = prng.chance(3, 5);
            nodes.emplace_back(config, disk.image);
            boots.push_back(1);
            engine.emplace_back();
        }
    }

    TestNode& node(NodeId id) { return nodes[static_cast<std::size_t>(id.value - 1)]; }
    TestNode& any() { return nodes[prng.below(nodes.size())]; }
    [[nodiscard]] std::size_t place(const TestNode& node) const {
        return static_cast<std::size_t>(node.config().id.value - 1);
    }

    void check_sent(const TestNode& from, const Message& message) const {
        const HardState& durable = from.disk.image.hard_state;
        INFO("E2: " << describe(message) << " with " << describe(durable) << " on disk");
        const bool promise =
            message.kind() != MessageKind::kPreVote && message.kind() != MessageKind::kPreVoteReply;
        REQUIRE((!promise || message.term <= durable.term));
        const auto* vote = std::get_if<VoteReply>(&message.body);
        const bool granting = vote != nullptr && vote->granted;
        if ((granting || message.kind() == MessageKind::kVote) && durable.term == message.term) {
            REQUIRE(durable.vote == (granting ? message.to : message.from));
        }
        const auto* reply = std::get_if<AppendReply>(&message.body);
        if (reply != nullptr && reply->success) {
            REQUIRE(from.disk.last() >= reply->match);
        }
    }

    // Everything a Ready asks for is started; what is durable or applied is decided later.
    void drain(TestNode& node) {
        observe(node);
        Ready ready = node.take();
        for (Message& sent : ready.messages) {
            check_sent(node, sent);
            network.push_back(std::move(sent));
        }
        for (const Entry& entry : ready.committed) {
            oracle.committed(entry.id);
            REQUIRE(node.disk.term_at(entry.id.index) == entry.id.term);
        }
        for (const RefusedProposal& refusal : ready.refused) {
            oracle.refused(name_of(refusal.id));
        }
        for (const ReadGrant& grant : ready.reads) {
            const auto asked = reads.find({node.config().id, grant.request});
            INFO("R1: read " << grant.request << " granted at " << grant.index.value);
            REQUIRE(asked != reads.end());
            REQUIRE(grant.index >= asked->second);
        }
        grants += ready.reads.size();
        if (!ready.committed.empty()) {
            handed[node.config().id] = ready.committed.back().id.index;
        }
    }

    // The invariants that need the whole cluster.
    void observe(TestNode& node) {
        const Raft& raft = *node.raft;
        for (Index i = raft.status().first; i <= raft.last_index(); ++i) {
            oracle.holds(raft.entry(i), *raft.entry_id(i - 1));
        }
        const Index commit = raft.commit();
        if (const auto id = raft.entry_id(commit); id && commit > Index{0}) {
            oracle.committed(*id);
        }
        if (raft.role() == Role::kLeader) {
            observe_leader(node);
        }
    }

    void observe_leader(TestNode& node) {
        const Raft& raft = *node.raft;
        oracle.leads(raft.term(), raft.id());
        // C2: whoever leads a later term than an entry was committed in has it. A leader of an
        // older term that does not know yet is not meant.
        const bool newest = std::all_of(nodes.begin(), nodes.end(), [&](const TestNode& other) {
            return other.raft->term() <= raft.term();
        });
        for (const auto& [index, term] : oracle.all_committed()) {
            if (newest && index >= raft.floor().last.index) {
                INFO("C2: the leader lacks " << term.value << "/" << index.value);
                REQUIRE(raft.entry_id(index) == EntryId{term, index});
            }
        }
        std::size_t having = 0;
        const Index commit = raft.commit();
        for (const TestNode& other : nodes) {
            having += other.disk.term_at(commit) == raft.entry_id(commit)->term ||
                              other.disk.image.floor.last.index > commit
                          ? 1U
                          : 0U;
        }
        INFO("C1: committed without a quorum of disks");
        REQUIRE(having >= nodes.size() / 2 + 1);
        for (const auto& [id, peer] : raft.status().peers) {
            const TestDisk& disk = this->node(id).disk;
            INFO("G3: node " << id.value << " is not known to have " << peer.match.value);
            REQUIRE(disk.last() >= peer.match);
            REQUIRE((peer.match <= disk.image.floor.last.index ||
                     disk.term_at(peer.match) == raft.entry_id(peer.match)->term));
        }
    }

    std::string name_of(const ProposalId& id) const { return describe(id); }

    void propose(TestNode& node) {
        const ProposalId id{node.config().id, boots[place(node)], ++sequence};
        oracle.proposed(name_of(id), node.raft->term());
        node.step(Propose{id, Bytes::copy_of(name_of(id))});
    }

    void crash(TestNode& node) {
        // Some of what was on its way may have reached the disk without anybody being told.
        while (!node.disk.in_flight.empty() && prng.chance(1, 2)) {
            node.disk.complete_one();
        }
        ++boots[place(node)];
        handed.erase(node.config().id);
        Index& applied = engine[place(node)];
        applied = std::max(node.disk.image.floor.last.index, Index{prng.between(0, applied.value)});
        node.start(applied);
    }

    void apply(TestNode& node) {
        const auto found = handed.find(node.config().id);
        if (found != handed.end()) {
            engine[place(node)] = found->second;
            node.step(Applied{found->second});
        }
    }

    void deliver(bool faults) {
        if (network.empty()) {
            return;
        }
        const std::size_t at = faults ? prng.below(network.size()) : 0;
        const Message message = network[at];
        if (!faults || !prng.chance(1, 10)) {
            network.erase(network.begin() + static_cast<std::ptrdiff_t>(at));
        }
        const bool cut = cuts.count({message.from, message.to}) != 0;
        if ((faults && cut) || (faults && prng.chance(1, 12))) {
            return;
        }
        TestNode& to = node(message.to);
        to.receive(message);
        drain(to);
    }

    // Which links are cut now: none, one direction of one, or all between two sides.
    void change_cuts() {
        cuts.clear();
        const std::uint64_t kind = prng.below(4);
        if (kind == 0) {
            cuts.insert({any().config().id, any().config().id});
        } else if (kind != 1) {
            split_network(prng.next());
        }
    }

    void split_network(std::uint64_t sides) {
        const auto side = [&](const TestNode& node) { return (sides >> place(node)) & 1U; };
        for (const TestNode& from : nodes) {
            for (const TestNode& to : nodes) {
                if (side(from) != side(to)) {
                    cuts.insert({from.config().id, to.config().id});
                }
            }
        }
    }

    void input_step(TestNode& node) {
        switch (prng.below(12)) {
            case 0:
            case 1:
            case 2:
            case 3: propose(node); break;
            case 4:
            case 5:
            case 6:
                reads[{node.config().id, ++sequence}] = oracle.top();
                node.step(ReadIndex{sequence});
                break;
            case 7:
                node.step(TransferLeader{prng.chance(1, 2) ? NodeId{} : any().config().id});
                break;
            case 8: node.step(PeerUnreachable{any().config().id}); break;
            case 9: node.step(Campaign{}); break;
            default: node.step(Compact{engine[place(node)]}); break;
        }
    }

    void fault_step() {
        TestNode& node = any();
        std::uint64_t draw = prng.below(weights.total());
        const auto in = [&draw](std::uint64_t weight) {
            const bool hit = draw < weight;
            draw -= hit ? 0 : weight;
            return hit;
        };
        if (in(weights.deliver)) {
            deliver(true);
        } else if (in(weights.tick)) {
            node.step(Tick{});
        } else if (in(weights.persist)) {
            if (!node.disk.in_flight.empty()) {
                node.step(Persisted{node.disk.complete_one()});
            }
        } else if (in(weights.apply)) {
            apply(node);
        } else if (in(weights.input)) {
            input_step(node);
        } else if (in(weights.crash)) {
            crash(node);
        } else {
            change_cuts();
        }
        drain(node);
        if (network.size() > 300) {
            network.erase(network.begin(), network.begin() + 100);
        }
    }

    // No faults: everything on its way arrives, every write ends.
    void calm_round() {
        for (TestNode& node : nodes) {
            node.step(Tick{});
            drain(node);
        }
        for (std::size_t i = 0; i < 3000; ++i) {
            for (TestNode& node : nodes) {
                if (!node.disk.in_flight.empty()) {
                    node.step(Persisted{node.disk.complete_one()});
                }
                apply(node);
                drain(node);
            }
            if (network.empty()) {
                return;
            }
            deliver(false);
        }
    }

    [[nodiscard]] bool converged() const {
        std::set<std::uint64_t> tops;
        std::size_t leaders = 0;
        for (const TestNode& node : nodes) {
            const Status status = node.raft->status();
            tops.insert(status.commit.value);
            leaders += status.role == Role::kLeader ? 1U : 0U;
            if (status.applied != status.commit || status.commit != status.last) {
                return false;
            }
        }
        return leaders == 1 && tops.size() == 1;
    }

    std::uint64_t seed;
    Prng prng;
    std::deque<TestNode> nodes;
    std::vector<std::uint64_t> boots;
    std::vector<Index> engine;  // what each state machine has applied, and would keep
    std::map<NodeId, Index> handed;
    std::vector<Message> network;
    std::map<std::pair<NodeId, std::uint64_t>, Index> reads;  // the top commit when asked
    std::uint64_t sequence = 0;
    std::size_t grants = 0;
    Weights weights;
    std::set<std::pair<NodeId, NodeId>> cuts;  // from, to
    Oracle oracle;
};

struct Totals {
    std::size_t committed = 0;
    std::size_t terms = 0;
    std::size_t grants = 0;
};

void run(std::uint64_t seed, Totals& totals) {
    INFO("CAIRN_SEED=" << seed);
    constexpr std::uint64_t kSizes[] = {1, 2, 3, 3, 3, 4, 5, 5};
    World world(seed, kSizes[seed % 8]);
    for (std::size_t i = 0; i < 4000; ++i) {
        world.fault_step();
    }
    world.network.clear();
    std::size_t rounds = 0;
    while (!world.converged() && rounds < 200) {
        world.calm_round();
        ++rounds;
    }
    INFO("V1, V3: no convergence after the faults have ended");
    REQUIRE(world.converged());
    const Index before = world.oracle.top();
    world.propose(world.nodes.front());
    for (std::size_t i = 0; i < 5; ++i) {
        world.calm_round();
    }
    INFO("V2: a proposal in a calm cluster is not committed");
    REQUIRE(world.oracle.top() == before + 1);
    totals.committed += world.oracle.all_committed().size();
    totals.terms += world.oracle.leader_count();
    totals.grants += world.grants;
}

}  // namespace

TEST_CASE("random clusters keep every safety invariant and converge", "[raft][random]") {
    Totals totals;
    if (const char* given = std::getenv("CAIRN_SEED")) {
        run(std::strtoull(given, nullptr, 10), totals);
        return;
    }
    const char* count = std::getenv("CAIRN_SEEDS");
    const std::uint64_t seeds = count == nullptr ? 60 : std::strtoull(count, nullptr, 10);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        run(seed, totals);
    }
    // A run in which nothing happens proves nothing.
    REQUIRE(totals.committed > seeds * 10);
    REQUIRE(totals.terms > seeds * 2);
    REQUIRE(totals.grants > seeds);
}

}  // namespace cairn::raft::testing
