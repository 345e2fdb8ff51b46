#include "server/run.h"

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <boost/version.hpp>
#include <fmt/format.h>
#include <google/protobuf/stubs/common.h>

#include "base/log.h"
#include "server/config.h"
#include "server/data_dir.h"
#include "server/flags.h"
#include "server/flags_help.h"
#include "server/net/descriptors.h"
#include "server/net/response_budget.h"
#include "server/net/version.h"
#include "server/node.h"
#include "server/supervisor.h"

namespace cairn::server {
namespace {

Environment read_environment() {
    Environment variables;
    for (char** item = environ; *item != nullptr; ++item) {
        const std::string_view text(*item);
        const std::size_t equals = text.find('=');
        if (equals != std::string_view::npos &&
            (text.starts_with("CAIRN_") || text.starts_with("ETCD_"))) {
            variables.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return variables;
}

int fail(const Error& error, int code) {
    const std::string text = error.detail.empty() ? to_string(error) : error.detail;
    // Not fmt::print, which throws when its file takes nothing: a log on the disk that is full.
    const std::string line = fmt::format("cairnd: {}\n", text);
    static_cast<void>(std::fwrite(line.data(), 1, line.size(), stderr));
    return code;
}

LogOptions log_options(const ServerConfig& config) {
    LogOptions options;
    options.level = config.log_level;
    options.format = config.log_format;
    options.outputs = {config.log_output == LogOutput::kStdout ? "stdout" : "stderr"};
    return options;
}

void print_version() {
    fmt::print("cairnd Version: {}\netcd API Version: {}\nBoost: {}\nProtobuf: {}\n",
               net::kCairnVersion, net::kEtcdVersion, BOOST_LIB_VERSION,
               google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION));
}

int serve(const ServerConfig& config, storage::FileSystem& files) {
    for (const auto& warning : config.warnings) {
        log_line(LogLevel::kWarn, warning);
    }
    if (const std::string warning = restrict_data_dir(config.data_dir); !warning.empty()) {
        log_line(LogLevel::kWarn, warning);
    }
    auto node = Node::open(files, config);
    if (node.has_error()) {
        log_line(LogLevel::kError, "cannot start", {{"error", to_string(node.error())}});
        return fail(node.error(), 1);
    }
    log_line(LogLevel::kInfo, "ready to serve client requests",
             {{"name", config.name},
              {"version", std::string(net::kCairnVersion)},
              {"listen-client-urls", join_urls(config.listen_client_urls)},
              {"listen-peer-urls", join_urls(config.listen_peer_urls)}});
    tell_supervisor("READY=1");
    const auto ended = std::move(node).value()->run();
    if (ended.has_error()) {
        return fail(ended.error(), 1);
    }
    log_line(LogLevel::kInfo, "stopped");
    return 0;
}

}  // namespace

int run_cairnd(int argc, char** argv, storage::FileSystem& files) {
    // A peer that closes while we write is an error code, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    // Whatever is made, by libraries too, is the owner's alone.
    ::umask(0077);
    net::raise_descriptor_limit();
    net::give_back_large_blocks();
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const auto line = parse_command_line(arguments, read_environment());
    if (line.has_error()) {
        return fail(line.error(), kExitUsage);
    }
    switch (line.value().action) {
        case StartAction::kHelp: fmt::print("{}", flags_help()); return 0;
        case StartAction::kHelpMarkdown: fmt::print("{}", flags_markdown()); return 0;
        case StartAction::kVersion: print_version(); return 0;
        case StartAction::kRun: break;
    }
    const auto config = build_config(line.value());
    if (config.has_error()) {
        return fail(config.error(), kExitConfig);
    }
    if (const auto started = start_log(log_options(config.value())); started.has_error()) {
        return fail(started.error(), kExitConfig);
    }
    const int code = serve(config.value(), files);
    stop_log();
    return code;
}

}  // namespace cairn::server
