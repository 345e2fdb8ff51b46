// A state machine over a MemEngine with commands spelled out: what most tests of storage/ drive.
// One thread; owned by a test.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catch.h"

#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "raft/conf_change.h"
#include "storage/command.h"
#include "storage/mem_engine.h"
#include "storage/state_machine.h"

namespace cairn::storage::test {

inline constexpr NodeId kSelf{7};
inline constexpr std::uint64_t kBoot = 70;

inline etcdserverpb::PutRequest put_of(const std::string& key, const std::string& value) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value(value);
    return request;
}

inline etcdserverpb::DeleteRangeRequest delete_of(const std::string& key,
                                                  const std::string& end = "") {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(key);
    request.set_range_end(end);
    return request;
}

inline etcdserverpb::RangeRequest range_of(const std::string& key, const std::string& end = "",
                                           std::int64_t revision = 0) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    request.set_range_end(end);
    request.set_revision(revision);
    return request;
}

inline const std::string kOpenEnd(1, '\0');

// The last index handed out is remembered, so tests only name requests.
class Fixture {
  public:
    explicit Fixture(std::shared_ptr<MemEngine> memory = std::make_shared<MemEngine>())
        : memory_(std::move(memory)) {
        reopen();
    }

    void reopen() {
        machine_.reset();
        auto opened = StateMachine::open(memory_, {kSelf, kBoot});
        REQUIRE(opened.has_value());
        machine_ = std::move(opened.value());
    }

    raft::Entry entry(command::CommandKind kind, const google::protobuf::MessageLite& request) {
        Command command;
        command.kind = kind;
        command.id = {kSelf, kBoot, ++sequence_};
        command.decided_in = Term{1};
        command.request = Bytes::copy_of(request.SerializeAsString());
        return {next_id(), raft::EntryKind::kCommand, encode_command(command)};
    }
    raft::EntryId next_id() { return {Term{1}, Index{++index_}}; }

    ApplyOutput apply(const std::vector<raft::Entry>& entries) {
        auto output = machine_->apply(entries);
        if (!output) {
            FAIL(to_string(output.error()));
        }
        return std::move(output.value());
    }

    // One command by itself; its result.
    ApplyResult run(command::CommandKind kind, const google::protobuf::MessageLite& request) {
        ApplyOutput output = apply({entry(kind, request)});
        REQUIRE(output.results.size() == 1);
        last_ = output;
        return output.results.front();
    }

    // A configuration entry without a command.
    ApplyOutput apply_change(const raft::ConfChange& change) {
        return apply({{next_id(), raft::EntryKind::kConfig, raft::encode_conf_change(change)}});
    }
    // One of `node` that carries such a command; its result.
    ApplyResult run_change(raft::ConfChangeKind kind, NodeId node, command::CommandKind command,
                           const command::MemberInfo& info) {
        raft::Entry inner = entry(command, info);
        inner.kind = raft::EntryKind::kConfig;
        inner.payload = raft::encode_conf_change({kind, node, inner.payload});
        ApplyOutput output = apply({inner});
        REQUIRE(output.results.size() == 1);
        last_ = output;
        return output.results.front();
    }

    template <class Response>
    static Response parse(const std::string& body) {
        Response response;
        REQUIRE(response.ParseFromString(body));
        return response;
    }

    etcdserverpb::PutResponse put(const etcdserverpb::PutRequest& request) {
        const ApplyResult result = run(command::PUT, request);
        REQUIRE_FALSE(result.error.has_value());
        return parse<etcdserverpb::PutResponse>(std::string(result.body.view()));
    }
    etcdserverpb::PutResponse put(const std::string& key, const std::string& value) {
        return put(put_of(key, value));
    }
    etcdserverpb::DeleteRangeResponse del(const etcdserverpb::DeleteRangeRequest& request) {
        const ApplyResult result = run(command::DELETE_RANGE, request);
        REQUIRE_FALSE(result.error.has_value());
        return parse<etcdserverpb::DeleteRangeResponse>(std::string(result.body.view()));
    }
    etcdserverpb::TxnResponse txn(const etcdserverpb::TxnRequest& request) {
        const ApplyResult result = run(command::TXN, request);
        REQUIRE_FALSE(result.error.has_value());
        return parse<etcdserverpb::TxnResponse>(std::string(result.body.view()));
    }
    std::optional<Errc> txn_error(const etcdserverpb::TxnRequest& request) {
        return run(command::TXN, request).error;
    }
    std::optional<Errc> compact(std::int64_t revision, bool physical = false) {
        etcdserverpb::CompactionRequest request;
        request.set_revision(revision);
        request.set_physical(physical);
        return run(command::COMPACT, request).error;
    }
    void collect_all() {
        while (machine_->has_garbage()) {
            REQUIRE(machine_->collect_garbage(3).has_value());
        }
    }

    etcdserverpb::RangeResponse range(const etcdserverpb::RangeRequest& request) const {
        std::string body;
        REQUIRE(machine_->view()->range(request, body).has_value());
        return parse<etcdserverpb::RangeResponse>(body);
    }
    std::optional<Errc> range_error(const etcdserverpb::RangeRequest& request) const {
        std::string body;
        const auto done = machine_->view()->range(request, body);
        REQUIRE(body.empty());
        return done ? std::nullopt : std::optional<Errc>(done.error().code);
    }
    // "k=v" of every pair, joined by spaces.
    std::string show(const etcdserverpb::RangeRequest& request) const {
        std::string text;
        const etcdserverpb::RangeResponse response = range(request);
        for (const auto& kv : response.kvs()) {
            text += (text.empty() ? "" : " ") + kv.key() + "=" + kv.value();
        }
        return text;
    }
    std::string show_all(std::int64_t revision = 0) const {
        return show(range_of(kOpenEnd, kOpenEnd, revision));
    }

    // An entry was applied that entry() did not make.
    void skip_index() { ++index_; }
    StateMachine& machine() { return *machine_; }
    MemEngine& memory() { return *memory_; }
    [[nodiscard]] std::int64_t revision() const { return machine_->view()->revision(); }
    [[nodiscard]] const ApplyOutput& last() const { return last_; }
    void forget_last() { last_ = {}; }

  private:
    std::shared_ptr<MemEngine> memory_;
    std::unique_ptr<StateMachine> machine_;
    std::uint64_t index_ = 0;
    std::uint64_t sequence_ = 0;
    ApplyOutput last_;
};

}  // namespace cairn::storage::test
