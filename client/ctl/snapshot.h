// The commands for snapshots: save asks a server, status and restore work on files alone.
// One thread each.
// Must never let a file look whole before it is.
#pragma once

#include "client/ctl/command.h"

namespace cairn::client::ctl {

extern const std::span<const OptionSpec> kSnapshotRestoreOptions;
extern const std::span<const OptionSpec> kSnapshotStatusOptions;

Outcome run_snapshot_save(const Context& context);
Outcome run_snapshot_status(const Context& context);
Outcome run_snapshot_restore(const Context& context);

}  // namespace cairn::client::ctl
