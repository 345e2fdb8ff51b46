// The place of one change: which revision of the store, and which change within it.
// A value; any thread.
// Never shown to clients as a whole: they see `main` alone.
#pragma once

#include <compare>
#include <cstdint>

namespace cairn::storage::mvcc {

struct Revision {
    std::int64_t main{};  // from 2: an empty store is at revision 1; 0 stands for none
    std::uint32_t sub{};  // from 0, in the order of execution

    constexpr auto operator<=>(const Revision&) const = default;
};

}  // namespace cairn::storage::mvcc
