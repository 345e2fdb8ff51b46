// Long random programs over a state machine, held against the model at every step: commands in
// batches, reads with every option, compaction, collection, flushes, crashes with replay.
// One thread; owned by a test. Everything comes from the seed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "model.h"
#include "storage/engine.h"
#include "storage/mem_engine.h"
#include "storage/state_machine.h"

namespace cairn::storage::test {

// An engine that can lose what it has not flushed.
class Host {
  public:
    virtual ~Host() = default;
    [[nodiscard]] virtual std::shared_ptr<KvEngine> shared() = 0;
    KvEngine& engine() { return *shared(); }
    virtual void crash() = 0;
};

class MemHost final : public Host {
  public:
    [[nodiscard]] std::shared_ptr<KvEngine> shared() override { return engine_; }
    void crash() override { engine_ = engine_->after_crash(); }

  private:
    std::shared_ptr<MemEngine> engine_ = std::make_shared<MemEngine>();
};

// CAIRN_SEED when set, else `fallback`.
std::uint64_t seed_or(std::uint64_t fallback);

class Program {
  public:
    Program(Host& host, std::uint64_t seed);
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    // `steps` random steps; fails the test at the first difference.
    void run(int steps);
    // Collects everything, then looks at what is physically left.
    void check_collected();
    // HashKV at every readable revision against a member that never collects or crashes.
    void check_hashes();
    // All pairs of all families, for comparing engines.
    std::string dump();

  private:
    void open();
    void step();
    void apply_some();
    raft::Entry make_entry(command::CommandKind kind, const google::protobuf::MessageLite& request);
    void read_some();
    void read_txn();
    void crash_and_replay();
    void check_events(const ApplyOutput& output) const;
    std::uint64_t count(ColumnFamily family);

    std::string key();
    std::string end_of(const std::string& key);
    std::string value();
    std::int64_t revision_around();
    etcdserverpb::PutRequest random_put();
    etcdserverpb::DeleteRangeRequest random_delete();
    etcdserverpb::RangeRequest random_range();
    etcdserverpb::Compare random_guard();
    etcdserverpb::TxnRequest random_txn(int depth, bool reads_only);

    Host& host_;
    Prng prng_;
    std::unique_ptr<StateMachine> machine_;
    std::unique_ptr<StateMachine> twin_;
    Model model_;
    std::vector<raft::Entry> log_;
    std::uint64_t sequence_ = 0;
};

}  // namespace cairn::storage::test
