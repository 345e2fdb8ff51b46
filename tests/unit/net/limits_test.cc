// What is shared out and what is said, in bounds.

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

#include "catch.h"

#include "server/net/descriptors.h"
#include "server/net/log_limit.h"

namespace cairn::server::net {
namespace {

using namespace std::chrono_literals;

}  // namespace

TEST_CASE("clients never get all descriptors", "[net][descriptors]") {
    for (const std::uint64_t limit : {64U, 100U, 256U, 1024U, 4096U, 65'536U, 1'000'000U}) {
        INFO("limit " << limit);
        const auto shares = share_descriptors(limit);
        CHECK(shares.clients >= limit / 2 - 8);
        CHECK(shares.peers >= 4);
        CHECK(shares.engine_files >= 20);
        const auto engine = static_cast<std::uint64_t>(shares.engine_files);
        CHECK(limit - shares.clients - shares.peers - engine >= 8);
        if (limit >= 1024) {
            CHECK(limit - shares.clients >= 256);
        }
    }
    CHECK(share_descriptors(20).clients == 1);
    CHECK(share_descriptors(std::uint64_t{1} << 20U).engine_files == -1);
    CHECK(share_descriptors(std::numeric_limits<std::uint64_t>::max()) ==
          share_descriptors(std::uint64_t{1} << 20U));
}

TEST_CASE("the same line is admitted once an interval", "[net][log_limit]") {
    LogLimit limit(1min);
    const LogLimit::Clock::time_point start{1h};
    CHECK(limit.admit("a", start));
    CHECK_FALSE(limit.admit("a", start + 59s));
    CHECK(limit.admit("b", start + 59s));
    CHECK(limit.admit("a", start + 60s));
    CHECK_FALSE(limit.admit("b", start + 61s));
    limit.clear();
    CHECK(limit.admit("b", start + 61s));
}

TEST_CASE("different lines are admitted in bounds", "[net][log_limit]") {
    LogLimit limit(1min);
    const LogLimit::Clock::time_point start{1h};
    std::size_t admitted = 0;
    for (int i = 0; i < 1000; ++i) {
        if (limit.admit(std::to_string(i), start)) {
            ++admitted;
        }
    }
    CHECK(admitted == LogLimit::kLinesMax);
    CHECK(limit.admit("later", start + 1min));
}

}  // namespace cairn::server::net
