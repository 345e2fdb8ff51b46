#include "diff/step.h"

#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "base/assert.h"
#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "proto/grpc/health.pb.h"
#include "proto/wire/grpc_frame.h"

namespace cairn::diff {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::TextFormat;

constexpr std::size_t kBytesShown = 40;

bool is_near(std::int64_t value, std::int64_t anchor) {
    return value >= anchor - kReach && value <= anchor + kReach;
}

std::int64_t resolved(std::int64_t value, const Revisions& revisions) {
    if (is_near(value, kNow)) {
        return revisions.now + (value - kNow);
    }
    return is_near(value, kFloor) ? revisions.floor + (value - kFloor) : value;
}

void resolve_in_place(Message& message, const Revisions& revisions) {
    const auto* reflection = message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    for (const auto* field : fields) {
        if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
            const auto value = reflection->GetInt64(message, field);
            reflection->SetInt64(&message, field, resolved(value, revisions));
        } else if (field->is_repeated()) {
            for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
                resolve_in_place(*reflection->MutableRepeatedMessage(&message, field, i),
                                 revisions);
            }
        } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
            resolve_in_place(*reflection->MutableMessage(&message, field), revisions);
        }
    }
}

class ValuePrinter : public TextFormat::FastFieldValuePrinter {
  public:
    void PrintInt64(std::int64_t value, TextFormat::BaseTextGenerator* out) const override {
        if (is_near(value, kNow)) {
            out->PrintString(fmt::format("now{:+}", value - kNow));
        } else if (is_near(value, kFloor)) {
            out->PrintString(fmt::format("compacted{:+}", value - kFloor));
        } else {
            out->PrintString(std::to_string(value));
        }
    }
    void PrintBytes(const std::string& value, TextFormat::BaseTextGenerator* out) const override {
        if (value.size() <= kBytesShown) {
            FastFieldValuePrinter::PrintBytes(value, out);
            return;
        }
        FastFieldValuePrinter::PrintBytes(value.substr(0, kBytesShown / 4), out);
        out->PrintString(fmt::format("... ({} bytes)", value.size()));
    }
};

}  // namespace

const CallInfo& info_of(Call call) {
    using namespace etcdserverpb;
    using wire::MethodId;
    static const std::array<CallInfo, 8> infos{{
        {"Range", MethodId::kKvRange, &RangeRequest::default_instance(),
         &RangeResponse::default_instance()},
        {"Put", MethodId::kKvPut, &PutRequest::default_instance(),
         &PutResponse::default_instance()},
        {"DeleteRange", MethodId::kKvDeleteRange, &DeleteRangeRequest::default_instance(),
         &DeleteRangeResponse::default_instance()},
        {"Txn", MethodId::kKvTxn, &TxnRequest::default_instance(),
         &TxnResponse::default_instance()},
        {"Compact", MethodId::kKvCompact, &CompactionRequest::default_instance(),
         &CompactionResponse::default_instance()},
        {"Alarm", MethodId::kMaintenanceAlarm, &AlarmRequest::default_instance(),
         &AlarmResponse::default_instance()},
        {"Health.Check", MethodId::kHealthCheck,
         &grpc::health::v1::HealthCheckRequest::default_instance(),
         &grpc::health::v1::HealthCheckResponse::default_instance()},
        {"MemberList", MethodId::kClusterMemberList, &MemberListRequest::default_instance(),
         &MemberListResponse::default_instance()},
    }};
    CAIRN_ASSERT(call != Call::kRestart);
    return infos.at(static_cast<std::size_t>(call));
}

Step step_of(std::shared_ptr<const Message> request) {
    for (int i = 0; i < static_cast<int>(Call::kRestart); ++i) {
        const auto call = static_cast<Call>(i);
        if (info_of(call).request->GetDescriptor() == request->GetDescriptor()) {
            return {.call = call, .request = std::move(request)};
        }
    }
    CAIRN_ASSERT(false);
    return {};
}

Step step_of(const Message& request) {
    std::shared_ptr<Message> copy(request.New());
    copy->CopyFrom(request);
    return step_of(std::shared_ptr<const Message>(std::move(copy)));
}

std::unique_ptr<Message> resolve(const Message& request, const Revisions& revisions) {
    std::unique_ptr<Message> copy(request.New());
    copy->CopyFrom(request);
    resolve_in_place(*copy, revisions);
    return copy;
}

std::string framed(const std::string& message, bool compressed) {
    auto prefix = wire::encode_prefix(message.size());
    prefix[0] = compressed ? '\1' : '\0';
    return std::string(prefix.begin(), prefix.end()) + message;
}

std::string describe(const Message& message) {
    TextFormat::Printer printer;
    printer.SetSingleLineMode(true);
    printer.SetDefaultFieldValuePrinter(new ValuePrinter);  // owned by the printer
    std::string text;
    printer.PrintToString(message, &text);
    return text;
}

std::string describe(const Step& step) {
    if (step.call == Call::kRestart) {
        return "restart of both";
    }
    std::string text = fmt::format("{} {}", info_of(step.call).name, describe(*step.request));
    if (!step.trailing.empty()) {
        text += "then";
        for (const char c : step.trailing.substr(0, kBytesShown)) {
            text += fmt::format(" {:02x}", static_cast<std::uint8_t>(c));
        }
    }
    return step.odd == nullptr ? text : text + " (" + step.odd->what + ")";
}

}  // namespace cairn::diff
