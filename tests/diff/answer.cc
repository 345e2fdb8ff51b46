#include "diff/answer.h"

#include <algorithm>

#include <fmt/format.h>

#include "proto/wire/grpc_frame.h"
#include "proto/wire/gzip.h"

namespace cairn::diff {
namespace {

constexpr std::size_t kMessageBytesMax = 1U << 30U;

// The headers in alphabetical order; of the status, which stands elsewhere, only that it is there.
std::string describe_head(Headers head) {
    std::sort(head.begin(), head.end());
    std::string text = "[";
    for (const auto& [name, value] : head) {
        const bool elsewhere = name == "grpc-status" || name == "grpc-message";
        text += (text.size() > 1 ? " " : "") + name + (elsewhere ? "" : "=" + value);
    }
    return text + "]";
}

void take_status(const Headers& head, Answer& answer) {
    for (const auto& [name, value] : head) {
        if (name == "grpc-status") {
            answer.code = wire::decode_code(value).value_or(wire::GrpcCode::kUnknown);
        } else if (name == "grpc-message") {
            answer.text = value;
        }
    }
}

// Sets the response when there is just one message; says what there is.
std::string take_message(const Step& step, const std::string& body, Answer& answer) {
    wire::GrpcDeframer deframer;
    wire::GrpcFrame frame;
    ByteView rest(body);
    const auto whole = deframer.next(rest, kMessageBytesMax, frame);
    if (!whole.has_value() || !whole.value() || !rest.empty()) {
        return fmt::format("{} bytes that are not one message", body.size());
    }
    const auto bytes = frame.compressed ? wire::gunzip(frame.payload.view(), kMessageBytesMax)
                                        : Result<Bytes>(frame.payload);
    std::shared_ptr<Message> response(info_of(step.call).response->New());
    if (!bytes.has_value() || !response->ParseFromString(std::string(bytes.value().view()))) {
        return "a malformed message";
    }
    answer.response = std::move(response);
    const bool canonical = answer.response->SerializeAsString() == bytes.value().view();
    return fmt::format("{}{}message", frame.compressed ? "compressed " : "",
                       canonical ? "" : "oddly encoded ");
}

}  // namespace

Answer Answer::copy() const {
    Answer result = *this;
    if (response != nullptr) {
        result.response.reset(response->New());
        result.response->CopyFrom(*response);
    }
    return result;
}

RawCall raw_call(const Step& step, const std::string& message) {
    RawCall call{
        .headers = {{":method", "POST"},
                    {":scheme", "http"},
                    {":path", std::string(wire::method_info(info_of(step.call).method).path)},
                    {":authority", "diff"},
                    {"content-type", "application/grpc"},
                    {"te", "trailers"},
                    {"user-agent", "cairn-diff"}},
        .body = framed(message)};
    if (step.odd == nullptr) {
        return call;
    }
    for (const auto& [name, value] : step.odd->headers) {
        const auto found = std::find_if(call.headers.begin(), call.headers.end(),
                                        [&](const auto& header) { return header.first == name; });
        if (!value.has_value()) {
            call.headers.erase(found);
        } else if (found == call.headers.end()) {
            call.headers.emplace_back(name, *value);
        } else {
            found->second = *value;
        }
    }
    if (step.odd->body != nullptr) {
        call.body = step.odd->body(message);
    }
    return call;
}

Answer answer_of(const Step& step, const RawAnswer& raw) {
    Answer answer{.code = wire::GrpcCode::kUnknown};
    for (std::size_t i = 0; i < raw.heads.size(); ++i) {
        answer.envelope += describe_head(raw.heads[i]);
        take_status(raw.heads[i], answer);
        if (i == 0 && !raw.body.empty()) {
            answer.envelope += " " + take_message(step, raw.body, answer) + " ";
        }
    }
    answer.envelope += raw.broken;
    return answer;
}

std::string describe(const Answer& answer) {
    return fmt::format("{} \"{}\" {} {}", wire::grpc_code_name(answer.code), answer.text,
                       answer.response == nullptr ? "" : describe(*answer.response),
                       answer.envelope);
}

}  // namespace cairn::diff
