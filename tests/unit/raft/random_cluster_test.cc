// Random clusters of cores over a network that drops, repeats and reorders, and disks that forget
// what was not durable, with members that come and go and logs too short for who lags; all safety
// invariants after every step, then convergence.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>

#include "base/prng.h"
#include "unit/raft/fixture.h"
#include "unit/raft/random_oracle.h"

namespace cairn::raft::testing {
namespace {

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
    std::uint64_t snapshot = 30;

    [[nodiscard]] std::uint64_t total() const {
        return deliver + tick + persist + apply + input + crash + cut + snapshot;
    }
};

struct World {
    // Beside the `size` members of the beginning there are two nodes that may be added later.
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
        changes = prng.chance(2, 3) ? prng.between(1, 40) : 0;
        const std::uint64_t log_bytes_max = prng.chance(1, 4) ? 1'000'000 : prng.between(40, 200);
        Prng entries = prng.split("entries");
        const std::uint64_t log_entries_max =
            entries.chance(3, 4) ? 1'000'000 : entries.between(1, 8);
        for (const NodeId id : node_ids(size + kSpares)) {
            Config config = test_config(id.value);
            config.seed = seed * 31 + id.value;
            config.election_ticks = election_ticks;
            config.append_bytes_max = 40 + prng.below(200);
            config.inflight_count_max = static_cast<std::uint32_t>(1 + prng.below(5));
            config.uncommitted_bytes_max = 2000;
            config.apply_bytes_max = 100;
            config.apply_gap_max = 50;
            config.log_bytes_max = log_bytes_max;
            config.catch_up_bytes_max = 2 * log_bytes_max;
            config.log_entries_max = log_entries_max;
            config.catch_up_entries_max = 2 * log_entries_max;
            config.pre_vote = prng.chance(4, 5);
            config.check_quorum = prng.chance(3, 5);
            nodes.emplace_back(config, id.value <= size ? disk.image : Recovered{});
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
            REQUIRE(durable_last(from) >= reply->match);
        }
    }

    // Over a crash, counting a snapshot that is installed and that the log does not know of yet.
    [[nodiscard]] Index durable_last(const TestNode& node) const {
        const auto installed = markers.find(node.config().id);
        return installed == markers.end()
                   ? node.disk.last()
                   : std::max(node.disk.last(), installed->second.last.index);
    }

