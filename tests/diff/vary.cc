#include "diff/vary.h"

#include <algorithm>
#include <limits>

#include <google/protobuf/unknown_field_set.h>

#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::diff {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::size_t kLongBytes = 64U * 1024U;
constexpr int kUnknownEnumerator = 9;
constexpr int kTxnOpsMax = 128;

const std::string kNul(1, '\0');

// The service's fields are varints, or bytes and messages.
bool is_of_wire_type(const UnknownField& unknown, const FieldDescriptor& field) {
    const bool has_length = field.type() == FieldDescriptor::TYPE_BYTES ||
                            field.type() == FieldDescriptor::TYPE_MESSAGE;
    return unknown.type() ==
           (has_length ? UnknownField::TYPE_LENGTH_DELIMITED : UnknownField::TYPE_VARINT);
}

// What add_varint and add_bytes put there.
Class classify_unknown(const UnknownField& unknown, const FieldDescriptor& field) {
    if (!is_of_wire_type(unknown, field)) {
        return Class::kInvalid;
    }
    const bool zero = unknown.type() == UnknownField::TYPE_VARINT
                          ? unknown.varint() == 0
                          : unknown.length_delimited().empty();
    return zero ? Class::kZero : Class::kInvalid;
}

Class classify_int(std::int64_t value) {
    if (value == 0) {
        return Class::kZero;
    }
    if (value == 1 || value == kMax || value == kMin || value == kNow || value == kFloor) {
        return Class::kBoundary;
    }
    const bool to_come = value > kNow && value <= kNow + kReach;
    const bool gone = value < kFloor && value >= kFloor - kReach;
    return value < 0 || to_come || gone ? Class::kInvalid : Class::kTypical;
}

Class classify_enum(int value, const FieldDescriptor& field) {
    const auto* type = field.enum_type();
    if (value == 0) {
        return Class::kZero;
    }
    if (type->FindValueByNumber(value) == nullptr) {
        return Class::kInvalid;
    }
    return value == type->value(type->value_count() - 1)->number() ? Class::kBoundary
                                                                   : Class::kTypical;
}

Class classify_bytes(const Message& message, const FieldDescriptor& field) {
    const auto* reflection = message.GetReflection();
    const std::string value = reflection->GetString(message, &field);
    if (value.empty()) {
        return Class::kZero;
    }
    if (value == kNul || value == "\xff" || value.size() >= kLongBytes) {
        return Class::kBoundary;
    }
    if (field.name() != "range_end") {
        return Class::kTypical;
    }
    const auto* key = message.GetDescriptor()->FindFieldByName("key");
    return value <= reflection->GetString(message, key) ? Class::kInvalid : Class::kTypical;
}

Class classify_list(const Message& message, const FieldDescriptor& field) {
    const auto* reflection = message.GetReflection();
    const int size = reflection->FieldSize(message, &field);
    if (size >= kTxnOpsMax) {
        return size == kTxnOpsMax ? Class::kBoundary : Class::kInvalid;
    }
    for (int i = 0; i < size; ++i) {
        if (reflection->GetRepeatedMessage(message, &field, i).ByteSizeLong() == 0) {
            return Class::kZero;
        }
    }
    return Class::kTypical;
}

using OddTest = std::function<bool(const UnknownField& odd, const FieldDescriptor& field)>;

// Does the test hold for a field, here or in a message within, that add_varint or add_bytes set?
bool any_odd_field(const Message& message, const OddTest& test) {
    const auto* reflection = message.GetReflection();
    const auto& unknown = reflection->GetUnknownFields(message);
    for (int i = 0; i < unknown.field_count(); ++i) {
        const auto* field = message.GetDescriptor()->FindFieldByNumber(unknown.field(i).number());
        if (field != nullptr && test(unknown.field(i), *field)) {
            return true;
        }
    }
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    return std::any_of(fields.begin(), fields.end(), [&](const FieldDescriptor* field) {
        if (field->message_type() == nullptr) {
            return false;
        }
        if (!field->is_repeated()) {
            return any_odd_field(reflection->GetMessage(message, field), test);
        }
        for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
            if (any_odd_field(reflection->GetRepeatedMessage(message, field, i), test)) {
                return true;
            }
        }
        return false;
    });
}

Setter set_int(const FieldDescriptor& field, std::int64_t value) {
    return [&field, value](Message& message) {
        message.GetReflection()->SetInt64(&message, &field, value);
    };
}

Setter set_bytes(const FieldDescriptor& field, const std::string& value) {
    return [&field, value](Message& message) {
        message.GetReflection()->SetString(&message, &field, value);
    };
}

Setter set_enum(const FieldDescriptor& field, int value) {
    return [&field, value](Message& message) {
        message.GetReflection()->SetEnumValue(&message, &field, value);
    };
}

Setter set_bool(const FieldDescriptor& field) {
    return [&field](Message& message) { message.GetReflection()->SetBool(&message, &field, true); };
}

// Past what the message says itself: the last one on the wire counts.
Setter add_varint(const FieldDescriptor& field, std::uint64_t value) {
    return [&field, value](Message& message) {
        message.GetReflection()->ClearField(&message, &field);
        message.GetReflection()->MutableUnknownFields(&message)->AddVarint(field.number(), value);
    };
}

