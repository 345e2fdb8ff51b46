// Preloaded into a program: names that end in .slow.test are this machine, but finding that out
// takes as many seconds as SLOW_NAMES_SECONDS says, as with a name server that is dead. Their first
// address is SLOW_NAMES_FIRST, where that is set.
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
    const int failed = ask("127.0.0.1", service, hints, found);
    addrinfo* first = nullptr;
    if (const char* const address = std::getenv("SLOW_NAMES_FIRST");
        failed == 0 && address != nullptr && ask(address, service, hints, &first) == 0) {
        addrinfo* last = first;
        while (last->ai_next != nullptr) {
            last = last->ai_next;
        }
        last->ai_next = *found;  // the C library frees them one by one
        *found = first;
    }
    return failed;
}
