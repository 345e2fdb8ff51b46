#include <csignal>
#include <iostream>
#include <string_view>

#include "client/ctl/command.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

int main(int argc, char** argv) {
    // A reader that goes away shows as a failed write.
    std::signal(SIGPIPE, SIG_IGN);
    std::ios::sync_with_stdio(false);
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    std::map<std::string, std::string> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        const std::size_t equals = text.find('=');
        const bool ours = text.substr(0, 6) == "CAIRN_" || text.substr(0, 8) == "ETCDCTL_";
        if (ours && equals != std::string_view::npos) {
            environment.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return cairn::client::ctl::run(arguments, environment, {std::cin, std::cout, std::cerr});
}
