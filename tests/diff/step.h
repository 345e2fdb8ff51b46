// Step: one request as both servers get it, in a form that keeps its meaning when steps before it
// are taken away: revisions are counted from where the store stands.
// Values and pure functions; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/message.h>

#include "proto/wire/grpc_method.h"

namespace cairn::diff {

using google::protobuf::Message;

// An int64 field within kReach of one of these means the revision of the store at that moment, or
// the one last compacted to (0: never), plus the distance.
inline constexpr std::int64_t kNow = std::int64_t{1} << 40U;
inline constexpr std::int64_t kFloor = std::int64_t{1} << 41U;
inline constexpr std::int64_t kReach = std::int64_t{1} << 20U;

struct Revisions {
    std::int64_t now = 1;
    std::int64_t floor = 0;
};

enum class Call : std::uint8_t {
    kRange,
    kPut,
    kDeleteRange,
    kTxn,
    kCompact,
    kAlarm,
    kHealth,
    kMembers,
    kRestart,
};

// How a call goes to the wire, where that is not as every client does it.
struct Oddity {
    std::string what;  // for people
    // Instead of those of the same name, or behind all others; without a value: not sent.
    std::vector<std::pair<std::string, std::optional<std::string>>> headers{};
    // Makes the body of the message, or none; null: one message in its frame.
    std::function<std::optional<std::string>(const std::string& message)> body{};
    int differs = 0;  // the row of docs/compatibility.md by which the answers must differ
};

struct Step {
    Call call = Call::kRestart;              // kRestart: both servers end and start again
    std::shared_ptr<const Message> request;  // null for kRestart
    std::string trailing{};                  // follows the request's bytes, may spoil them
    std::shared_ptr<const Oddity> odd{};     // null for nearly all
};

// A group of steps that needs nothing of what was before.
struct Case {
    std::string name;
    std::vector<Step> steps;
};

struct CallInfo {
    const char* name;
    wire::MethodId method;
    const Message* request;  // default instances
    const Message* response;
};
// Of all but kRestart.
const CallInfo& info_of(Call call);

// The step that sends `request`, whichever message it is.
Step step_of(const Message& request);
Step step_of(std::shared_ptr<const Message> request);

// The request with the revisions it stands for.
std::unique_ptr<Message> resolve(const Message& request, const Revisions& revisions);

// In the five bytes of gRPC's frame.
std::string framed(const std::string& message, bool compressed = false);

// One line for people: "Range key: "a" revision: now-3".
std::string describe(const Step& step);
std::string describe(const Message& message);

}  // namespace cairn::diff
