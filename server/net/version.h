// The versions that the server reports.
// Constants; any thread. Never differ between /version, Status and --version.
#pragma once

#include <string_view>

#include "server/api/maintenance_api.h"

namespace cairn::server::net {

// What clients gate on (Kubernetes: Status.version; Patroni: /version).
using api::kEtcdVersion;
inline constexpr std::string_view kEtcdClusterVersion = "3.5.0";
// The program's own.
extern const std::string_view kCairnVersion;

}  // namespace cairn::server::net
