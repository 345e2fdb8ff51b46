// Preloaded into a program: names that end in .slow.test are this machine, but finding that out
// takes as many seconds as SLOW_NAMES_SECONDS says, as with a name server that is dead.
#include <netdb.h>

#include <chrono>
#include <cstdlib>
#include <string_view>
#include <thread>

#include <dlfcn.h>

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** found) {
    using Ask = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    static const auto ask = reinterpret_cast<Ask>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    constexpr std::string_view kSlow = ".slow.test";
    const std::string_view name(node == nullptr ? "" : node);
    if (name.size() < kSlow.size() || name.substr(name.size() - kSlow.size()) != kSlow) {
        return ask(node, service, hints, found);
    }
    const char* const seconds = std::getenv("SLOW_NAMES_SECONDS");
    std::this_thread::sleep_for(std::chrono::seconds(seconds == nullptr ? 0 : std::atoi(seconds)));
    return ask("127.0.0.1", service, hints, found);
}
