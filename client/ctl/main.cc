#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string_view>

#include "client/ctl/command.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace cairn::client::ctl {
namespace {

std::map<std::string, std::string> read_environment() {
    std::map<std::string, std::string> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        const std::size_t equals = text.find('=');
        if (equals != std::string_view::npos) {
            environment.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return environment;
}

// Colours and progress only where somebody looks. NO_COLOR: see no-color.org.
Terminal terminal_of(const std::map<std::string, std::string>& environment) {
    const auto variable = [&](const char* name) {
        const auto found = environment.find(name);
        return found == environment.end() ? std::string() : found->second;
    };
    const std::string kind = variable("TERM");
    const bool moves = !kind.empty() && kind != "dumb";
    const bool colours = moves && variable("NO_COLOR").empty();
    const bool sees_out = isatty(STDOUT_FILENO) != 0;
    const bool sees_error = isatty(STDERR_FILENO) != 0;
    return {isatty(STDIN_FILENO) != 0, sees_error && moves, sees_out && colours,
            sees_error && colours};
}

}  // namespace
}  // namespace cairn::client::ctl

int main(int argc, char** argv) {
    using namespace cairn::client::ctl;
    // A reader that goes away shows as a failed write.
    std::signal(SIGPIPE, SIG_IGN);
    std::ios::sync_with_stdio(false);
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const std::map<std::string, std::string> environment = read_environment();
    return run(arguments, environment, {std::cin, std::cout, std::cerr, terminal_of(environment)});
}
