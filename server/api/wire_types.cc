#include "server/api/wire_types.h"

#include <google/protobuf/wire_format.h>

namespace cairn::server::api {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormat;
using google::protobuf::internal::WireFormatLite;

// Reads on from `at`; what is cut short ends at the end.
struct Reader {
    const char* at;
    const char* end;

    [[nodiscard]] std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; at != end && shift < 64; shift += 7) {
            const auto byte = static_cast<unsigned char>(*at++);
            value |= std::uint64_t{byte & 0x7fU} << shift;
            if (byte < 0x80) {
                break;
            }
        }
        return value;
    }
    ByteView bytes(std::uint64_t count) {
        const auto left = static_cast<std::uint64_t>(end - at);
        const ByteView view(at, static_cast<std::size_t>(count < left ? count : left));
        at += view.size();
        return view;
    }
    // A value that holds no others.
    void skip(std::uint64_t wire_type) {
        switch (wire_type) {
            case WireFormatLite::WIRETYPE_VARINT: static_cast<void>(varint()); break;
            case WireFormatLite::WIRETYPE_FIXED64: bytes(8); break;
            case WireFormatLite::WIRETYPE_LENGTH_DELIMITED: bytes(varint()); break;
            case WireFormatLite::WIRETYPE_FIXED32: bytes(4); break;
            default: break;
        }
    }
    // Behind the tag that begins it, up to the one that ends it.
    void skip_group() {
        for (std::size_t depth = 1; depth > 0 && at != end;) {
            const std::uint64_t wire_type = varint() & 7U;
            if (wire_type == WireFormatLite::WIRETYPE_START_GROUP) {
                ++depth;
            } else if (wire_type == WireFormatLite::WIRETYPE_END_GROUP) {
                --depth;
            } else {
                skip(wire_type);
            }
        }
    }
};

}  // namespace

WireTypes::WireTypes(const Descriptor& type) : whole_(add(type)) {}

const WireTypes::Table* WireTypes::add(const Descriptor& type) {
    const auto [place, is_new] = tables_.try_emplace(&type);
    Table& table = place->second;
    for (int i = 0; is_new && i < type.field_count(); ++i) {  // a type may hold itself: a Txn does
        const FieldDescriptor& field = *type.field(i);
        Field entry;
        entry.allowed =
            static_cast<std::uint8_t>(1U << WireFormat::WireTypeForFieldType(field.type()));
        if (field.is_packable()) {
            entry.allowed |= 1U << WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
        }
        if (field.message_type() != nullptr) {
            entry.within = add(*field.message_type());
        }
        const auto number = static_cast<std::uint64_t>(field.number());
        (number < kDirectMax ? table.direct[number] : table.others[number]) = entry;
    }
    return &table;
}

const WireTypes::Field& WireTypes::Table::field(std::uint64_t number) const {
    if (number < kDirectMax) {
        return direct[number];
    }
    static const Field none;
    const auto found = others.find(number);
    return found == others.end() ? none : found->second;
}

// Recursion is as deep as the message, whose parser has bounded that.
bool WireTypes::Table::fit(ByteView message) const {
    Reader in{message.data(), message.data() + message.size()};
    while (in.at != in.end) {
        const std::uint64_t tag = in.varint();
        const std::uint64_t wire_type = tag & 7U;
        const Field& known = field(tag >> 3U);
        if ((known.allowed & (1U << wire_type)) == 0) {
            return false;
        }
        if (wire_type == WireFormatLite::WIRETYPE_START_GROUP) {
            in.skip_group();
        } else if (known.within == nullptr) {
            in.skip(wire_type);
        } else if (!known.within->fit(in.bytes(in.varint()))) {
            return false;
        }
    }
    return true;
}

bool WireTypes::fit(ByteView message) const { return whole_->fit(message); }

}  // namespace cairn::server::api
