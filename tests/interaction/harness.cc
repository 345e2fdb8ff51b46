#include "interaction/harness.h"

#include <algorithm>
#include <cstdlib>

namespace cairn::raft::testing {
namespace {

std::string indented(std::uint64_t id, const std::string& text) {
    std::string shown;
    for (const std::string& line : split(text, '\n')) {
        shown += std::to_string(id) + ": " + line + "\n";
    }
    return shown;
}

EntryId parse_entry_id(const std::string& text) {
    const auto parts = split(text, '/');
    if (parts.size() != 2) {
        return {};
    }
    return {Term{std::strtoull(parts[0].c_str(), nullptr, 10)},
            Index{std::strtoull(parts[1].c_str(), nullptr, 10)}};
}

// "1/2:a,1/3:b"; without a text it is a no-op.
std::vector<Entry> parse_entries(const std::string& text) {
    std::vector<Entry> entries;
    for (const std::string& part : split(text, ',')) {
        const auto fields = split(part, ':');
        Entry entry{.id = parse_entry_id(fields[0]), .kind = EntryKind::kNoop, .payload = {}};
        if (fields.size() > 1) {
            entry.kind = EntryKind::kCommand;
            entry.payload = Bytes::copy_of(fields[1]);
        }
        entries.push_back(std::move(entry));
    }
    return entries;
}

ConfState parse_conf(const std::string& voters) {
    ConfState conf;
    for (const std::string& voter : split(voters, ',')) {
        conf.voters.push_back(NodeId{std::strtoull(voter.c_str(), nullptr, 10)});
    }
    return conf;
}

MessageBody parse_body(const Command& command) {
    const std::string kind = command.words.at(1);
    const bool granted = command.text_of("granted") == "yes";
    const Index commit{command.number_of("commit")};
    const std::uint64_t request = command.number_of("request");
    const EntryId last = parse_entry_id(command.text_of("last"));
    const ProposalId proposal{NodeId{command.number_of("member")}, 1,
                              command.number_of("sequence")};
    const Forwarded forwarded{proposal, Bytes::copy_of(command.text_of("payload"))};
    const AppendReply reply{.success = command.keys.count("match") != 0,
                            .match = Index{command.number_of("match")},
                            .rejected = Index{command.number_of("rejected")},
                            .hint = parse_entry_id(command.text_of("hint"))};
    const std::map<std::string, MessageBody> bodies{
        {"PreVote", PreVote{last}},
        {"PreVoteReply", PreVoteReply{granted}},
        {"Vote", Vote{last, command.text_of("transfer") == "yes"}},
        {"VoteReply", VoteReply{granted}},
        {"Append", Append{parse_entry_id(command.text_of("prev")), commit,
                          parse_entries(command.text_of("entries"))}},
        {"AppendReply", reply},
        {"Heartbeat",
         Heartbeat{commit, command.number_of("round"), Index{command.number_of("floor")}}},
        {"HeartbeatReply", HeartbeatReply{command.number_of("round")}},
        {"TimeoutNow", TimeoutNow{}},
        {"ForwardProposals", ForwardProposals{{forwarded}}},
        {"ForwardRefused", ForwardRefused{{{proposal, Errc::kTooManyRequests}}}},
        {"ReadIndexRequest", ReadIndexRequest{request}},
        {"ReadIndexReply", ReadIndexReply{request, granted, Index{command.number_of("index")}}},
        {"InstallSnapshot", InstallSnapshot{{last, parse_conf(command.text_of("voters"))}}},
    };
    const auto found = bodies.find(kind);
    INFO(command.text);
    REQUIRE(found != bodies.end());
    return found->second;
}

}  // namespace

Message parse_message(const Command& command) {
    INFO(command.text);
    REQUIRE(command.words.size() >= 2);
    const std::string route = command.words[0];
    const auto arrow = route.find("->");
    REQUIRE(arrow != std::string::npos);
    return {.from = NodeId{std::strtoull(route.substr(0, arrow).c_str(), nullptr, 10)},
            .to = NodeId{std::strtoull(route.substr(arrow + 2).c_str(), nullptr, 10)},
            .term = Term{command.number_of("term")},
            .body = parse_body(command)};
}

const std::map<std::string, Harness::Action>& Harness::actions() {
    static const std::map<std::string, Action> table{
        {"cluster", &Harness::cluster},   {"start", &Harness::start},
        {"become", &Harness::become},     {"tick", &Harness::tick},
        {"campaign", &Harness::campaign}, {"propose", &Harness::propose},
        {"read", &Harness::read},         {"transfer", &Harness::transfer},
        {"compact", &Harness::compact},   {"unreachable", &Harness::unreachable},
        {"inject", &Harness::inject},     {"persist", &Harness::persist},
        {"apply", &Harness::apply},       {"deliver", &Harness::deliver},
        {"drop", &Harness::drop},         {"repeat", &Harness::repeat},
        {"crash", &Harness::crash},       {"stabilize", &Harness::stabilize},
        {"status", &Harness::status},     {"log", &Harness::log},
        {"network", &Harness::network},   {"conf", &Harness::conf},
        {"sent", &Harness::sent},         {"installed", &Harness::installed},
    };
    return table;
}

std::string Harness::run(const Command& command) {
    const auto action = actions().find(command.name);
    INFO(command.text);
    REQUIRE(action != actions().end());
    const std::string shown = (this->*action->second)(command);
    return shown.empty() ? "ok\n" : shown;
}

TestNode& Harness::node(std::uint64_t id) {
    const auto found = nodes_.find(id);
    INFO("node " << id);
    REQUIRE(found != nodes_.end());
    return found->second;
}

std::string Harness::cluster(const Command& command) {
    nodes_.clear();
    handed_.clear();
    installs_.clear();
    network_.clear();
    sequence_ = 0;
    const std::uint64_t members = command.number(0);
    for (std::uint64_t id = 1; id <= members + command.number_of("spares"); ++id) {
        Config config = test_config(id);
        config.pre_vote = command.text_of("prevote") != "no";
        config.check_quorum = command.text_of("checkquorum") != "no";
        config.append_bytes_max = command.number_of("append_bytes", config.append_bytes_max);
        config.uncommitted_bytes_max =
            command.number_of("uncommitted_bytes", config.uncommitted_bytes_max);
        config.inflight_count_max =
            static_cast<std::uint32_t>(command.number_of("inflight", config.inflight_count_max));
        config.log_bytes_max = command.number_of("log_bytes", config.log_bytes_max);
        config.log_entries_max = command.number_of("log_entries", config.log_entries_max);
        config.catch_up_bytes_max = command.number_of("catch_up_bytes", config.catch_up_bytes_max);
        // A spare begins with what all logs begin with, which here is not in entries.
        nodes_.try_emplace(id, config, recovered(members));
    }
    return "";
}

std::string Harness::start(const Command& command) {
    const std::uint64_t id = command.number(0);
    std::vector<std::uint64_t> terms;
    for (const std::string& term : split(command.text_of("log"), ',')) {
        terms.push_back(std::strtoull(term.c_str(), nullptr, 10));
    }
    Recovered found = recovered(nodes_.size(), command.number_of("term"), log_of(terms));
    found.hard_state.vote = NodeId{command.number_of("vote")};
    found.hard_state.commit = Index{command.number_of("commit")};
    node(id).disk.image = found;
    node(id).start(Index{command.number_of("applied")});
    return drain(id);
}

// Brings a fresh node into a role of a term, quietly.
std::string Harness::become(const Command& command) {
    const std::uint64_t id = command.number(0);
    const std::string role = command.words.at(1);
    const std::uint64_t term = command.number_of("term", 5);
    TestNode& it = node(id);
    it.disk.image = recovered(
        nodes_.size(), role == "leader" || role == "candidate" ? term - 1 : term, log_of({1, 2}));
    it.disk.image.hard_state.commit = Index{1};
    it.start(Index{1});
    if (role == "follower") {
        it.receive(2, term, Heartbeat{});
    } else if (role == "leader") {
        it.elect();
    } else {
        it.step(Campaign{});
    }
    if (role == "candidate") {
        it.receive(2, term, PreVoteReply{.granted = true});
    }
    it.settle();
    return indented(id, describe(it.raft->status()));
}

std::string Harness::step(std::uint64_t id, Input input) {
    node(id).step(std::move(input));
    return drain(id);
}

std::string Harness::drain(std::uint64_t id) {
    Ready ready = node(id).take();
    for (const Message& message : ready.messages) {
        network_.push_back(message);
    }
    if (!ready.committed.empty()) {
        handed_[id] = ready.committed.back().id.index;
    }
    if (ready.install) {
        installs_[id] = *ready.install;
    }
    return indented(id, describe(ready));
}

std::string Harness::tick(const Command& command) {
    std::string shown;
    for (std::uint64_t i = 0; i < command.number(1); ++i) {
        shown += step(command.number(0), Tick{});
    }
    return shown;
}

std::string Harness::campaign(const Command& command) {
    return step(command.number(0), Campaign{});
}

std::string Harness::propose(const Command& command) {
    std::string shown;
    const std::uint64_t id = command.number(0);
    for (std::size_t i = 1; i < command.words.size(); ++i) {
        node(id).step(Propose{{NodeId{id}, 1, ++sequence_}, Bytes::copy_of(command.words[i])});
    }
    return drain(id);
}

std::string Harness::read(const Command& command) {
    return step(command.number(0), ReadIndex{command.number(1)});
}

std::string Harness::transfer(const Command& command) {
    return step(command.number(0), TransferLeader{NodeId{command.number(1)}});
}

std::string Harness::compact(const Command& command) {
    return step(command.number(0), Compact{Index{command.number(1)}});
}

std::string Harness::unreachable(const Command& command) {
    return step(command.number(0), PeerUnreachable{NodeId{command.number(1)}});
}

std::string Harness::conf(const Command& command) {
    static const std::map<std::string, ConfChangeKind> kinds{
        {"add", ConfChangeKind::kAddVoter},
        {"learn", ConfChangeKind::kAddLearner},
        {"remove", ConfChangeKind::kRemove},
        {"update", ConfChangeKind::kUpdate},
        {"bootstrap", ConfChangeKind::kBootstrapVoter}};
    const std::uint64_t id = command.number(0);
    const ConfChange change{kinds.at(command.words.at(1)), NodeId{command.number(2)}, {}};
    return step(
        id, Propose{{NodeId{id}, 1, ++sequence_}, encode_conf_change(change), EntryKind::kConfig});
}

std::string Harness::sent(const Command& command) {
    const bool arrived = command.keys.count("last") != 0;
    return step(
        command.number(0),
        SnapshotSent{NodeId{command.number(1)},
                     arrived ? std::optional(Index{command.number_of("last")}) : std::nullopt});
}

std::string Harness::installed(const Command& command) {
    const std::uint64_t id = command.number(0);
    const auto found = installs_.find(id);
    REQUIRE(found != installs_.end());
    const SnapshotMeta snapshot = found->second;
    installs_.erase(found);
    handed_.erase(id);
    return step(id, SnapshotInstalled{snapshot});
}

std::string Harness::inject(const Command& command) { return receive(parse_message(command)); }

void Harness::visit(const Message& message) {
    const Raft& raft = *node(message.to.value).raft;
    const auto* pre_vote = std::get_if<PreVoteReply>(&message.body);
    const bool asks =
        message.kind() == MessageKind::kPreVote || (pre_vote != nullptr && pre_vote->granted);
    if (message.term < raft.term()) {
        coverage_.gate.insert({Coverage::Gate::kLower, message.kind()});
    } else if (message.term > raft.term()) {
        coverage_.gate.insert({Coverage::Gate::kHigher, message.kind()});
    }
    // A pre-vote's term is not its sender's: such a message enters the table with the next one.
    if (message.term == raft.term() || (asks && message.term == raft.term() + 1)) {
        coverage_.cells.insert({raft.role(), message.kind()});
    }
}

std::string Harness::receive(const Message& message) {
    visit(message);
    return step(message.to.value, Receive{message});
}

std::string Harness::persist_one(std::uint64_t id) {
    return step(id, Persisted{node(id).disk.complete_one()});
}

std::string Harness::persist(const Command& command) {
    const std::uint64_t id = command.number(0);
    const std::uint64_t count = command.words.size() > 1 ? command.number(1) : 1000;
    std::string shown;
    for (std::uint64_t i = 0; i < count && !node(id).disk.in_flight.empty(); ++i) {
        shown += persist_one(id);
    }
    return shown;
}

std::string Harness::apply_handed(std::uint64_t id) {
    const auto found = handed_.find(id);
    if (found == handed_.end()) {
        return "";
    }
    const Index index = found->second;
    handed_.erase(found);
    return step(id, Applied{index});
}

std::string Harness::apply(const Command& command) { return apply_handed(command.number(0)); }

bool Harness::on_route(const Message& message, const Command& command) {
    if (command.words.empty()) {
        return true;
    }
    const std::string& route = command.words[0];
    const auto arrow = route.find("->");
    if (arrow == std::string::npos) {
        return route == std::to_string(message.to.value);
    }
    const std::string from = route.substr(0, arrow);
    const std::string to = route.substr(arrow + 2);
    return (from.empty() || from == std::to_string(message.from.value)) &&
           (to.empty() || to == std::to_string(message.to.value));
}

// Only what is on its way now; answers wait for the next command.
std::string Harness::deliver(const Command& command) {
    std::deque<Message> stays;
    std::vector<Message> goes;
    for (Message& message : network_) {
        if (on_route(message, command)) {
            goes.push_back(std::move(message));
        } else {
            stays.push_back(std::move(message));
        }
    }
    network_ = std::move(stays);
    if (command.text_of("order") == "reverse") {
        std::reverse(goes.begin(), goes.end());
    }
    std::string shown;
    for (const Message& message : goes) {
        shown += "-- " + describe(message) + "\n" + receive(message);
    }
    return shown;
}

std::string Harness::drop(const Command& command) {
    std::deque<Message> stays;
    std::string shown;
    for (Message& message : network_) {
        if (on_route(message, command)) {
            shown += "dropped " + describe(message) + "\n";
        } else {
            stays.push_back(std::move(message));
        }
    }
    network_ = std::move(stays);
    return shown;
}

std::string Harness::repeat(const Command& command) {
    const auto found =
        std::find_if(network_.rbegin(), network_.rend(),
                     [&](const Message& message) { return on_route(message, command); });
    REQUIRE(found != network_.rend());
    const Message copy = *found;
    network_.push_back(copy);
    return "repeated " + describe(copy) + "\n";
}

std::string Harness::crash(const Command& command) {
    const std::uint64_t id = command.number(0);
    handed_.erase(id);
    installs_.erase(id);
    node(id).start(
        std::max(Index{command.number_of("applied")}, node(id).disk.image.floor.last.index));
    return indented(id, describe(node(id).raft->status())) + drain(id);
}

bool Harness::stabilize_round(std::string& shown) {
    bool moved = false;
    for (auto& [id, it] : nodes_) {
        if (it.raft->has_ready()) {
            shown += drain(id);
            moved = true;
        }
        if (!it.disk.in_flight.empty()) {
            shown += persist_one(id);
            moved = true;
        }
        if (handed_.count(id) != 0) {
            shown += apply_handed(id);
            moved = true;
        }
    }
    if (!network_.empty()) {
        const Message message = network_.front();
        network_.pop_front();
        shown += "-- " + describe(message) + "\n" + receive(message);
        moved = true;
    }
    return moved;
}

std::string Harness::stabilize(const Command& command) {
    std::string shown;
    std::size_t rounds = 0;
    while (stabilize_round(shown)) {
        REQUIRE(++rounds < 5000);
    }
    return command.text_of("show") == "yes" ? shown : "";
}

std::string Harness::status(const Command& command) {
    std::string shown;
    for (const auto& [id, it] : nodes_) {
        if (command.words.empty() || command.number(0) == id) {
            shown += describe(it.raft->status()) + "\n";
        }
    }
    return shown;
}

std::string Harness::log(const Command& command) {
    const Raft& raft = *node(command.number(0)).raft;
    std::string shown = "floor " + describe(raft.floor()) + "\n";
    for (Index i = raft.status().first; i <= raft.last_index(); ++i) {
        shown += describe(raft.entry(i)) + "\n";
    }
    return shown;
}

std::string Harness::network(const Command&) {
    std::string shown;
    for (const Message& message : network_) {
        shown += describe(message) + "\n";
    }
    return shown.empty() ? "nothing on its way\n" : shown;
}

}  // namespace cairn::raft::testing
