// FaultSwitch: the network between the members of a test's cluster, which the test can break. Each
// member advertises the switch's port for it, so that the others dial the switch; their greeting
// says who they are, and each link has faults of its own, in each direction.
// Owned by a test and used from one thread; it has one of its own for the bytes.
// Must never change a byte: a fault holds bytes back, delays them, or ends their connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace cairn::process {

class FaultSwitch {
  public:
    // What happens to bytes on their way from one member to another.
    struct Fault {
        // They wait until it is over, as do the ends of connections: nobody is told anything.
        bool cut = false;
        // Half of it at least; what comes meanwhile is on its way, too.
        std::chrono::milliseconds delay_max{};
        // One byte in so many ends its connection and is lost with all behind it; 0: none.
        std::uint64_t reset_every_bytes = 0;
        // One packet in so many is lost, and sent again, and perhaps lost again; 0: none. What a
        // member sees of it over TCP is that all behind it waits, too.
        std::uint64_t lose_one_in = 0;
    };
    // What the faults have done so far.
    struct Counts {
        std::uint64_t held_bytes = 0;     // came while their link was cut
        std::uint64_t delayed_bytes = 0;  // by delay_max
        std::uint64_t resets = 0;         // connections ended
        std::uint64_t losses = 0;         // packets lost
    };

    // `targets`: where the members listen, on this machine. Without faults at first.
    FaultSwitch(const std::vector<std::uint16_t>& targets, std::uint64_t seed);
    ~FaultSwitch();
    FaultSwitch(const FaultSwitch&) = delete;
    FaultSwitch& operator=(const FaultSwitch&) = delete;

    // Where the others find a member.
    [[nodiscard]] std::uint16_t port(std::size_t node) const;

    // In force when they return.
    void set(std::size_t from, std::size_t to, const Fault& fault);
    void set_all(const Fault& fault);
    void heal() { set_all({}); }

    [[nodiscard]] Counts counts() const;

  private:
    class Connection;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::process
