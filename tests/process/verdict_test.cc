// What the process tests judge by: which answers are asked for again, and how long writes may stand
// still.
#include <chrono>
#include <string>
#include <vector>

#include "catch.h"

#include "process/load.h"
#include "process/outages.h"
#include "process/process_cluster.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

using client::GrpcCode;
using Answer = client::Result<int>;

const client::Error kTooLate{GrpcCode::kDeadlineExceeded, "context deadline exceeded"};
const client::Error kFutureRevision{GrpcCode::kOutOfRange,
                                    "etcdserver: mvcc: required revision is a future revision"};

TEST_CASE("a busy cluster is excused, a wrong one is not", "[process][verdict]") {
    for (const auto& error :
         {kTooLate, client::Error{GrpcCode::kUnavailable, "etcdserver: leader changed"},
          client::Error{GrpcCode::kUnknown, "etcdserver: too many requests"}}) {
        CAPTURE(text_of(error));
        CHECK(is_excused(text_of(error)));
    }
    for (const auto& error : {kFutureRevision, client::Error{GrpcCode::kInternal, "too late"},
                              client::Error{GrpcCode::kDataLoss, "Unavailable: "},
                              client::Error{GrpcCode::kUnknown, "etcdserver: corrupt cluster"}}) {
        CAPTURE(text_of(error));
        CHECK(!is_excused(text_of(error)));
    }
}

TEST_CASE("what is excused is asked again until it is answered", "[process][verdict]") {
    int asked = 0;
    const auto again = [&]() -> Answer { return ++asked < 3 ? Answer(kTooLate) : Answer(7); };
    CHECK(until_answered("it", Answer(kTooLate), again) == 7);
    CHECK(asked == 3);
    CHECK(until_answered("it", Answer(1), again) == 1);
    CHECK(asked == 3);
}

TEST_CASE("what nothing excuses is not asked away", "[process][verdict]") {
    int asked = 0;
    const auto again = [&]() -> Answer {
        return ++asked == 1 ? Answer(kFutureRevision) : Answer(7);
    };
    CHECK_THROWS_AS(until_answered("it", Answer(kFutureRevision), again), Failure);
    CHECK(asked == 0);
    CHECK_THROWS_AS(until_answered("it", Answer(kTooLate), again), Failure);
    CHECK(asked == 1);
}

Outages outages_of(const std::vector<std::chrono::milliseconds>& times) {
    Outages outages;
    for (const auto time : times) {
        outages.add("leader", time);
    }
    return outages;
}

TEST_CASE("bars hold for the median and for the longest time", "[process][verdict]") {
    const OutageBars bars{.median = 2, .longest = 6};
    CHECK(outages_of({}).within(bars));
    CHECK(outages_of({2000ms, 6000ms}).within(bars));
    CHECK(outages_of({6000ms, 100ms, 2000ms}).within(bars));
    CHECK(!outages_of({100ms, 2001ms, 2002ms}).within(bars));
    CHECK(!outages_of({100ms, 100ms, 6001ms}).within(bars));
    CHECK(outages_of({100ms, 100ms, 30s}).within(kCoarseBars));
    CHECK(!outages_of({100ms, 100ms, 31s}).within(kCoarseBars));
    CHECK(!outages_of({11s, 12s}).within(kCoarseBars));
}

TEST_CASE("bars may be those of one kind", "[process][verdict]") {
    Outages outages = outages_of({11s});
    for (int i = 0; i < 3; ++i) {
        outages.add("follower", 10ms);
    }
    CHECK(outages.within(kCoarseBars));
    CHECK(outages.within(kCoarseBars, "follower"));
    CHECK(!outages.within(kCoarseBars, "leader"));
    CHECK(outages.within(kFineBars, "nobody"));
}

}  // namespace
}  // namespace cairn::process
