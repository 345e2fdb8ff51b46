#include "process/process_cluster.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/prng.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

constexpr auto kPoll = 5ms;
constexpr auto kStartLimit = 60s;
constexpr auto kExitLimit = 30s;
constexpr std::size_t kLastBytes = 3000;

bool is_free(std::uint16_t port) {
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool bound =
        bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(probe);
    return bound;
}

// For this process until it ends, against other tests: a port is free before its node starts, and
// while it is down. The name of a socket in no folder; nodes.py claims its ports by the same.
bool claim(std::uint16_t port) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = fmt::format("cairn-test-port-{}", port);
    std::copy(name.begin(), name.end(), address.sun_path + 1);
    const int claimed = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (bind(claimed, reinterpret_cast<const sockaddr*>(&address), length) == 0) {
        return true;
    }
    close(claimed);
    return false;
}

// Below the range from which outgoing connections draw theirs, which could take the port of a node
// while it is down.
std::vector<std::uint16_t> free_ports(std::size_t count) {
    Prng prng(static_cast<std::uint64_t>(getpid()) ^
              static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()));
    std::set<std::uint16_t> ports;
    while (ports.size() < count) {
        const auto port = static_cast<std::uint16_t>(10'000 + prng.next() % 20'000);
        if (is_free(port) && claim(port)) {
            ports.insert(port);
        }
    }
    return {ports.begin(), ports.end()};
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (auto& text : texts) {
        result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
}

std::vector<std::string> environment_with(const ProcessCluster::Environment& more) {
    std::vector<std::string> all;
    for (char** item = environ; *item != nullptr; ++item) {
        const std::string text(*item);
        if (!text.starts_with("CAIRN_") && !text.starts_with("ETCD_")) {
            all.push_back(text);
        }
    }
    for (const auto& [name, value] : more) {
        all.push_back(name + "=" + value);
    }
    return all;
}

}  // namespace

bool wait_until(const std::function<bool()>& condition, std::chrono::seconds limit) {
    const auto end = Clock::now() + limit;
    while (!condition()) {
        if (Clock::now() > end) {
            return false;
        }
        std::this_thread::sleep_for(kPoll);
    }
    return true;
}

ProcessCluster::ProcessCluster(std::size_t size, std::string server, std::vector<std::string> flags)
    : server_(std::move(server)), flags_(std::move(flags)) {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "cairn-process-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
        throw Failure{"cannot make a temporary folder " + pattern};
    }
    folder_ = pattern;
    const auto ports = free_ports(2 * size);
    for (std::size_t node = 0; node < size; ++node) {
        nodes_.push_back(Node{.client_port = ports[2 * node], .peer_port = ports[2 * node + 1]});
    }
}

ProcessCluster::~ProcessCluster() {
    for (const auto& node : nodes_) {
        if (node.pid > 0) {
            kill(node.pid, SIGKILL);
            waitpid(node.pid, nullptr, 0);
        }
    }
    if (!keeps_folder_) {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
}

void ProcessCluster::use(std::string server, Environment environment) {
    server_ = std::move(server);
    environment_ = std::move(environment);
    staging_ = false;
}

void ProcessCluster::use_power_cut(std::string server, bool ignore_syncs) {
    use(std::move(server), {{"POWER_CUT_SYNC", ignore_syncs ? "ignored" : "honest"}});
    staging_ = true;
}

std::string ProcessCluster::data_dir(std::size_t node) const {
    return fmt::format("{}/n{}.data", folder_, node);
}

std::string ProcessCluster::log_path(std::size_t node) const {
    return fmt::format("{}/n{}.log", folder_, node);
}

std::vector<std::string> ProcessCluster::arguments(std::size_t node) const {
    std::string members;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        if (nodes_[i].is_member) {
            members += fmt::format("{}n{}={}", members.empty() ? "" : ",", i, peer_url(i));
        }
    }
    const auto client = fmt::format("http://127.0.0.1:{}", nodes_[node].client_port);
    const auto listen = fmt::format("http://127.0.0.1:{}", nodes_[node].peer_port);
    std::vector<std::string> all{server_,
                                 fmt::format("--name=n{}", node),
                                 "--data-dir=" + data_dir(node),
                                 "--listen-client-urls=" + client,
                                 "--advertise-client-urls=" + client,
                                 "--listen-peer-urls=" + listen,
                                 "--initial-advertise-peer-urls=" + peer_url(node),
                                 "--initial-cluster=" + members};
    if (nodes_[node].joins) {
        all.emplace_back("--initial-cluster-state=existing");
    }
    all.insert(all.end(), flags_.begin(), flags_.end());
    return all;
}

