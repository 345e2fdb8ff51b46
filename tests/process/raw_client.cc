#include "process/raw_client.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "client/endpoint.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

std::vector<client::Endpoint> rotated(std::vector<std::string> texts, std::size_t first) {
    const auto middle = static_cast<std::ptrdiff_t>(first % texts.size());
    std::rotate(texts.begin(), texts.begin() + middle, texts.end());
    std::vector<client::Endpoint> endpoints;
    for (const auto& text : texts) {
        endpoints.push_back(client::parse_endpoint(text).value());
    }
    return endpoints;
}

}  // namespace

RawClient::RawClient(std::vector<std::string> endpoints, std::size_t first,
                     std::chrono::nanoseconds request_timeout)
    : request_timeout_(request_timeout),
      balancer_(io_, rotated(std::move(endpoints), first), {.dial_timeout = 500ms}) {}

client::Result<Bytes> RawClient::call(wire::MethodId method, client::CallKind kind,
                                      const std::string& request) {
    return start(method, kind, request).get();
}

std::future<client::Result<Bytes>> RawClient::start(wire::MethodId method, client::CallKind kind,
                                                    const std::string& request) {
    const auto promise = std::make_shared<std::promise<client::Result<Bytes>>>();
    auto future = promise->get_future();
    balancer_.call(
        {.method = method,
         .kind = kind,
         .message = Bytes::copy_of(request),
         .deadline = std::chrono::steady_clock::now() + request_timeout_},
        [promise](client::Result<Bytes> answer) { promise->set_value(std::move(answer)); });
    return future;
}

}  // namespace cairn::process
