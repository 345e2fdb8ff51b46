#include "server/replica/snapshot_sender.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/probe.h"

namespace cairn::server {
namespace {

// Reading for a checksum loads the disk but not the network.
constexpr std::uint64_t kSumsPerByteSent = 4;

}  // namespace

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
            CAIRN_PROBE("flow.receiver_was_removed");
            release(to, at->second);
            failures_.erase(to);
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
    failures_.clear();
    stats_.sending = 0;
    if (keeps_built_) {
        forget_built();
    }
}

void SnapshotSender::forget_built() {
    keeps_built_ = false;
    unused_ticks_ = 0;
    out_.work.emplace_back(ForgetSnapshots{});
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
    if (const auto former = sends_.find(wanted.to); former != sends_.end()) {
        release(wanted.to, former->second);
    }
    Send& send = sends_[wanted.to] = Send{};
    send.at_least = wanted.at_least;
    send.run = ++runs_;
    stats_.sending = sends_.size();
    keeps_built_ = true;
    note(SnapshotNoteKind::kBuildBegun, wanted.to, send);
    // The first step reads nothing.
    build(wanted.to, send, 0);
}

// All who want one meanwhile go on with the same.
void SnapshotSender::build(NodeId to, Send& send, std::uint64_t bytes_max) {
    send.reading = true;
    out_.work.emplace_back(BuildSnapshot{to, send.at_least, bytes_max, send.run});
}

void SnapshotSender::on(SnapshotBuilt built) {
    const auto found = sends_.find(built.to);
    if (found == sends_.end() || found->second.stage != Stage::kBuilding ||
        found->second.run != built.run) {
        return;
    }
    Send& send = found->second;
    send.reading = false;
    if (built.manifest.has_error()) {
        return fail(built.to, send, built.manifest.error().code);
    }
    const auto& manifest = built.manifest.value();
    if (!manifest) {
        return pump();
    }
    send.last = manifest->meta.last.index;
    send.layout = SnapshotLayout(*manifest);
    send.manifest = Bytes::copy_of(storage::encode_manifest(*manifest));
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
    send.stage = Stage::kDialling;
    send.reading = false;
    send.run = ++runs_;
    if (up) {
        offer(to, send);
    }
}

// Never one behind which the log is cut already: the follower would need another.
void SnapshotSender::offer(NodeId to, Send& send) {
    if (send.last < view_.floor) {
        return fail(to, send, Errc::kCompacted);
    }
    send.stage = Stage::kOffered;
    out_.send.emplace_back(to, SnapshotOffer{view_.term, send.manifest});
}