FaultSwitch& ProcessCluster::use_switch(std::uint64_t seed) {
    std::vector<std::uint16_t> targets;
    for (const auto& node : nodes_) {
        targets.push_back(node.peer_port);
    }
    switch_ = std::make_unique<FaultSwitch>(targets, seed);
    return *switch_;
}

std::string ProcessCluster::peer_url(std::size_t node) const {
    return fmt::format("http://127.0.0.1:{}",
                       switch_ == nullptr ? nodes_[node].peer_port : switch_->port(node));
}

std::vector<std::size_t> ProcessCluster::members() const {
    std::vector<std::size_t> result;
    for (std::size_t node = 0; node < size(); ++node) {
        if (nodes_[node].is_member) {
            result.push_back(node);
        }
    }
    return result;
}

void ProcessCluster::begin_with(std::size_t node) {
    for (std::size_t i = 0; i < size(); ++i) {
        nodes_[i].is_member = i == node;
    }
}

void ProcessCluster::join(std::size_t node) {
    nodes_[node].is_member = true;
    nodes_[node].joins = true;
}

void ProcessCluster::leave(std::size_t node) { nodes_[node].is_member = false; }

void ProcessCluster::wipe(std::size_t node) {
    // Not the folder: it may be a disk of its own.
    const std::filesystem::directory_iterator entries(data_dir(node));
    for (const auto& entry : std::vector(begin(entries), end(entries))) {
        std::filesystem::remove_all(entry);
    }
}

void ProcessCluster::change_members(const std::string& what, const Change& change) {
    std::string error = "no member runs";
    const auto taken = [&] {
        for (const std::size_t node : members()) {
            if (!is_running(node)) {
                continue;
            }
            auto client = client_of(node);
            error = change(client).value_or("");
            // It may have been taken all the same, and then a repeat says so.
            if (error.empty() || error == "etcdserver: Peer URLs already exists" ||
                error == "etcdserver: member not found") {
                return true;
            }
        }
        return false;
    };
    if (!wait_until(taken, kStartLimit)) {
        throw Failure{fmt::format("{}: {}", what, error)};
    }
}

void ProcessCluster::add_member(std::size_t node) {
    const client::MemberAddRequest request{.peer_urls = {peer_url(node)}};
    change_members(fmt::format("node {} cannot be added", node), [&](client::Client& client) {
        const auto answer = client.member_add(request);
        return answer ? std::nullopt : std::optional(answer.error().message);
    });
    join(node);
}

void ProcessCluster::remove_member(std::size_t node) {
    const auto status =
        ask_until_answered(*this, node, [](client::Client client) { return client.status(); });
    const std::uint64_t id = status.header.member_id;
    change_members(fmt::format("node {} cannot be removed", node), [id](client::Client& client) {
        const auto answer = client.member_remove(id);
        return answer ? std::nullopt : std::optional(answer.error().message);
    });
    if (const int code = wait_for_exit(node); code != 0) {
        throw Failure{fmt::format("the removed node {} ended with code {}", node, code)};
    }
    leave(node);
}

