// One visitor made of several lambdas, for std::visit.
// Free of threads and of any domain.
#pragma once

namespace cairn {

template <class... Visitors>
struct Overload : Visitors... {
    using Visitors::operator()...;
};
template <class... Visitors>
Overload(Visitors...) -> Overload<Visitors...>;

}  // namespace cairn
