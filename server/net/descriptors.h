// How many file descriptors the process may have, and how they are shared out.
// Functions of the process; any thread, raise_descriptor_limit before all others.
// Never lets clients have them all: the log and the engine must always get theirs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cairn::server::net {

struct DescriptorShares {
    std::size_t clients{};          // connections of clients, those not yet told apart included
    std::size_t peers{};            // connections that other members opened
    std::int32_t engine_files = 0;  // table files the engine keeps open; -1: all of them

    bool operator==(const DescriptorShares&) const = default;
};

// Of `limit` descriptors. What is left over is for the log, the links to other members, listening
// sockets and passing needs. Pure.
DescriptorShares share_descriptors(std::uint64_t limit);

// Raises the process's soft limit to its hard limit.
void raise_descriptor_limit();
// The soft limit now.
std::uint64_t descriptor_limit();

}  // namespace cairn::server::net
