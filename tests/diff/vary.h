// The values worth sending in a field, found through its descriptor; and what class a value is of.
// Pure functions; any thread.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/descriptor.h>

#include "diff/step.h"

namespace cairn::diff {

enum class Class : std::uint8_t { kAbsent, kZero, kBoundary, kTypical, kInvalid };
inline constexpr std::array<const char*, 5> kClassNames{"absent", "zero", "boundary", "typical",
                                                        "invalid"};

// How the field stands in the message as it goes to the wire:
//   absent    not there                   zero     there, with 0, false, empty, an empty message
//   boundary  1, the store's or the compacted revision exactly, the ends of int64; the last
//             enumerator; the bytes 00 and ff, and 64 KiB; exactly as many elements as allowed
//   invalid   negative, a revision to come or compacted away; no enumerator; a bool that is
//             neither 0 nor 1; an end not above the key; too many elements; of another wire type
//   typical   the rest
Class classify(const Message& message, const google::protobuf::FieldDescriptor& field);

// What protobuf's own interface cannot set, here or in a message within: a field of this name that
// is there, though it is empty.
bool has_explicit_empty(const Message& message, std::string_view name);

using Setter = std::function<void(Message&)>;

// Valid for most requests; for scalar fields.
std::vector<Setter> plain_values(const google::protobuf::FieldDescriptor& field);
// All of them, with the extremes and those that protobuf's own interface cannot set.
std::vector<Setter> all_values(const google::protobuf::FieldDescriptor& field);

// `base` with each of its scalar fields set to each of its values, one at a time.
std::vector<std::shared_ptr<Message>> variations(const Message& base);

}  // namespace cairn::diff
