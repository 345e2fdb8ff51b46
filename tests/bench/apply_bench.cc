// What applying puts costs: StateMachine over RocksEngine in a temporary folder, no log, no
// network. Arguments of a row: puts in one apply. CPU time is that of the one thread.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/prng.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "storage/command.h"
#include "storage/rocks_engine.h"
#include "storage/state_machine.h"

namespace cairn::storage {
namespace {

constexpr NodeId kMember{1};
constexpr std::uint64_t kBoot = 1;
constexpr std::size_t kValueBytes = 256;
constexpr std::uint64_t kKeys = 10'000;  // that the overwriting rows draw from
// Rows of another length would meet another size of memtable.
constexpr std::int64_t kPutsInRow = 40'960;

template <class T>
T take(Result<T> result) {
    if (!result) {
        std::abort();
    }
    return std::move(result).value();
}

class World {
  public:
    World() : engine_(take(open_rocks_engine(dir_.path))) {
        machine_ = take(StateMachine::open(engine_, {kMember, kBoot}));
    }

    // The next entry of the log: a put of the key of this number, which stands anywhere in order.
    raft::Entry put(std::uint64_t number) {
        etcdserverpb::PutRequest request;
        request.set_key("key/" + std::to_string(Prng(number).next()));
        request.set_value(value_);
        Command command;
        command.kind = command::PUT;
        command.id = {kMember, kBoot, ++index_};
        command.decided_in = Term{1};
        command.request = Bytes::copy_of(request.SerializeAsString());
        return {{Term{1}, Index{index_}}, raft::EntryKind::kCommand, encode_command(command)};
    }
    void apply(std::span<const raft::Entry> entries) {
        benchmark::DoNotOptimize(take(machine_->apply(entries)));
    }

  private:
    struct TempDir {
        TempDir() {
            path = (std::filesystem::temp_directory_path() / "cairn-apply-XXXXXX").string();
            if (::mkdtemp(path.data()) == nullptr) {
                std::abort();
            }
        }
        TempDir(const TempDir&) = delete;
        TempDir& operator=(const TempDir&) = delete;
        ~TempDir() { std::filesystem::remove_all(path); }
        std::string path;
    };

    TempDir dir_;
    std::shared_ptr<KvEngine> engine_;
    std::unique_ptr<StateMachine> machine_;
    std::string value_ = std::string(kValueBytes, 'x');
    std::uint64_t index_ = 0;
};

// `next` gives the number of the key to put. The entries are made before the clock runs.
template <class Next>
void measure(benchmark::State& state, World& world, Next next) {
    const auto batch = static_cast<std::size_t>(state.range(0));
    std::vector<raft::Entry> entries;
    for (std::int64_t i = 0; i < kPutsInRow; ++i) {
        entries.push_back(world.put(next()));
    }
    std::span<const raft::Entry> rest(entries);
    for (auto _ : state) {
        world.apply(rest.first(batch));
        rest = rest.subspan(batch);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void fresh_keys(benchmark::State& state) {
    World world;
    measure(state, world, [number = std::uint64_t{0}]() mutable { return number++; });
}

void overwritten_keys(benchmark::State& state) {
    World world;
    std::vector<raft::Entry> entries;
    for (std::uint64_t number = 0; number < kKeys; ++number) {
        entries.push_back(world.put(number));
    }
    world.apply(entries);
    measure(state, world, [prng = Prng(1)]() mutable { return prng.below(kKeys); });
}

BENCHMARK(fresh_keys)->Arg(1)->Iterations(kPutsInRow);
BENCHMARK(fresh_keys)->Arg(64)->Iterations(kPutsInRow / 64);
BENCHMARK(fresh_keys)->Arg(512)->Iterations(kPutsInRow / 512);
BENCHMARK(overwritten_keys)->Arg(1)->Iterations(kPutsInRow);
BENCHMARK(overwritten_keys)->Arg(64)->Iterations(kPutsInRow / 64);
BENCHMARK(overwritten_keys)->Arg(512)->Iterations(kPutsInRow / 512);

}  // namespace
}  // namespace cairn::storage

BENCHMARK_MAIN();
