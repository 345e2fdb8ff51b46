// One of several, each as likely as its weight says.
// A value; one thread.
#pragma once

#include <cstdint>

#include "base/prng.h"

namespace cairn::sim {

class WeightedDraw {
  public:
    // `sum` of all weights, at least 1.
    WeightedDraw(Prng& prng, std::uint64_t sum) : left_(prng.below(sum)) {}

    // To be asked of one after the other, with its weight, until it is true.
    bool picks(std::uint32_t weight) {
        if (left_ < weight) {
            return true;
        }
        left_ -= weight;
        return false;
    }

  private:
    std::uint64_t left_;
};

}  // namespace cairn::sim