void SnapshotSender::on(NodeId from, const SnapshotWant& want) {
    const auto found = find_open(from);
    if (found == sends_.end() || found->second.stage == Stage::kDialling ||
        found->second.stage == Stage::kRefused) {
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
        CAIRN_PROBE("flow.send_resumed");
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
    failures_.erase(from);
    stats_.sending = sends_.size();
}

// Who is busy with another has said so, and is no failure: what is built and the connection stay.
void SnapshotSender::on(NodeId from, const SnapshotRefused& refused) {
    const auto found = find_open(from);
    if (found == sends_.end()) {
        return;
    }
    Send& send = found->second;
    if (refused.reason == Errc::kTooManyRequests && send.stage == Stage::kOffered) {
        send.stage = Stage::kRefused;
        send.pause_ticks = limits_.retry_ticks;
        send.silent_ticks = 0;
        return;
    }
    if (refused.reason == Errc::kCorrupt) {
        forget_built();  // it is bad for everybody
    }
    fail(from, send, refused.reason);
}

void SnapshotSender::on(PieceRead read) {
    const auto found = find_open(read.to);
    if (found == sends_.end() || found->second.run != read.run) {
        return;
    }
    Send& send = found->second;
    send.reading = false;
    if (read.chunk.has_error()) {
        forget_built();
        return fail(read.to, send, read.chunk.error().code);
    }
    SnapshotChunk& chunk = read.chunk.value();
    send.next += chunk.data.size();
    stats_.bytes_sent += chunk.data.size();
    out_.send.emplace_back(read.to, std::move(chunk));
    pump();
}

bool SnapshotSender::may_read(const Send& send) const {
    if (send.reading || (limits_.bytes_per_tick > 0 && allowance_ <= 0)) {
        return false;
    }
    return send.stage == Stage::kBuilding ||
           (send.stage == Stage::kSending && send.next < send.layout.bytes() &&
            send.next - send.acked < limits_.window_bytes);
}

// One read for each follower at a time: the disk's queue stays short for what arrives here. They
// take turns, behind whom it was the last one's, or he would get all when there is little.
void SnapshotSender::pump() {
    auto at = sends_.upper_bound(served_);
    for (std::size_t left = sends_.size(); left > 0; --left) {
        at = at == sends_.end() ? sends_.begin() : at;
        if (may_read(at->second)) {
            read_on(at->first, at->second);
        }
        ++at;
    }
}

void SnapshotSender::read_on(NodeId to, Send& send) {
    served_ = to;
    send.reading = true;
    send.reads_long = false;
    std::uint64_t cost = 0;
    if (send.stage == Stage::kBuilding) {
        build(to, send, limits_.chunk_bytes);
        cost = limits_.chunk_bytes / kSumsPerByteSent;
    } else {
        cost = std::min<std::uint64_t>(limits_.chunk_bytes, send.layout.left_in_file(send.next));
        out_.work.emplace_back(ReadPiece{to, send.layout.place_at(send.next),
                                         static_cast<std::size_t>(cost), send.run});
    }
    if (limits_.bytes_per_tick > 0) {
        allowance_ -= static_cast<std::int64_t>(cost);
    }
}

void SnapshotSender::fail(NodeId to, Send& send, Errc reason) {
    release(to, send);
    note(SnapshotNoteKind::kSendFailed, to, send, reason);
    ++stats_.sends_failed;
    send.stage = Stage::kPausing;
    send.pause_ticks = next_pause(to, reason);
}

// Who was silent has been waited for already, and may be back.
std::uint32_t SnapshotSender::next_pause(NodeId to, Errc reason) {
    if (reason == Errc::kTimeout) {
        return limits_.retry_ticks;
    }
    std::uint32_t& failures = failures_[to];
    std::uint64_t pause = limits_.retry_ticks;
    for (std::uint32_t i = 0; i < failures && pause < limits_.retry_ticks_max; ++i) {
        pause *= 2;
    }
    ++failures;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(pause, limits_.retry_ticks_max));
}

void SnapshotSender::tick() {
    const auto refill = static_cast<std::int64_t>(limits_.bytes_per_tick);
    allowance_ = std::min(allowance_ + refill, refill);
    tick_built();
    for (auto at = sends_.begin(); at != sends_.end();) {
        auto& [to, send] = *at;
        tick_send(to, send);
        const bool over = send.stage == Stage::kPausing && send.pause_ticks == 0;
        if (over) {
            out_.events.emplace_back(SnapshotSent{to, std::nullopt});
        }
        at = over ? sends_.erase(at) : std::next(at);
    }
    stats_.sending = sends_.size();
    pump();
}

// What the disk keeps for others pins what the engine has replaced since. Who is dialled, refuses,
// or fails again and again does not use it.
void SnapshotSender::tick_built() {
    const bool in_use = std::any_of(sends_.begin(), sends_.end(), [](const auto& send) {
        return send.second.stage == Stage::kBuilding || send.second.stage == Stage::kSending;
    });
    unused_ticks_ = in_use ? 0 : unused_ticks_ + 1;
    if (keeps_built_ && unused_ticks_ >= limits_.keep_built_ticks) {
        forget_built();
    }
}

void SnapshotSender::tick_send(NodeId to, Send& send) {
    ++send.ticks;
    if (send.stage == Stage::kPausing) {
        --send.pause_ticks;
    } else if (send.stage == Stage::kRefused) {
        if (--send.pause_ticks == 0) {
            offer(to, send);
        }
    } else if (is_follower_due(send) && ++send.silent_ticks >= limits_.stall_ticks) {
        fail(to, send, Errc::kTimeout);
    }
    send.reads_long = send.reading;
}

// Whether it is the follower that is waited for. Not one that has all: it reads it again and
// installs it, as long as that may take, and one that is gone loses its connection. Nor one that
// waits for this member's disk, which others keep busy, or for its share of the rate.
bool SnapshotSender::is_follower_due(const Send& send) {
    if (send.stage != Stage::kSending) {
        return is_open(send);
    }
    const bool waits_here = send.next == send.acked && (!send.reading || send.reads_long);
    return send.acked < send.layout.bytes() && !waits_here;
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
