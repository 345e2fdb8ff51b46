// Step: one request as both servers get it, in a form that keeps its meaning when steps before it
// are taken away: revisions are counted from where the store stands.
// Values and pure functions; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/message.h>

#include "client/retry.h"
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

enum class Call : std::uint8_t { kRange, kPut, kDeleteRange, kTxn, kCompact, kAlarm, kRestart };

struct Step {
    Call call = Call::kRestart;              // kRestart: both servers end and start again
    std::shared_ptr<const Message> request;  // null for kRestart
    std::string trailing{};                  // follows the request's bytes, to spoil them
};

// A group of steps that needs nothing of what was before.
struct Case {
    std::string name;
    std::vector<Step> steps;
};

struct CallInfo {
    const char* name;
    wire::MethodId method;
    client::CallKind kind;
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

// One line for people: "Range key: "a" revision: now-3".
std::string describe(const Step& step);
std::string describe(const Message& message);

}  // namespace cairn::diff
