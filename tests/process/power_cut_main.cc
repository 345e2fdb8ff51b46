// cairnd_power_cut: cairnd over files that lose in a SIGKILL what was not synced. The engine's
// files are RocksDB's own and stay: it has no log of its own, so what it wrote since its last flush
// dies with the process too, and what it flushed was in a synced log before. POWER_CUT_STAGING   a
// folder for files not yet synced, beside the data POWER_CUT_SYNC      honest, or ignored: the
// control run, which must be caught losing data
#include <cstdio>
#include <cstdlib>
#include <string>

#include "server/run.h"
#include "storage/posix_fs.h"
#include "tests/power_cut/power_cut_fs.h"

int main(int argc, char** argv) {
    using cairn::storage::PowerCutFs;
    using cairn::storage::PowerCutSync;
    const char* staging = std::getenv("POWER_CUT_STAGING");
    const char* sync = std::getenv("POWER_CUT_SYNC");
    if (staging == nullptr || sync == nullptr) {
        std::fputs("POWER_CUT_STAGING and POWER_CUT_SYNC must be set\n", stderr);
        return 2;
    }
    cairn::storage::PosixFs real;
    const auto files = PowerCutFs::create(
        real, staging,
        std::string(sync) == "ignored" ? PowerCutSync::kIgnored : PowerCutSync::kHonest);
    if (files.has_error()) {
        std::fprintf(stderr, "%s\n", cairn::to_string(files.error()).c_str());
        return 1;
    }
    return cairn::server::run_cairnd(argc, argv, *files.value());
}
