// Tells who started the process how it goes, as systemd's sd_notify(3) does.
// A function; any thread, which it may hold up for a tenth of a second.
// Must never fail a member: what cannot be told is in the log, once.
#pragma once

#include <string_view>

namespace cairn::server {

// "READY=1", "STOPPING=1": to the socket that NOTIFY_SOCKET names; nothing without it.
void tell_supervisor(std::string_view state);

}  // namespace cairn::server
