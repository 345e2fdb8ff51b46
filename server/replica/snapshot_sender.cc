#include "server/replica/snapshot_sender.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace cairn::server {

// The core has forgotten what it asked for when it led before.
void SnapshotSender::on_view(const NodeView& view) {
    if (!view.is_leader || view.term != view_.term) {
        drop_all();
    }
    view_ = view;
}

void SnapshotSender::on_peers(const PeerSet& peers) {
    for (auto at = sends_.begin(); at != sends_.end();) {
        const NodeId to = at->first;
        const bool stays =
            std::any_of(peers.members.begin(), peers.members.end(),
                        [&](const command::MemberInfo& member) { return member.id() == to.value; });
        if (!stays) {
            release(to, at->second);
        }
        at = stays ? std::next(at) : sends_.erase(at);
    }
    stats_.sending = sends_.size();
}

void SnapshotSender::drop_all() {
    for (const auto& [to, send] : sends_) {
        release(to, send);
    }
    sends_.clear();
    stats_.sending = 0;
}

bool SnapshotSender::is_open(const Send& send) {
    return send.stage != Stage::kBuilding && send.stage != Stage::kPausing;
}

SnapshotSender::Sends::iterator SnapshotSender::find_open(NodeId to) {
    const auto found = sends_.find(to);
    return found != sends_.end() && is_open(found->second) ? found : sends_.end();
}

void SnapshotSender::release(NodeId to, const Send& send) {
    if (is_open(send)) {
        out_.lanes.emplace_back(to, false);
    }
    if (send.stage != Stage::kPausing) {
        out_.work.emplace_back(DropSnapshot{to});
    }
}

void SnapshotSender::wanted(const raft::SnapshotWanted& wanted) {
    const NodeId to = wanted.to;
    if (const auto former = sends_.find(to); former != sends_.end()) {
        release(to, former->second);
    }
    Send& send = sends_[to] = Send{};
    send.run = ++runs_;
    stats_.sending = sends_.size();
    out_.work.emplace_back(BuildSnapshot{to, wanted.at_least, send.run});
    note(SnapshotNoteKind::kBuildBegun, to, send);
}

void SnapshotSender::on(SnapshotBuilt built) {
    const auto found = sends_.find(built.to);
    if (found == sends_.end() || found->second.stage != Stage::kBuilding ||
        found->second.run != built.run) {
        return;
    }
    Send& send = found->second;
    if (built.manifest.has_error()) {
        return fail(built.to, send, built.manifest.error().code);
    }
    send.last = built.manifest.value().meta.last.index;
    send.layout = SnapshotLayout(built.manifest.value());
    send.manifest = Bytes::copy_of(storage::encode_manifest(built.manifest.value()));
    send.stage = Stage::kDialling;
    out_.lanes.emplace_back(built.to, true);
    note(SnapshotNoteKind::kSendBegun, built.to, send);
}

void SnapshotSender::on_lane(NodeId to, bool up) {
    const auto found = find_open(to);
    if (found == sends_.end()) {
        return;
    }
    Send& send = found->second;
    send.stage = up ? Stage::kOffered : Stage::kDialling;
    send.reading = false;
    send.run = ++runs_;
    if (up) {
        out_.send.emplace_back(to, SnapshotOffer{view_.term, send.manifest});
    }
}

void SnapshotSender::on(NodeId from, const SnapshotWant& want) {
    const auto found = find_open(from);
    if (found == sends_.end() || found->second.stage == Stage::kDialling) {
        return;
    }
    Send& send = found->second;
    const auto position = send.layout.position_of(want.place);
    if (!position) {
        return fail(from, send, Errc::kProtocol);
    }
    const bool resumed = send.stage == Stage::kOffered && *position > 0;
    send.stage = Stage::kSending;
    send.reading = false;
    send.run = ++runs_;
    send.next = *position;
    progress(send, *position);
    if (resumed) {
        note(SnapshotNoteKind::kSendResumed, from, send);
    }
    pump();
}

void SnapshotSender::on(NodeId from, const SnapshotAck& ack) {
    const auto found = find_open(from);
    if (found == sends_.end() || found->second.stage != Stage::kSending) {
        return;
    }
    Send& send = found->second;
    const auto position = send.layout.position_of(ack.place);
    if (!position || *position > send.next) {
        return fail(from, send, Errc::kProtocol);
    }
    progress(send, *position);
    pump();
}