Setter add_bytes(const FieldDescriptor& field, const std::string& value) {
    return [&field, value](Message& message) {
        message.GetReflection()->ClearField(&message, &field);
        message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(field.number(),
                                                                                    value);
    };
}

std::vector<Setter> odd_values(const FieldDescriptor& field) {
    switch (field.cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT64: {
            std::vector<Setter> setters{add_varint(field, 0), add_bytes(field, "x")};
            for (const std::int64_t value : {std::int64_t{1}, kNow, kNow + 1, kFloor, kFloor - 1,
                                             kFloor + 1, kMax, std::int64_t{-1}, kMin}) {
                setters.push_back(set_int(field, value));
            }
            return setters;
        }
        case FieldDescriptor::CPPTYPE_BOOL:
            return {add_varint(field, 0), add_varint(field, 2), add_bytes(field, "x")};
        case FieldDescriptor::CPPTYPE_ENUM:
            return {add_varint(field, 0), set_enum(field, kUnknownEnumerator), set_enum(field, -1)};
        case FieldDescriptor::CPPTYPE_STRING:
            return {add_bytes(field, ""),
                    add_varint(field, 7),
                    set_bytes(field, kNul),
                    set_bytes(field, kNul + kNul),
                    set_bytes(field, "\xff"),
                    set_bytes(field, "a"),
                    set_bytes(field, std::string(kLongBytes, 'z'))};
        case FieldDescriptor::CPPTYPE_INT32:
        case FieldDescriptor::CPPTYPE_UINT32:
        case FieldDescriptor::CPPTYPE_UINT64:
        case FieldDescriptor::CPPTYPE_DOUBLE:
        case FieldDescriptor::CPPTYPE_FLOAT:
        case FieldDescriptor::CPPTYPE_MESSAGE: return {};
    }
    return {};
}

}  // namespace

Class classify(const Message& message, const FieldDescriptor& field) {
    const auto* reflection = message.GetReflection();
    const auto& unknown = reflection->GetUnknownFields(message);
    for (int i = 0; i < unknown.field_count(); ++i) {
        if (unknown.field(i).number() == field.number()) {
            return classify_unknown(unknown.field(i), field);
        }
    }
    if (field.is_repeated()) {
        return reflection->FieldSize(message, &field) == 0 ? Class::kAbsent
                                                           : classify_list(message, field);
    }
    if (!reflection->HasField(message, &field)) {
        return Class::kAbsent;
    }
    switch (field.cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT64:
            return classify_int(reflection->GetInt64(message, &field));
        case FieldDescriptor::CPPTYPE_ENUM:
            return classify_enum(reflection->GetEnumValue(message, &field), field);
        case FieldDescriptor::CPPTYPE_STRING: return classify_bytes(message, field);
        case FieldDescriptor::CPPTYPE_MESSAGE:
            return reflection->GetMessage(message, &field).ByteSizeLong() == 0 ? Class::kZero
                                                                               : Class::kTypical;
        case FieldDescriptor::CPPTYPE_BOOL:
        case FieldDescriptor::CPPTYPE_INT32:
        case FieldDescriptor::CPPTYPE_UINT32:
        case FieldDescriptor::CPPTYPE_UINT64:
        case FieldDescriptor::CPPTYPE_DOUBLE:
        case FieldDescriptor::CPPTYPE_FLOAT: return Class::kTypical;
    }
    return Class::kTypical;
}

bool has_explicit_empty(const Message& message, std::string_view name) {
    return any_odd_field(message, [name](const UnknownField& odd, const FieldDescriptor& field) {
        return field.name() == name && is_of_wire_type(odd, field) &&
               odd.length_delimited().empty();
    });
}

std::vector<Setter> plain_values(const FieldDescriptor& field) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
        return {set_bool(field)};
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
        return {set_int(field, 2), set_int(field, kNow - 3)};
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
        std::vector<Setter> setters;
        for (int i = 1; i < field.enum_type()->value_count(); ++i) {
            setters.push_back(set_enum(field, field.enum_type()->value(i)->number()));
        }
        return setters;
    }
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
        return {};
    }
    return field.name() == "range_end"
               ? std::vector<Setter>{set_bytes(field, "k/4"), set_bytes(field, kNul)}
               : std::vector<Setter>{set_bytes(field, "k/1"), set_bytes(field, "k/3")};
}

std::vector<Setter> all_values(const FieldDescriptor& field) {
    auto setters = plain_values(field);
    auto odd = odd_values(field);
    std::move(odd.begin(), odd.end(), std::back_inserter(setters));
    return setters;
}

std::vector<std::shared_ptr<Message>> variations(const Message& base) {
    std::vector<std::shared_ptr<Message>> all;
    const auto* type = base.GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
        for (const auto& set : all_values(*type->field(i))) {
            std::shared_ptr<Message> copy(base.New());
            copy->CopyFrom(base);
            set(*copy);
            all.push_back(std::move(copy));
        }
    }
    return all;
}

}  // namespace cairn::diff
