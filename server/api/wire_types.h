// WireTypes: which wire type each field of a message has, and whether bytes keep to it.
// Made once for each type of request, immutable after; any thread.
// Never judges whether bytes parse: they did.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

#include <google/protobuf/descriptor.h>

#include "base/bytes.h"

namespace cairn::server::api {

class WireTypes {
  public:
    explicit WireTypes(const google::protobuf::Descriptor& type);

    // False when a field of the type, or of a message within it, came with another wire type than
    // its own. `message` must parse as the type.
    [[nodiscard]] bool fit(ByteView message) const;

  private:
    struct Table;
    struct Field {
        std::uint8_t allowed = 0xff;  // bit n: wire type n; a number that is no field may have any
        const Table* within = nullptr;
    };
    static constexpr std::size_t kDirectMax = 32;
    // Of one message type.
    struct Table {
        [[nodiscard]] const Field& field(std::uint64_t number) const;
        [[nodiscard]] bool fit(ByteView message) const;

        std::array<Field, kDirectMax> direct{};  // by number
        std::map<std::uint64_t, Field> others{};
    };
    const Table* add(const google::protobuf::Descriptor& type);

    std::map<const google::protobuf::Descriptor*, Table> tables_;  // the type's and those within it
    const Table* whole_;
};

}  // namespace cairn::server::api
