// RandomSteps: an endless, seeded sequence of requests of every kind over a few keys.
// One owner, one thread. Must never depend on an answer: revisions are relative (step.h).
#pragma once

#include <cstdint>
#include <string>

#include "base/prng.h"
#include "diff/build.h"
#include "diff/step.h"

namespace cairn::diff {

class RandomSteps {
  public:
    explicit RandomSteps(std::uint64_t seed) : prng_(seed) {}
    Step next();

  private:
    std::string key();
    std::string end();
    std::int64_t revision();
    RangeRequest random_range();
    PutRequest random_put();
    DeleteRangeRequest random_erase();
    Compare random_guard();
    TxnRequest random_txn(int depth);
    void fill(etcdserverpb::RequestOp& op, int depth);

    Prng prng_;
};

}  // namespace cairn::diff
