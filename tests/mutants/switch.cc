#include "mutants/switch.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/mutant.h"

namespace cairn {
namespace {

const char* wanted() {
    static const char* const name = std::getenv("CAIRN_MUTANT");
    return name == nullptr ? "" : name;
}

// Its end is the program's: the main of a test knows nothing of mutants.
struct Registry {
    ~Registry() {
        // The canaries, by which museum_test.py sees that the museum reports: one does no harm, the
        // other is never reached.
        if (CAIRN_MUTANT(canary_harmless) && names.empty() && CAIRN_MUTANT(canary_unreached)) {
            std::abort();
        }
        if (!has_wanted()) {
            say_unknown();
            _exit(mutants::kUnknownMutant);
        }
    }
    [[nodiscard]] bool has_wanted() const {
        const std::string_view name = wanted();
        return name.empty() || std::find(names.begin(), names.end(), name) != names.end();
    }
    static void say_unknown() {
        std::fprintf(stderr, "no such mutant in this program: %s\n", wanted());
    }

    std::vector<const char*> names;
};

Registry& registry() {
    static Registry all;
    return all;
}

}  // namespace

bool add_mutant(const char* name) {
    registry().names.push_back(name);
    return std::string_view(name) == wanted();
}

void mutant_reached() {
    static const bool said = [] {
        std::fprintf(stderr, "mutant reached: %s\n", wanted());
        return true;
    }();
    static_cast<void>(said);
}

const std::vector<const char*>& mutants::all() { return registry().names; }

void mutants::require_known() {
    if (!registry().has_wanted()) {
        Registry::say_unknown();
        _exit(kUnknownMutant);
    }
}

}  // namespace cairn
