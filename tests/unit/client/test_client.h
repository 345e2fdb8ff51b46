// What the tests of Client share: clients with short timeouts, and answers of a FakeServer.
// Any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "client/client.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "tests/unit/client/fake_server.h"

namespace cairn::client {

inline ClientOptions options_for(std::vector<std::string> endpoints) {
    ClientOptions options;
    options.endpoints = std::move(endpoints);
    options.dial_timeout = std::chrono::milliseconds(300);
    options.request_timeout = std::chrono::seconds(5);
    return options;
}

inline Client client_for(std::vector<std::string> endpoints) {
    Result<Client> client = Client::connect(options_for(std::move(endpoints)));
    REQUIRE(client);
    return std::move(*client);
}

inline FakeReply range_reply(std::int64_t revision) {
    etcdserverpb::RangeResponse response;
    response.mutable_header()->set_revision(revision);
    return {FakeReply::Kind::kAnswer, {}, response.SerializeAsString(), {}};
}

inline FakeReply unavailable(const std::string& text) {
    return {FakeReply::Kind::kAnswer, {GrpcCode::kUnavailable, text}, {}, {}};
}

inline FakeReply silence() { return {FakeReply::Kind::kSilence, {}, {}, {}}; }

}  // namespace cairn::client