void ProcessCluster::start(std::size_t node) {
    if (access(server_.c_str(), X_OK) != 0) {
        throw Failure{fmt::format("there is no program {}", server_)};
    }
    auto texts = arguments(node);
    auto variables = environment_;
    if (staging_) {
        variables["POWER_CUT_STAGING"] = fmt::format("{}/n{}.staging", folder_, node);
    }
    auto environment_texts = environment_with(variables);
    const auto argv = pointers(texts);
    const auto envp = pointers(environment_texts);
    const int log = open(log_path(node).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const pid_t pid = fork();
    if (pid == 0) {
        // Only what a signal handler might do too: this is a copy of one thread of many.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        // A connection of ours that it kept open could not be closed any more.
        close_range(STDERR_FILENO + 1, ~0U, 0);
        execve(argv[0], argv.data(), envp.data());
        _exit(127);
    }
    close(log);
    if (pid < 0) {
        throw Failure{"fork failed"};
    }
    nodes_[node].pid = pid;
    nodes_[node].exit_code.reset();
}

void ProcessCluster::start_all() {
    for (const std::size_t node : members()) {
        start(node);
    }
}

void ProcessCluster::send_signal(std::size_t node, int signal) const {
    if (nodes_[node].pid > 0) {
        kill(nodes_[node].pid, signal);
    }
}

void ProcessCluster::reap(std::size_t node, bool block) {
    int status = 0;
    Node& it = nodes_[node];
    if (it.pid > 0 && waitpid(it.pid, &status, block ? 0 : WNOHANG) == it.pid) {
        it.pid = -1;
        it.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
}

std::string ProcessCluster::program_of(std::size_t node) const {
    std::error_code ignored;
    return std::filesystem::read_symlink(fmt::format("/proc/{}/exe", nodes_[node].pid), ignored)
        .string();
}

bool ProcessCluster::is_running(std::size_t node) {
    reap(node, false);
    return nodes_[node].pid > 0;
}

int ProcessCluster::wait_for_exit(std::size_t node) {
    if (!wait_until([&] { return !is_running(node); }, kExitLimit)) {
        throw Failure{fmt::format("node {} does not end", node)};
    }
    return nodes_[node].exit_code.value_or(0);
}

void ProcessCluster::kill_all() {
    for (std::size_t node = 0; node < size(); ++node) {
        send_signal(node, SIGKILL);
    }
    for (std::size_t node = 0; node < size(); ++node) {
        reap(node, true);
    }
}

std::optional<std::size_t> ProcessCluster::agreed_leader() {
    std::set<std::uint64_t> leaders;
    std::optional<std::size_t> result;
    for (std::size_t node = 0; node < size(); ++node) {
        if (!is_running(node)) {
            continue;
        }
        const auto status = client_of(node).status();
        if (!status) {
            return std::nullopt;
        }
        leaders.insert(status->leader);
        if (status->leader == status->header.member_id) {
            result = node;
        }
    }
    return leaders.size() == 1 ? result : std::nullopt;
}

std::size_t ProcessCluster::wait_for_leader() {
    std::optional<std::size_t> leader;
    const auto found = [&] {
        leader = agreed_leader();
        return leader.has_value();
    };
    if (!wait_until(found, kStartLimit)) {
        throw Failure{"the nodes agree on no leader"};
    }
    return *leader;
}

void ProcessCluster::check_all_run() {
    for (const std::size_t node : members()) {
        if (!is_running(node)) {
            throw Failure{fmt::format("node {} ended with code {}", node,
                                      nodes_[node].exit_code.value_or(0))};
        }
    }
}

void ProcessCluster::wait_until_all_serve() {
    for (const std::size_t node : members()) {
        const auto serves = [&] {
            check_all_run();
            return client_of(node).get("x").has_value();
        };
        if (!wait_until(serves, kStartLimit)) {
            throw Failure{fmt::format("node {} does not serve", node)};
        }
    }
}

std::vector<std::string> ProcessCluster::endpoints() const {
    std::vector<std::string> result;
    for (const auto& node : nodes_) {
        result.push_back(fmt::format("127.0.0.1:{}", node.client_port));
    }
    return result;
}

client::Client ProcessCluster::client_of(std::size_t node) const {
    auto client = client::Client::connect(
        {.endpoints = {endpoints()[node]}, .dial_timeout = 500ms, .request_timeout = 2s});
    return std::move(*client);
}

std::string ProcessCluster::log_of(std::size_t node) const {
    std::ifstream file(log_path(node));
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string ProcessCluster::last_lines() const {
    std::string text;
    for (std::size_t node = 0; node < size(); ++node) {
        const auto log = log_of(node);
        text += fmt::format("--- the end of node {}'s log\n{}\n", node,
                            log.substr(log.size() - std::min(log.size(), kLastBytes)));
    }
    return text;
}

}  // namespace cairn::process
