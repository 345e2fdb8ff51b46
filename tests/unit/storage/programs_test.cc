#include "programs.h"

#include "catch.h"

namespace cairn::storage::test {
namespace {

TEST_CASE("Random programs on MemEngine agree with the model") {
    const std::uint64_t first = seed_or(1);
    const std::uint64_t programs = std::getenv("CAIRN_SEED") != nullptr ? 1 : 60;
    for (std::uint64_t seed = first; seed < first + programs; ++seed) {
        INFO("CAIRN_SEED=" << seed);
        MemHost host;
        Program program(host, seed);
        program.run(250);
        program.check_hashes();
        program.check_collected();
        program.check_hashes();
    }
}

}  // namespace
}  // namespace cairn::storage::test
