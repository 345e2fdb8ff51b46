// ProcessCluster: cairnd processes on this machine, with ports and data of their own.
// Owned by a test's main thread, on which alone it may be used: its children die with that thread.
// Must never leave a process behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "client/client.h"
#include "process/fault_switch.h"
#include "process/load.h"

namespace cairn::process {

using Clock = std::chrono::steady_clock;

inline constexpr std::chrono::milliseconds kElectionTimeout{1000};  // cairnd's default
inline constexpr std::chrono::seconds kAnswerLimit{60};

// Ends the test with a message and the last lines of every node's log.
struct Failure {
    std::string text;
};

// Polls until `condition` holds; false after `limit`.
bool wait_until(const std::function<bool()>& condition, std::chrono::seconds limit);

class ProcessCluster {
  public:
    using Environment = std::map<std::string, std::string>;

    // Lays out `size` nodes in a new temporary folder; starts none. `flags` are those that every
    // node has beside its own.
    ProcessCluster(std::size_t size, std::string server, std::vector<std::string> flags = {});
    // Kills what runs; removes the folder, unless it is to be kept.
    ~ProcessCluster();
    ProcessCluster(const ProcessCluster&) = delete;
    ProcessCluster& operator=(const ProcessCluster&) = delete;

    // The program that start() runs from now on, and what is added to its environment.
    void use(std::string server, Environment environment = {});
    // The power-cut build, in its environment the folder that it needs; see power_cut_main.cc.
    void use_power_cut(std::string server, bool ignore_syncs);

    // Before the first start: members reach each other over a network that can be broken.
    FaultSwitch& use_switch(std::uint64_t seed);

    // Without these, all nodes begin as one cluster. A cluster of this node alone:
    void begin_with(std::size_t node);
    // The node's next start joins the cluster of those that begin_with and join have named and
    // leave has not.
    void join(std::size_t node);
    void leave(std::size_t node);
    // Removes its data; it must not run.
    void wipe(std::size_t node);

    // Changes the running cluster, through any of its members, asked again and again until one has
    // done it; throws Failure when none does. The node is to be started after it was added;
    // it has ended when it was removed.
    void add_member(std::size_t node);
    void remove_member(std::size_t node);
    void start(std::size_t node);
    // All members.
    void start_all();
    void send_signal(std::size_t node, int signal) const;
    // Of a node that was told to end; throws Failure when it does not. Negative: by that signal.
    int wait_for_exit(std::size_t node);
    // SIGKILL to all at once, then waits for each.
    void kill_all();
    [[nodiscard]] bool is_running(std::size_t node);
    // The program that it runs; empty when it does not run.
    [[nodiscard]] std::string program_of(std::size_t node) const;
    // -1 when it does not run.
    [[nodiscard]] pid_t pid(std::size_t node) const { return nodes_[node].pid; }

    // The node that leads and that all running nodes agree on; throws Failure when none does.
    std::size_t wait_for_leader();
    // Each answers a linearizable read; throws Failure when one ends or does not.
    void wait_until_all_serve();

    [[nodiscard]] std::size_t size() const { return nodes_.size(); }
    [[nodiscard]] std::vector<std::size_t> members() const;
    // Of all nodes, members or not.
    [[nodiscard]] std::vector<std::string> endpoints() const;
    [[nodiscard]] std::string peer_url(std::size_t node) const;
    [[nodiscard]] client::Client client_of(std::size_t node) const;
    [[nodiscard]] std::string data_dir(std::size_t node) const;
    [[nodiscard]] std::string log_of(std::size_t node) const;
    [[nodiscard]] std::string last_lines() const;
    // Data and logs of all nodes, and what a test puts there.
    [[nodiscard]] const std::string& folder() const { return folder_; }
    void keep_folder() { keeps_folder_ = true; }

  private:
    struct Node {
        std::uint16_t client_port{};
        std::uint16_t peer_port{};
        pid_t pid = -1;                  // -1: not running
        std::optional<int> exit_code{};  // of its last run
        bool is_member = true;
        bool joins = false;
    };

    [[nodiscard]] std::vector<std::string> arguments(std::size_t node) const;
    [[nodiscard]] std::string log_path(std::size_t node) const;
    [[nodiscard]] std::optional<std::size_t> agreed_leader();
    using Change = std::function<std::optional<std::string>(client::Client&)>;  // what is wrong
    void change_members(const std::string& what, const Change& change);
    void check_all_run();
    void reap(std::size_t node, bool block);

    std::string folder_;
    bool keeps_folder_ = false;
    std::string server_;
    const std::vector<std::string> flags_;
    Environment environment_;
    bool staging_ = false;
    std::vector<Node> nodes_;
    std::unique_ptr<FaultSwitch> switch_;
};

// `answer`, or what `again` gives, as often as it takes: on a busy machine a call may come too
// late. Throws Failure when one ends in a way that nothing excuses; `what` says which it was.
template <class T, class Again>
T until_answered(const std::string& what, client::Result<T> answer, Again again) {
    const auto ended = [&] { return answer || !is_excused(text_of(answer.error())); };
    const auto retried = [&] {
        if (!ended()) {
            answer = again();
        }
        return ended();
    };
    if (!wait_until(retried, kAnswerLimit) || !answer) {
        throw Failure{fmt::format("{}: {}", what, text_of(answer.error()))};
    }
    return *std::move(answer);
}

template <class Ask>
auto ask_until_answered(const ProcessCluster& cluster, std::size_t node, Ask ask) {
    const auto ask_it = [&] { return ask(cluster.client_of(node)); };
    return until_answered(fmt::format("node {}", node), ask_it(), ask_it);
}

}  // namespace cairn::process
