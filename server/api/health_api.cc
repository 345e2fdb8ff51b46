#include "server/api/health_api.h"

#include "base/mutant.h"
#include "proto/grpc/health.pb.h"

namespace cairn::server::api {

Result<Intent> on_health_check(const Call& call, const CallContext& context) {
    grpc::health::v1::HealthCheckRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    if (!request.service().empty() && !CAIRN_MUTANT(api_health_of_any_service)) {
        return Errc::kUnknownService;
    }
    return Intent{Read{
        .kind = ReadKind::kHealth, .linearizable = false, .point = true, .request = call.request}};
}

void append_health(const NodeView& node, std::string& reply) {
    using grpc::health::v1::HealthCheckResponse;
    HealthCheckResponse response;
    response.set_status(node.stopping ? HealthCheckResponse::NOT_SERVING
                                      : HealthCheckResponse::SERVING);
    response.AppendToString(&reply);
}

}  // namespace cairn::server::api
