// What two members say to each other about a snapshot, on the connection that carries it.
// Values; any thread. The leader's side: SnapshotOffer, SnapshotChunk; the follower's: the rest.
// Never about entries or votes: those go their own way, and a slow snapshot does not hold them up.
#pragma once

#include <cstdint>
#include <variant>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "storage/snapshot.h"

namespace cairn::server {

// The first word, again after each new connection. Answered by SnapshotWant, SnapshotDone (the
// follower has as much already) or SnapshotRefused.
struct SnapshotOffer {
    Term term;       // the leader's
    Bytes manifest;  // storage::encode_manifest
    bool operator==(const SnapshotOffer&) const = default;
};

// A piece of a file, never across a file's end. In the order of the manifest, without gaps from the
// place last wanted.
struct SnapshotChunk {
    storage::SnapshotPlace place;
    std::uint64_t checksum{};  // XXH3-64 of the data, from when it was read
    Bytes data;
    bool operator==(const SnapshotChunk&) const = default;
};

// Send from here on: what is on its way already is of no use.
struct SnapshotWant {
    storage::SnapshotPlace place;
    bool operator==(const SnapshotWant&) const = default;
};

// Everything before this place is written.
struct SnapshotAck {
    storage::SnapshotPlace place;
    bool operator==(const SnapshotAck&) const = default;
};

// The last word: the snapshot, or something newer, is the follower's state over any crash.
struct SnapshotDone {
    bool operator==(const SnapshotDone&) const = default;
};

// The last word: not now, or not this one.
struct SnapshotRefused {
    Errc reason{};
    bool operator==(const SnapshotRefused&) const = default;
};

// The position is the number on the wire (docs/formats/peer.md): append only.
using SnapshotMessage = std::variant<SnapshotOffer, SnapshotChunk, SnapshotWant, SnapshotAck,
                                     SnapshotDone, SnapshotRefused>;

// A larger piece is not taken.
inline constexpr std::size_t kSnapshotChunkBytesMax = 1024U * 1024U;

}  // namespace cairn::server