    // Everything a Ready asks for is started; what is durable or applied is decided later.
    void drain(TestNode& node) {
        observe(node);
        Ready ready = node.take();
        for (Message& sent : ready.messages) {
            check_sent(node, sent);
            network.push_back(std::move(sent));
        }
        for (const SnapshotWanted& wanted : ready.snapshots_wanted) {
            start_snapshot(node, wanted.to);
        }
        if (ready.install) {
            installs[node.config().id] = *ready.install;
        }
        for (const Entry& entry : ready.committed) {
            oracle.handed_out(entry);
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
        // In effect when it was committed was the joint configuration or the one before it, or, at
        // a leader that had already left it, the one behind it.
        const Index commit = raft.commit();
        const ConfState conf = raft.status().conf;
        INFO("C1: " << commit.value << " is committed without a quorum of disks" << picture());
        REQUIRE((has_quorum(conf.voters, *raft.entry_id(commit)) ||
                 has_quorum(conf.voters_outgoing, *raft.entry_id(commit))));
        if (!newest) {
            return;  // a later leader may have had what is not committed replaced
        }
        for (const auto& [id, peer] : raft.status().peers) {
            INFO("G3: node " << id.value << " is not known to have " << peer.match.value);
            REQUIRE(durable_last(this->node(id)) >= peer.match);
            REQUIRE((peer.match < raft.floor().last.index ||
                     has_durably(this->node(id), *raft.entry_id(peer.match))));
        }
    }

    [[nodiscard]] bool has_quorum(const std::vector<NodeId>& voters, EntryId id) {
        const auto having = std::count_if(voters.begin(), voters.end(), [&](NodeId voter) {
            return has_durably(node(voter), id);
        });
        return static_cast<std::size_t>(having) >= voters.size() / 2 + 1;
    }

    [[nodiscard]] bool has_durably(const TestNode& node, EntryId id) const {
        const auto installed = markers.find(node.config().id);
        return node.disk.term_at(id.index) == id.term ||
               node.disk.image.floor.last.index > id.index ||
               (installed != markers.end() && installed->second.last.index >= id.index);
    }

    void start_snapshot(const TestNode& from, NodeId to) {
        const Index applied = engine[place(from)];
        const SnapshotMeta meta{{oracle.term_at(applied), applied}, oracle.conf_at(applied)};
        snapshots.push_back(message(from.config().id.value, to.value, from.raft->term().value,
                                    InstallSnapshot{meta}));
    }

    // One arrives, twice perhaps, or is lost; its sender may have another role by now, or not know.
    void end_snapshot(bool faults) {
        const std::size_t at = prng.below(snapshots.size());
        const Message install = std::move(snapshots[at]);
        snapshots.erase(snapshots.begin() + static_cast<std::ptrdiff_t>(at));
        const bool lost = faults && prng.chance(1, 4);
        if (!lost) {
            network.push_back(install);
        }
        TestNode& from = node(install.from);
        const Index last = std::get<InstallSnapshot>(install.body).snapshot.last.index;
        from.step(SnapshotSent{install.to, lost ? std::nullopt : std::optional(last)});
        drain(from);
    }

    // The state machine is replaced: durable from here on, whatever the log says.
    void finish_install(TestNode& node) {
        const auto found = installs.find(node.config().id);
        if (found == installs.end()) {
            return;
        }
        const SnapshotMeta meta = found->second;
        installs.erase(found);
        markers[node.config().id] = meta;
        engine[place(node)] = meta.last.index;
        handed.erase(node.config().id);
        ++install_count;
        node.step(SnapshotInstalled{meta});
    }

    // What recovery does about a snapshot that was being installed when the node died.
    void recover_install(TestNode& node) {
        const NodeId id = node.config().id;
        if (installs.count(id) != 0 && prng.chance(1, 2)) {
            markers[id] = installs[id];
        }
        installs.erase(id);
        const auto marker = markers.find(id);
        if (marker == markers.end()) {
            return;
        }
        if (node.disk.image.floor.last.index < marker->second.last.index) {
            node.disk.restart(marker->second);
        }
        engine[place(node)] = std::max(engine[place(node)], marker->second.last.index);
        markers.erase(marker);
    }

    void change_conf(TestNode& node) {
        const NodeId whom = any().config().id;
        const ConfState conf = newest_conf();
        ConfChangeKind kind = ConfChangeKind::kAddVoter;
        if (contains(conf.voters, whom)) {
            kind = prng.chance(1, 4) ? ConfChangeKind::kUpdate : ConfChangeKind::kRemove;
        } else if (contains(conf.learners, whom) ? prng.chance(1, 3) : prng.chance(1, 2)) {
            kind = contains(conf.learners, whom) ? ConfChangeKind::kRemove
                                                 : ConfChangeKind::kAddLearner;
        }
        const ConfChange change{kind, whom, Bytes::copy_of("m")};
        const ProposalId id{node.config().id, boots[place(node)], ++sequence};
        node.step(Propose{id, encode_conf_change(change), EntryKind::kConfig});
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
        recover_install(node);
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
        // The transport tells who was removed, and hears it no more.
        const bool cut =
            faults ? cuts.count({message.from, message.to}) != 0 : is_removed(message.from);
        if (cut || (faults && prng.chance(1, 12))) {
            return;
        }
        TestNode& to = node(message.to);
        to.receive(message);
        drain(to);
    }

    // Here ids are used again: one on its way back in counts as in.
    [[nodiscard]] bool is_removed(NodeId id) const {
        return oracle.was_removed(id) && !is_member(newest_conf(), id);
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
        if (prng.chance(changes, 100)) {
            change_conf(node);
            return;
        }
        switch (prng.below(14)) {
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
        } else if (in(weights.snapshot)) {
            finish_install(node);
            drain(node);
            if (!snapshots.empty()) {
                end_snapshot(true);
            }
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
                finish_install(node);
                drain(node);
            }
            if (!snapshots.empty()) {
                end_snapshot(false);
            }
            if (network.empty()) {
                return;
            }
            deliver(false);
        }
    }

