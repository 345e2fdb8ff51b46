// Any bytes as requests of any method: each is answered, and what the API lets into the log can be
// applied by every member, to a store that the requests before have left.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <google/protobuf/stubs/logging.h>

#include "base/assert.h"
#include "raft/conf_change.h"
#include "server/api/dispatcher.h"
#include "server/api/read_answer.h"
#include "storage/command.h"
#include "storage/mem_engine.h"
#include "storage/state_machine.h"
#include "tests/fuzz/pieces.h"

namespace cairn::server::api {
namespace {

// Protobuf prints a line for each text field that is no UTF-8.
[[maybe_unused]] auto* const kQuiet = google::protobuf::SetLogHandler(nullptr);

constexpr std::size_t kCallsMax = 16;
constexpr Term kTerm{7};
constexpr std::uint64_t kBoot = 33;
const Identity kIdentity{.cluster = ClusterId{11}, .member = NodeId{3}};
constexpr RequestLimits kLimits{.txn_ops_max = 8, .request_bytes_max = 2000};

class Member {
  public:
    Member() {
        auto opened =
            storage::StateMachine::open(engine_, {.member = kIdentity.member, .boot = kBoot});
        CAIRN_ASSERT(opened.has_value());
        machine_ = std::move(opened).value();
        node_.member = node_.leader = kIdentity.member;
        node_.term = kTerm;
        command::MemberInfo self;
        self.set_id(kIdentity.member.value);
        change_members(raft::ConfChangeKind::kBootstrapVoter,
                       Bytes::copy_of(self.SerializeAsString()));
    }

    void serve(wire::MethodId method, std::string_view request) {
        if (!validate_method(method)) {
            return;
        }
        Call call;
        call.method = method;
        call.request = Bytes::copy_of(request);
        std::visit([this](const auto& intent) { carry_out(intent); },
                   dispatcher_.on_request(call, node_));
    }

  private:
    static void carry_out(const Reject& reject) {
        CAIRN_ASSERT(!format_error(reject.error).status.is_ok());
    }

    void carry_out(const Propose& propose) {
        CAIRN_ASSERT(propose.request.size() < kLimits.request_bytes_max);
        storage::Command command;
        command.kind = propose.kind;
        command.id = {kIdentity.member, kBoot, applied_ + 1};
        command.request = propose.request;
        Bytes payload = storage::encode_command(command);
        // Which change it is to the core makes no difference to the state machine.
        const auto output = storage::is_member_change(propose.kind)
                                ? change_members(raft::ConfChangeKind::kUpdate, std::move(payload))
                                : apply(raft::EntryKind::kCommand, std::move(payload));
        CAIRN_ASSERT(output.results.size() == 1);
        const storage::ApplyResult& result = output.results.front();
        CAIRN_ASSERT(result.id == command.id);
        // The API has parsed it, so that the state machine must be able to.
        CAIRN_ASSERT(result.error != Errc::kMalformedRequest);
    }

    void carry_out(const Read& read) const {
        const auto view = machine_->view();
        const Reply reply =
            answer_read(read, *view, {.identity = kIdentity, .node = node_, .size = {}});
        CAIRN_ASSERT(reply.status.is_ok() != reply.body.empty());
        CAIRN_ASSERT(reply == answer_read(read, *view, {kIdentity, node_, {}}));
    }

    void carry_out(const ReplyNow& reply) const {
        CAIRN_ASSERT(dispatcher_.format(reply, machine_->view()->revision(), kTerm).status.is_ok());
    }

    static void carry_out(const MoveLeader& move) { CAIRN_ASSERT(move.to); }

    static void carry_out(const SendSnapshot& /*snapshot*/) {}

    storage::ApplyOutput apply(raft::EntryKind kind, Bytes payload) {
        raft::Entry entry;
        entry.id = {kTerm, Index{++applied_}};
        entry.kind = kind;
        entry.payload = std::move(payload);
        auto output = machine_->apply({&entry, 1});
        CAIRN_ASSERT(output.has_value());
        return std::move(output).value();
    }

    storage::ApplyOutput change_members(raft::ConfChangeKind kind, Bytes context) {
        return apply(raft::EntryKind::kConfig,
                     raft::encode_conf_change(
                         {.kind = kind, .node = kIdentity.member, .context = std::move(context)}));
    }

    const Dispatcher dispatcher_{kIdentity, kLimits};
    NodeView node_;
    std::shared_ptr<storage::MemEngine> engine_ = std::make_shared<storage::MemEngine>();
    std::unique_ptr<storage::StateMachine> machine_;
    std::uint64_t applied_ = 0;
};

}  // namespace
}  // namespace cairn::server::api

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cairn;
    server::api::Member member;
    for (const FuzzPiece& piece :
         cut_into_pieces({reinterpret_cast<const char*>(data), size}, server::api::kCallsMax)) {
        member.serve(static_cast<wire::MethodId>(piece.kind % wire::kMethodCount), piece.bytes);
    }
    return 0;
}
