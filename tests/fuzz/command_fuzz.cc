// Whatever an entry of the log carries is refused or applied; what is applied depends on nothing
// but the entries, is still there after a restart, and keeps what garbage collection must not
// touch.

#include "storage/command.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/stubs/logging.h>

#include "base/assert.h"
#include "raft/conf_change.h"
#include "storage/mem_engine.h"
#include "storage/state_machine.h"
#include "tests/fuzz/pieces.h"

namespace cairn::storage {
namespace {

// Protobuf prints a line for each text field that is no UTF-8.
[[maybe_unused]] auto* const kQuiet = google::protobuf::SetLogHandler(nullptr);

constexpr std::size_t kEntriesMax = 16;
constexpr std::uint64_t kGarbageBudget = 3;
constexpr StateMachineOptions kOptions{.member = NodeId{3}, .boot = 33};

void check_command(const Bytes& payload) {
    const auto command = decode_command(payload);
    if (!command.has_value()) {
        return;
    }
    CAIRN_ASSERT(encode_command(command.value()).view() == payload.view());
    CAIRN_ASSERT(decode_command_id(payload.view()).value() == command.value().id);
}

void check_conf_change(const Bytes& payload) {
    const auto change = raft::decode_conf_change(payload);
    if (!change.has_value()) {
        return;
    }
    const auto again = raft::decode_conf_change(raft::encode_conf_change(change.value()));
    CAIRN_ASSERT(again.has_value() && again.value() == change.value());
}

// What all members must agree on.
struct Summary {
    raft::EntryId applied;
    std::int64_t revision{};
    std::int64_t compacted{};
    std::uint32_t hash{};

    bool operator==(const Summary&) const = default;
};

class Member {
  public:
    Member() { restart(); }

    void restart() {
        machine_.reset();
        auto opened = StateMachine::open(engine_, kOptions);
        CAIRN_ASSERT(opened.has_value());
        machine_ = std::move(opened).value();
    }

    // False when the member must stop.
    bool apply(const std::vector<raft::Entry>& entries) {
        return machine_->apply(entries).has_value();
    }

    void collect_all_garbage() {
        while (machine_->has_garbage()) {
            CAIRN_ASSERT(machine_->collect_garbage(kGarbageBudget).has_value());
        }
    }

    [[nodiscard]] Summary summary() const {
        const auto view = machine_->view();
        const auto hash = view->hash_kv(0);
        CAIRN_ASSERT(hash.has_value() && view->members().has_value() && view->alarms().has_value());
        return {view->applied(), view->revision(), view->compacted(), hash.value().hash};
    }

  private:
    std::shared_ptr<MemEngine> engine_ = std::make_shared<MemEngine>();
    std::unique_ptr<StateMachine> machine_;
};

std::vector<raft::Entry> entries_of(std::string_view input) {
    std::vector<raft::Entry> entries;
    for (const FuzzPiece& piece : cut_into_pieces(input, kEntriesMax)) {
        raft::Entry entry;
        entry.id = {Term{1}, Index{entries.size() + 1}};
        entry.kind = static_cast<raft::EntryKind>(piece.kind % 4);
        entry.payload = Bytes::copy_of(piece.bytes);
        entries.push_back(std::move(entry));
    }
    return entries;
}

void check_entries(const std::vector<raft::Entry>& entries) {
    Member one_by_one;
    std::vector<raft::Entry> applied;
    for (const raft::Entry& entry : entries) {
        check_command(entry.payload);
        check_conf_change(entry.payload);
        if (one_by_one.apply({entry})) {
            applied.push_back(entry);
        } else {
            break;
        }
    }
    if (applied.empty()) {
        return;
    }
    Member at_once;
    CAIRN_ASSERT(at_once.apply(applied));
    const Summary summary = one_by_one.summary();
    CAIRN_ASSERT(at_once.summary() == summary);
    at_once.collect_all_garbage();
    CAIRN_ASSERT(at_once.summary() == summary);
    at_once.restart();
    CAIRN_ASSERT(at_once.summary() == summary);
}

}  // namespace
}  // namespace cairn::storage

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cairn::storage;
    check_entries(entries_of({reinterpret_cast<const char*>(data), size}));
    return 0;
}
