// A member's storage as a start opens it, and snapshots that travel from one to another: what the
// tests of the snapshot store drive, with either engine.
// One thread; owned by a test.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "proto/etcd/rpc_kv.pb.h"
#include "raft/conf_change.h"
#include "storage/command.h"
#include "storage/log_store.h"
#include "storage/snapshot_store.h"
#include "storage/state_machine.h"

namespace cairn::storage::test {

// What must be equal in members with the same history.
struct Picture {
    raft::EntryId applied;
    std::optional<raft::ConfState> conf;
    std::int64_t revision{};
    std::uint32_t hash{};

    bool operator==(const Picture&) const = default;
};

class Member {
  public:
    Member(FileSystem& files, EngineKind& kind, std::string dir,
           SnapshotStoreOptions options = {.free_bytes_min = 0})
        : files_(files), kind_(kind), dir_(std::move(dir)), options_(options) {}

    // As a start does: engine, log, state machine.
    Result<void> open() {
        close();
        CAIRN_TRY(auto opened, SnapshotStore::open(files_, kind_, dir_, options_));
        store_ = std::move(opened.store);
        CAIRN_TRY(auto log, LogStore::open(files_, dir_ + "/wal",
                                           {.segment_bytes = 16U * 1024U, .recycle_max = 1}));
        log_ = std::move(log.log);
        CAIRN_TRY(const AppliedState state, read_applied_state(*opened.engine));
        CAIRN_TRY(const auto missing,
                  follow_install(opened.installed, state.applied, log.recovered));
        if (missing) {
            CAIRN_TRY(log_->append(std::span(&*missing, 1)));
        }
        recovered_ = std::move(log.recovered);
        CAIRN_TRY(machine_, StateMachine::open(std::move(opened.engine), {NodeId{1}, 1}));
        index_ = state.applied.index.value;
        return ok();
    }
    void close() {
        machine_.reset();
        log_.reset();
        store_.reset();
    }

    // The first entry of every member's log.
    void bootstrap() {
        apply(raft::EntryKind::kConfig,
              raft::encode_conf_change({raft::ConfChangeKind::kBootstrapVoter, NodeId{1}, {}}));
    }
    void put(const std::string& key, const std::string& value) {
        etcdserverpb::PutRequest request;
        request.set_key(key);
        request.set_value(value);
        Command command;
        command.kind = command::PUT;
        command.id = {NodeId{1}, 1, ++sequence_};
        command.decided_in = Term{2};
        command.request = Bytes::copy_of(request.SerializeAsString());
        apply(raft::EntryKind::kCommand, encode_command(command));
    }

    // Receives, installs, and has the log begin anew, as the core does.
    Result<void> take(FileSystem& from_files, const BuiltSnapshot& from,
                      std::size_t piece_bytes = 300) {
        CAIRN_TRY(transfer(from_files, from, piece_bytes));
        CAIRN_TRY(const raft::SnapshotMeta snapshot, store_->finish());
        CAIRN_TRY(auto engine, store_->install(snapshot));
        CAIRN_TRY(machine_->replace(std::move(engine)));
        raft::PersistBatch batch;
        batch.floor = snapshot;
        batch.restart = true;
        batch.hard_state = raft::HardState{Term{9}, {}, snapshot.last.index};
        CAIRN_TRY(log_->append(std::span(&batch, 1)));
        index_ = snapshot.last.index.value;
        return store_->tidy();
    }
    Result<void> transfer(FileSystem& from_files, const BuiltSnapshot& from,
                          std::size_t piece_bytes = 300) {
        SnapshotReader reader(from_files, from.dir, from.manifest);
        CAIRN_TRY(SnapshotPlace place, store_->receive(from.manifest));
        // What a crash left of a file is in doubt until the file is whole; it then begins anew.
        bool doubted = place != SnapshotPlace{};
        while (place.file < from.manifest.files.size()) {
            CAIRN_TRY(const std::string piece, reader.read(place, piece_bytes));
            const SnapshotPlace next = reader.after(place, piece.size());
            const auto written = store_->write(place, piece);
            if (written.has_error() && written.error().code == Errc::kCorrupt &&
                std::exchange(doubted, false)) {
                place = store_->received_to().value();
                continue;
            }
            CAIRN_TRY(place, written);
            CHECK(place == next);
        }
        return ok();
    }

    [[nodiscard]] Picture picture() const {
        const AppliedState state = machine_->applied_state();
        return {state.applied, state.conf, state.revision,
                machine_->view()->hash_kv(0).value().hash};
    }
    // The core would refuse a log that ends below the engine, or begins above it.
    void check_log() const {
        const Index applied = machine_->applied_state().applied.index;
        CHECK(recovered_.floor.last.index <= applied);
        CHECK(recovered_.floor.last.index + recovered_.entries.size() >= applied);
        CHECK(recovered_.hard_state.term >= machine_->applied_state().applied.term);
    }

    SnapshotStore& store() { return *store_; }
    StateMachine& machine() { return *machine_; }
    [[nodiscard]] const std::string& dir() const { return dir_; }

  private:
    void apply(raft::EntryKind kind, Bytes payload) {
        raft::PersistBatch batch;
        batch.hard_state = raft::HardState{Term{2}, {}, Index{index_}};
        batch.entries = {{{Term{2}, Index{++index_}}, kind, std::move(payload)}};
        REQUIRE(log_->append(std::span(&batch, 1)).has_value());
        REQUIRE(machine_->apply(batch.entries).has_value());
    }

    FileSystem& files_;
    EngineKind& kind_;
    const std::string dir_;
    const SnapshotStoreOptions options_;
    std::unique_ptr<SnapshotStore> store_;
    std::unique_ptr<LogStore> log_;
    std::unique_ptr<StateMachine> machine_;
    raft::Recovered recovered_;
    std::uint64_t index_ = 0;
    std::uint64_t sequence_ = 0;
};

// A member with `count` keys above its bootstrap, none of it flushed.
inline void fill(Member& member, const std::string& prefix, int count) {
    REQUIRE(member.open().has_value());
    member.bootstrap();
    for (int i = 0; i < count; ++i) {
        member.put(prefix + std::to_string(i), "value " + std::to_string(i));
    }
}

}  // namespace cairn::storage::test
