// cairnd from its arguments to its exit code, over any FileSystem.
// Called by main, once, on the main thread.
#pragma once

#include "storage/file_system.h"

namespace cairn::server {

// Prints errors on standard error, and a version or help text on standard output.
int run_cairnd(int argc, char** argv, storage::FileSystem& files);

}  // namespace cairn::server