    // The newest configuration that anybody has.
    [[nodiscard]] ConfState newest_conf() const {
        const auto newest =
            std::max_element(nodes.begin(), nodes.end(), [](const TestNode& a, const TestNode& b) {
                return *a.raft->entry_id(a.raft->last_index()) <
                       *b.raft->entry_id(b.raft->last_index());
            });
        return newest->raft->status().conf;
    }

    [[nodiscard]] bool converged() const {
        std::set<std::pair<Term, Index>> tops;
        std::size_t leaders = 0;
        const ConfState conf = newest_conf();
        for (const TestNode& node : nodes) {
            if (!is_member(conf, node.config().id)) {
                continue;
            }
            const Status status = node.raft->status();
            tops.insert({status.term, status.commit});
            leaders += status.role == Role::kLeader ? 1U : 0U;
            if (status.applied != status.commit || status.commit != status.last ||
                !status.conf.voters_outgoing.empty()) {
                return false;
            }
        }
        return leaders == 1 && tops.size() == 1;
    }

    [[nodiscard]] std::string picture() const {
        std::string text;
        for (const TestNode& node : nodes) {
            const Status status = node.raft->status();
            text += "\n" + describe(status) + "\n  " + describe(status.conf);
        }
        return text;
    }

    TestNode& leader() {
        const ConfState conf = newest_conf();
        return *std::find_if(nodes.begin(), nodes.end(), [&](const TestNode& node) {
            return node.raft->role() == Role::kLeader && is_member(conf, node.config().id);
        });
    }

    static constexpr std::uint64_t kSpares = 2;

    std::uint64_t seed;
    Prng prng;
    std::deque<TestNode> nodes;
    std::vector<std::uint64_t> boots;
    std::vector<Index> engine;  // what each state machine has applied, and would keep
    std::map<NodeId, Index> handed;
    std::vector<Message> network;
    std::vector<Message> snapshots;           // on their way: each an InstallSnapshot to be
    std::map<NodeId, SnapshotMeta> installs;  // asked for, not yet done
    std::map<NodeId, SnapshotMeta> markers;   // done; the log may not know yet
    std::uint64_t changes = 0;                // of a hundred inputs
    std::size_t install_count = 0;
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
    std::size_t confs = 0;
    std::size_t installs = 0;
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
    INFO("V1, V3: no convergence after the faults have ended" << world.picture());
    REQUIRE(world.converged());
    const Index before = world.oracle.top();
    world.propose(world.leader());
    for (std::size_t i = 0; i < 5; ++i) {
        world.calm_round();
    }
    INFO("V2: a proposal in a calm cluster is not committed");
    REQUIRE(world.oracle.top() == before + 1);
    totals.committed += world.oracle.all_committed().size();
    totals.terms += world.oracle.leader_count();
    totals.grants += world.grants;
    totals.confs += world.oracle.conf_count();
    totals.installs += world.install_count;
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
    INFO(totals.confs << " configurations, " << totals.installs << " snapshots");
    REQUIRE(totals.committed > seeds * 10);
    REQUIRE(totals.terms > seeds * 2);
    REQUIRE(totals.grants > seeds);
    REQUIRE(totals.confs > seeds * 5);
    REQUIRE(totals.installs > seeds / 2);
}

}  // namespace cairn::raft::testing
