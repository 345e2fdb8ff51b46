// Which of the shipped code's rare ways a run takes, and how often: each label is in or out for the
// whole run, so that rare mixtures happen.
// Owned by the world, installed while it runs; one thread.
// Never strikes after the faults have ended.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string_view>

#include "base/buggify.h"
#include "base/prng.h"

namespace cairn::sim {

class SimBuggifier final : public Buggifier {
  public:
    SimBuggifier(Prng prng, bool on) : prng_(prng), on_(on), before_(set_buggifier(this)) {}
    SimBuggifier(const SimBuggifier&) = delete;
    SimBuggifier& operator=(const SimBuggifier&) = delete;
    ~SimBuggifier() override { set_buggifier(before_); }

    bool strikes(const char* label) override {
        if (!on_) {
            return false;
        }
        const auto [place, fresh] = sites_.try_emplace(label);
        Site& site = place->second;
        if (fresh) {
            site.prng = prng_.split(label);
            site.one_in = site.prng.chance(1, kLabelsIn) ? site.prng.between(2, kOneInMax) : 0;
            if (site.one_in > 0 && place->first == "replica.read_asked_early") {
                site.one_in = std::max(site.one_in, kAskedAgainOneIn);
            }
        }
        return site.one_in > 0 && site.prng.chance(1, site.one_in);
    }
    void heal() { on_ = false; }

  private:
    static constexpr std::uint64_t kLabelsIn = 4;
    static constexpr std::uint64_t kOneInMax = 40;
    // Each question goes on to all as a heartbeat, and where that arrives it may be asked again.
    // More than one for each, over a network that repeats messages, is a storm without an end (seed
    // 1795780708263: 950,000 messages).
    static constexpr std::uint64_t kAskedAgainOneIn = 20;

    // The draws of each label are its own: a new one changes nothing for the others.
    struct Site {
        Prng prng{0};
        std::uint64_t one_in{};  // 0: not in this run
    };

    Prng prng_;
    bool on_;
    Buggifier* before_;
    std::map<std::string_view, Site> sites_;
};

}  // namespace cairn::sim
