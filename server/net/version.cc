#include "server/net/version.h"

namespace cairn::server::net {

// Set by the build.
constinit const std::string_view kCairnVersion = CAIRN_VERSION;

}  // namespace cairn::server::net
