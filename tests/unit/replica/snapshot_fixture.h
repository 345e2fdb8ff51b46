// Both sides of the flow of snapshots for its tests: views, files made up from their lengths, and
// what goes between. Included by the tests of server/replica only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/checksum.h"
#include "base/prng.h"
#include "server/replica/snapshot_flow.h"

namespace cairn::server::testing {

constexpr NodeId kLeader{1};
constexpr NodeId kFollower{2};
constexpr NodeId kThird{3};
constexpr Term kTerm{7};
constexpr Index kLast{100};

// Those items, work or events, that are a `T`.
template <class T, class Item>
std::vector<T> of(const std::vector<Item>& items) {
    std::vector<T> found;
    for (const auto& item : items) {
        if (const auto* one = std::get_if<T>(&item)) {
            found.push_back(*one);
        }
    }
    return found;
}

// The files of a snapshot, made up from their lengths.
struct Files {
    storage::SnapshotManifest manifest;
    std::vector<std::string> contents;
};

inline Files make_files(const std::vector<std::size_t>& sizes, Prng prng, Index last = kLast) {
    Files files;
    files.manifest.meta.last = {kTerm, last};
    files.manifest.meta.conf.voters = {kLeader, kFollower, kThird};
    files.manifest.revision = 55;
    for (const std::size_t size : sizes) {
        std::string content(size, '\0');
        std::generate(content.begin(), content.end(),
                      [&prng] { return static_cast<char>(prng.below(256)); });
        files.manifest.files.push_back(
            {"f" + std::to_string(files.contents.size()), size, xxh3_64(content)});
        files.contents.push_back(std::move(content));
    }
    return files;
}

inline NodeView leads(NodeId self, Index applied = kLast) {
    NodeView view;
    view.member = self;
    view.leader = self;
    view.term = kTerm;
    view.commit = applied;
    view.applied = applied;
    view.last = applied;
    view.floor = Index{90};
    view.is_leader = true;
    return view;
}

inline NodeView follows(NodeId self, Index commit = {}) {
    NodeView view;
    view.member = self;
    view.leader = kLeader;
    view.term = kTerm;
    view.commit = commit;
    return view;
}

inline Effects wanting(const std::vector<NodeId>& to) {
    Effects effects;
    for (const NodeId follower : to) {
        effects.snapshots_wanted.push_back({.to = follower, .at_least = kLast - 5});
    }
    return effects;
}

inline SnapshotEffects take(SnapshotFlow& flow) {
    SnapshotEffects out;
    flow.take_effects(out);
    return out;
}

inline SnapshotOffer offer_of(const Files& files, Term term = kTerm) {
    return {term, Bytes::copy_of(storage::encode_manifest(files.manifest))};
}

inline SnapshotChunk chunk_of(const Files& files, storage::SnapshotPlace place, std::size_t count) {
    const Bytes data = Bytes::copy_of(files.contents[place.file].substr(place.offset, count));
    return {place, xxh3_64(data.view()), data};
}

inline SnapshotBuilt built_of(const BuildSnapshot& build, const Files& files) {
    return {build.to, build.run, std::optional(files.manifest)};
}

// A leader that has dialled and offered.
struct Offered {
    explicit Offered(const Files& files, SnapshotLimits limits = {}) : flow(kLeader, limits) {
        flow.on_turn(wanting({kFollower}), leads(kLeader));
        const auto build = of<BuildSnapshot>(take(flow).work).at(0);
        flow.on_result(built_of(build, files));
        flow.on_lane(kFollower, true);
        first = take(flow);
    }
    SnapshotFlow flow;
    SnapshotEffects first;
};

}  // namespace cairn::server::testing
