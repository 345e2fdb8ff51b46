#include "server/supervisor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <string>
#include <system_error>

#include "base/log.h"

namespace cairn::server {
namespace {

constexpr timeval kPatience{0, 100'000};  // when its queue is full

// errno, or 0.
int send_to(std::string_view path, std::string_view text) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if ((path.front() != '/' && path.front() != '@') || path.size() >= sizeof(address.sun_path)) {
        return EAFNOSUPPORT;
    }
    path.copy(address.sun_path, path.size());
    if (path.front() == '@') {
        address.sun_path[0] = '\0';  // a name in no folder
    }
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return errno;
    }
    int error = 0;
    if (::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience)) != 0 ||
        ::sendto(descriptor, text.data(), text.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), bytes) < 0) {
        error = errno;
    }
    ::close(descriptor);
    return error;
}

}  // namespace

void tell_supervisor(std::string_view state) {
    static std::atomic_flag told;
    const char* path = ::getenv("NOTIFY_SOCKET");
    if (path == nullptr || *path == '\0') {
        return;
    }
    const int error = send_to(path, state);
    if (error != 0 && !told.test_and_set()) {
        log_line(LogLevel::kWarn, "cannot tell the supervisor",
                 {{"state", std::string(state)},
                  {"NOTIFY_SOCKET", path},
                  {"error", std::generic_category().message(error)}});
    }
}

}  // namespace cairn::server