// Going over the same ground again is no progress.
void SnapshotSender::progress(Send& send, std::uint64_t position) {
    send.acked = position;
    if (position > send.best) {
        send.best = position;
        send.silent_ticks = 0;
    }
}

void SnapshotSender::on(NodeId from, const SnapshotDone& /*done*/) {
    const auto found = find_open(from);
    if (found == sends_.end() || found->second.stage == Stage::kDialling) {
        return;
    }
    const Send& send = found->second;
    release(from, send);
    out_.events.emplace_back(SnapshotSent{from, send.last});
    note(SnapshotNoteKind::kSendDone, from, send);
    ++stats_.sends;
    sends_.erase(found);
    stats_.sending = sends_.size();
}

void SnapshotSender::on(NodeId from, const SnapshotRefused& refused) {
    if (const auto found = find_open(from); found != sends_.end()) {
        fail(from, found->second, refused.reason);
    }
}

void SnapshotSender::on(PieceRead read) {
    const auto found = find_open(read.to);
    if (found == sends_.end() || found->second.run != read.run) {
        return;
    }
    Send& send = found->second;
    send.reading = false;
    if (read.chunk.has_error()) {
        return fail(read.to, send, read.chunk.error().code);
    }
    SnapshotChunk& chunk = read.chunk.value();
    send.next += chunk.data.size();
    stats_.bytes_sent += chunk.data.size();
    out_.send.emplace_back(read.to, std::move(chunk));
    pump();
}

bool SnapshotSender::may_read(const Send& send) const {
    return send.stage == Stage::kSending && !send.reading && send.next < send.layout.bytes() &&
           send.next - send.acked < limits_.window_bytes &&
           (limits_.bytes_per_tick == 0 || allowance_ > 0);
}

// One read for each follower at a time: so they take turns, and the disk's queue stays short for
// what arrives here.
void SnapshotSender::pump() {
    for (auto& [to, send] : sends_) {
        if (!may_read(send)) {
            continue;
        }
        const auto count = static_cast<std::size_t>(
            std::min<std::uint64_t>(limits_.chunk_bytes, send.layout.left_in_file(send.next)));
        if (limits_.bytes_per_tick > 0) {
            allowance_ -= static_cast<std::int64_t>(count);
        }
        send.reading = true;
        out_.work.emplace_back(ReadPiece{to, send.layout.place_at(send.next), count, send.run});
    }
}

void SnapshotSender::fail(NodeId to, Send& send, Errc reason) {
    release(to, send);
    note(SnapshotNoteKind::kSendFailed, to, send, reason);
    ++stats_.sends_failed;
    send.stage = Stage::kPausing;
    send.silent_ticks = limits_.retry_ticks;
}

void SnapshotSender::tick() {
    const auto refill = static_cast<std::int64_t>(limits_.bytes_per_tick);
    allowance_ = std::min(allowance_ + refill, refill);
    for (auto at = sends_.begin(); at != sends_.end();) {
        auto& [to, send] = *at;
        ++send.ticks;
        if (send.stage == Stage::kPausing && --send.silent_ticks == 0) {
            out_.events.emplace_back(SnapshotSent{to, std::nullopt});
            at = sends_.erase(at);
            continue;
        }
        // Who has all of it reads it again and installs it, as long as that may take; one that is
        // gone loses its connection.
        const bool has_all = send.stage == Stage::kSending && send.acked == send.layout.bytes();
        if (is_open(send) && !has_all && ++send.silent_ticks >= limits_.stall_ticks) {
            fail(to, send, Errc::kTimeout);
        }
        ++at;
    }
    stats_.sending = sends_.size();
    pump();
}

void SnapshotSender::note(SnapshotNoteKind kind, NodeId to, const Send& send, Errc reason) {
    const bool whole = kind == SnapshotNoteKind::kSendBegun || kind == SnapshotNoteKind::kSendDone;
    out_.notes.push_back({.kind = kind,
                          .peer = to,
                          .index = send.last,
                          .bytes = whole ? send.layout.bytes() : send.acked,
                          .ticks = send.ticks,
                          .reason = reason});
}

}  // namespace cairn::server
