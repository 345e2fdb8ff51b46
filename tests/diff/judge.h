// Judge: what of two answers is held against cairn: everything, but for the one list in judge.cc.
// Owned by the test; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "diff/pair.h"

namespace cairn::diff {

class Judge {
  public:
    // The fields that differ, a line each; nothing when the answers are alike. The other way round
    // for what is documented as different.
    std::optional<std::string> difference(const Exchange& exchange);
    // Requests that are not sent at all, by the list.
    bool is_withheld(const Step& step);

    // How often each entry of the list was used.
    [[nodiscard]] std::string report() const;
    // An entry that nothing needed any more.
    [[nodiscard]] bool has_idle_entry() const;

  private:
    std::optional<std::string> compare(Exchange copy);

    std::map<std::string, std::uint64_t> uses_;
};

}  // namespace cairn::diff
