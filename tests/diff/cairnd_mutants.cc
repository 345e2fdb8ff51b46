// cairnd_mutants: cairnd with the faults of base/mutant.h in its api layer, store and consensus;
// for tests only. `cairnd_mutants --list-mutants` names them; the environment variable CAIRN_MUTANT
// switches one on.
#include <cstdio>
#include <string_view>

#include "mutants/switch.h"
#include "server/run.h"
#include "storage/posix_fs.h"

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--list-mutants") {
        for (const char* name : cairn::mutants::all()) {
            std::puts(name);
        }
        return 0;
    }
    cairn::mutants::require_known();
    cairn::storage::PosixFs files;
    return cairn::server::run_cairnd(argc, argv, files);
}
