// CAIRN_MUTANT(name): a planted fault, by which the tests are tested. `if (CAIRN_MUTANT(name)) …`
// stands where a real system once went wrong; docs/known_bugs.md says which and what finds it.
// The constant false, so nothing at all, but in objects compiled with CAIRN_MUTANTS: those are in
// test programs alone, and there the environment variable of that name switches one mutant on.
// In .cc files only: a header is compiled into objects of both kinds.
#pragma once

#ifdef CAIRN_MUTANTS

#include <algorithm>
#include <cstddef>

namespace cairn {

// Called for each mutant before main: adds it to those the program has, and says whether it is on.
bool add_mutant(const char* name);

// Called whenever control reaches the place of the mutant that is on.
void mutant_reached();

template <std::size_t kSize>
struct MutantName {
    consteval MutantName(const char (&name)[kSize]) { std::copy_n(name, kSize, text); }
    char text[kSize]{};
};

template <MutantName kName>
struct MutantSite {
    static inline const bool is_on = add_mutant(kName.text);

    static bool strikes() {
        if (is_on) {
            mutant_reached();
        }
        return is_on;
    }
};

}  // namespace cairn

#define CAIRN_MUTANT(name) ::cairn::MutantSite<#name>::strikes()
#else
#define CAIRN_MUTANT(name) false
#endif
