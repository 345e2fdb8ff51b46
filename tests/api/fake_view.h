// FakeView: a store for answer_read that shows what it was asked, in place of a ReadView.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "proto/cairn/command.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"

namespace cairn::server::api {

struct FakeHash {
    std::uint32_t hash{};
    std::int64_t compact_revision{};
    std::int64_t hash_revision{};
};

class FakeView {
  public:
    [[nodiscard]] std::int64_t revision() const { return 42; }

    Result<void> range(const etcdserverpb::RangeRequest& request, std::string& body) const {
        if (request.revision() > revision()) {
            body += "half an answer";
            return Errc::kFutureRev;
        }
        etcdserverpb::RangeResponse response;
        response.add_kvs()->set_key("found " + request.key());
        response.set_count(1);
        response.AppendToString(&body);
        return ok();
    }

    Result<void> read_txn(const etcdserverpb::TxnRequest& request, std::string& body) const {
        etcdserverpb::TxnResponse response;
        response.set_succeeded(true);
        for (int i = 0; i < request.success_size(); ++i) {
            response.add_responses()->mutable_response_range()->set_count(i);
        }
        response.AppendToString(&body);
        return ok();
    }

    // Compacted at 0 up to revision 9, at 5 from there.
    [[nodiscard]] Result<FakeHash> hash_kv(std::int64_t at) const {
        if (at > revision()) {
            return Errc::kFutureRev;
        }
        return FakeHash{.hash = 7, .compact_revision = at < 10 ? 0 : 5, .hash_revision = at};
    }

    [[nodiscard]] Result<std::vector<command::MemberInfo>> members() const {
        std::vector<command::MemberInfo> list(2);
        list[0].set_id(3);
        list[0].set_name("a");
        list[0].add_peer_urls("http://a:2380");
        list[0].add_client_urls("http://a:2379");
        list[0].add_client_urls("http://a2:2379");
        list[1].set_id(~std::uint64_t{0});
        list[1].add_peer_urls("http://b:2380");
        list[1].set_is_learner(true);
        return list;
    }

    [[nodiscard]] Result<std::vector<etcdserverpb::AlarmMember>> alarms() const {
        std::vector<etcdserverpb::AlarmMember> list(2);
        list[0].set_memberid(3);
        list[0].set_alarm(etcdserverpb::NOSPACE);
        list[1].set_memberid(5);
        list[1].set_alarm(etcdserverpb::CORRUPT);
        return list;
    }
};

}  // namespace cairn::server::api
