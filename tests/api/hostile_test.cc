// Any bytes as a request: every served method answers them, and what it lets through is in bounds.
#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "catch.h"
#include <google/protobuf/stubs/logging.h>

#include "base/prng.h"
#include "proto/etcd/rpc.pb.h"
#include "server/api/dispatcher.h"
#include "server/api/read_answer.h"
#include "tests/api/fake_view.h"

namespace cairn::server::api {
namespace {

const Identity kIdentity{.cluster = ClusterId{11}, .member = NodeId{3}};
constexpr RequestLimits kLimits{.txn_ops_max = 8, .request_bytes_max = 400};

std::vector<wire::MethodId> served_methods() {
    std::vector<wire::MethodId> methods;
    for (std::size_t i = 0; i < wire::kMethodCount; ++i) {
        if (validate_method(static_cast<wire::MethodId>(i))) {
            methods.push_back(static_cast<wire::MethodId>(i));
        }
    }
    return methods;
}

// A Txn with something of everything: its bytes are also odd requests of the other methods.
std::string seed_request() {
    etcdserverpb::TxnRequest request;
    auto& compare = *request.add_compare();
    compare.set_key("a");
    compare.set_range_end("b");
    compare.set_mod_revision(3);
    auto& nested = *request.add_success()->mutable_request_txn();
    nested.add_success()->mutable_request_put()->set_key("p");
    auto& erase = *nested.add_failure()->mutable_request_delete_range();
    erase.set_key("q");
    erase.set_range_end("r");
    auto& range = *request.add_failure()->mutable_request_range();
    range.set_key("s");
    range.set_serializable(true);
    range.set_sort_target(etcdserverpb::RangeRequest::MOD);
    return request.SerializeAsString();
}

std::string mutated(std::string bytes, Prng& prng) {
    for (auto count = prng.below(4); count > 0; --count) {
        if (bytes.empty() || prng.below(8) == 0) {
            bytes.insert(prng.below(bytes.size() + 1), 1, static_cast<char>(prng.below(256)));
            continue;
        }
        const auto at = prng.below(bytes.size());
        switch (prng.below(4)) {
            case 0: bytes[at] = static_cast<char>(prng.below(256)); break;
            case 1: bytes.erase(at, 1 + prng.below(4)); break;
            case 2: bytes += bytes.substr(at); break;
            default: bytes[at] = static_cast<char>(bytes[at] ^ (1 << prng.below(8))); break;
        }
    }
    return bytes;
}

void check_answer(const Dispatcher& dispatcher, const Call& call, const NodeView& node) {
    const Intent intent = dispatcher.on_request(call, node);
    if (const auto* propose = std::get_if<Propose>(&intent)) {
        REQUIRE(propose->request.size() < kLimits.request_bytes_max);
        REQUIRE(propose->kind != command::UNKNOWN);
    } else if (const auto* read = std::get_if<Read>(&intent)) {
        const Reply reply =
            answer_read(*read, FakeView(), {.identity = kIdentity, .node = node, .size = {}});
        REQUIRE(reply.status.is_ok() != reply.body.empty());
    } else if (const auto* reject = std::get_if<Reject>(&intent)) {
        REQUIRE_FALSE(format_error(reject->error).status.is_ok());
    }
}

}  // namespace

TEST_CASE("any bytes are answered", "[api][hostile]") {
    const char* given = std::getenv("CAIRN_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 41;
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    // Protobuf prints to stderr about text that is not UTF-8 unless it is told not to.
    auto* const previous = google::protobuf::SetLogHandler(nullptr);
    const Dispatcher dispatcher(kIdentity, kLimits);
    const auto methods = served_methods();
    const std::string base = seed_request();
    NodeView node;
    node.leader = NodeId{5};
    for (int round = 0; round < 30'000; ++round) {
        Call call;
        call.method = methods[prng.below(methods.size())];
        call.request = Bytes::copy_of(mutated(prng.below(8) == 0 ? "" : base, prng));
        check_answer(dispatcher, call, node);
    }
    google::protobuf::SetLogHandler(previous);
}

}  // namespace cairn::server::api
