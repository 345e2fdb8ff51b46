// SimNode and snapshots: how the state machine's image gets from one node to another.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/sim_node.h"

namespace cairn::sim {
namespace {

constexpr const char* kImageDir = "image";
constexpr const char* kImagePath = "image/mem.image";
constexpr Time kInstallMeanUs = 5'000;
constexpr std::size_t kArrivalsMax = 8;

}  // namespace

// Null when the disk failed.
std::shared_ptr<const std::string> SimNode::make_image() {
    const auto make = [&]() -> Result<std::string> {
        CAIRN_TRY(files_.remove_all(kImageDir));
        CAIRN_TRY(engine_->checkpoint(kImageDir));
        return std::string(kImagePath);
    };
    const auto path = make();
    if (!path) {
        if (!in_trouble()) {
            world_.verdict.fail("S1", "checkpoint: " + to_string(path.error()));
        }
        return nullptr;
    }
    ++world_.counters.disk;
    return std::make_shared<const std::string>(files_.content(path.value()).value());
}

void SimNode::ship(NodeId to) {
    const storage::AppliedState state = state_->applied_state();
    Shipment shipment{
        .message = {.from = id_,
                    .to = to,
                    .term = replica_->view().term,
                    .body = raft::InstallSnapshot{.snapshot = {.last = state.applied,
                                                               .conf = state.conf.value_or(
                                                                   raft::ConfState{})}}},
        .image = make_image(),
        .sender_life = life_};
    if (shipment.image && world_.options.faults.rot > 0 && prng_.chance(1, 8)) {
        std::string rotten = *shipment.image;
        rotten[prng_.below(rotten.size())] ^= 1;
        shipment.image = std::make_shared<const std::string>(std::move(rotten));
        world_.counters.saw(FaultClass::kRot);
    }
    world_.safety.on_send(index_, shipment.message);
    world_.queue.after(draw_time(prng_, 500, world_.options.net.ship_mean_us), std::move(shipment));
}

void SimNode::on_shipped(std::uint32_t life, NodeId to, std::optional<Index> last) {
    if (up() && life == life_) {
        step(server::SnapshotSent{.to = to, .last = last});
    }
}

// Null when the image is damaged. The engine that comes of it keeps nothing in files, as the
// others.
std::shared_ptr<storage::MemEngine> SimNode::load_image(const std::string& image) {
    const auto load = [&]() -> Result<std::shared_ptr<storage::MemEngine>> {
        CAIRN_TRY(files_.remove_all(kImageDir));
        CAIRN_TRY(files_.make_dirs(kImageDir));
        files_.put_file(kImagePath, image);
        CAIRN_TRY(const auto loaded, storage::MemEngine::load(files_, kImageDir));
        storage::WriteBatch all;
        for (std::size_t at = 0; at < storage::kColumnFamilyCount; ++at) {
            const auto family = static_cast<storage::ColumnFamily>(at);
            for (auto it = loaded->iterate(family, {}, {}); it->valid(); it->next()) {
                all.put(family, std::string(it->key()), std::string(it->value()));
            }
        }
        auto engine = std::make_shared<storage::MemEngine>(&files_);
        CAIRN_TRY(engine->write(all));
        CAIRN_TRY(engine->flush());
        return engine;
    };
    auto loaded = load();
    return loaded ? std::move(loaded).value() : nullptr;
}

bool SimNode::receive_snapshot(Shipment shipment) {
    if (!up() || shipment.image == nullptr || load_image(*shipment.image) == nullptr) {
        return false;
    }
    if (arrivals_.size() == kArrivalsMax) {
        arrivals_.erase(arrivals_.begin());
    }
    arrivals_.push_back(
        Arrival{.snapshot = std::get<raft::InstallSnapshot>(shipment.message.body).snapshot,
                .image = std::move(shipment.image)});
    step(server::Receive{.message = std::move(shipment.message)});
    return true;
}

// The replica names the one it wants when no apply is in flight any more.
void SimNode::take_arrival() {
    if (effects_.install) {
        const auto place = std::find_if(
            arrivals_.begin(), arrivals_.end(),
            [&](const Arrival& arrival) { return arrival.snapshot == *effects_.install; });
        if (place == arrivals_.end() || installing_) {
            return world_.verdict.fail(
                "S1", fmt::format("node {} installs a snapshot that has not come", index_));
        }
        installing_ = std::move(*place);
        arrivals_.clear();
        after(draw_time(prng_, 10, kInstallMeanUs), NodeEventKind::kInstall);
    }
}

void SimNode::on_install() {
    CAIRN_ASSERT(installing_ && applying_.empty() && !apply_scheduled_);
    auto engine = load_image(*installing_->image);
    if (engine == nullptr) {
        return fail_storage("install", Error{Errc::kIo, "the snapshot's files do not read"});
    }
    engine_ = std::move(engine);
    const auto replaced = state_->replace(engine_);
    if (!replaced || state_->applied_state().applied != installing_->snapshot.last) {
        return world_.verdict.fail("S1", "the snapshot is not of the index it says");
    }
    engine_began_ = installing_->snapshot;
    ++world_.counters.disk;
    world_.safety.on_installed(index_, installing_->snapshot);
    check_digest();
    maybe_collect();
    server::SnapshotInstalled event{.snapshot = std::move(installing_->snapshot),
                                    .revision = state_->view()->revision(),
                                    .members = state_->applied_state().members};
    installing_.reset();
    step(std::move(event));
}

}  // namespace cairn::sim
