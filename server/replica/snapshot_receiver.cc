#include "server/replica/snapshot_receiver.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/buggify.h"
#include "base/probe.h"

namespace cairn::server {
namespace {

constexpr std::uint32_t kFlawsMax = 3;
// Sums of lengths stay far from where they would overflow.
constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 44U;

bool is_sound(const storage::SnapshotManifest& manifest) {
    return manifest.meta.last.index && !manifest.meta.conf.voters.empty() &&
           !manifest.files.empty() && manifest.files.size() <= storage::kSnapshotFilesMax &&
           std::all_of(manifest.files.begin(), manifest.files.end(),
                       [](const auto& file) { return file.bytes <= kFileBytesMax; });
}

}  // namespace

// Entries may have come from the log after all: the core would have no use for the snapshot.
void SnapshotReceiver::on_view(const NodeView& view) {
    view_ = view;
    const bool still_open = receives() || stage_ == Stage::kVerifying;
    if (still_open && view.commit >= manifest_.meta.last.index) {
        drop_useless();
    }
}

void SnapshotReceiver::drop_useless() {
    out_.send.emplace_back(from_, SnapshotDone{});
    out_.work.emplace_back(DropIncoming{});
    stage_ = Stage::kIdle;
    partial_ = false;
    stats_.receiving = 0;
    ++run_;
}

Result<storage::SnapshotManifest> SnapshotReceiver::check_offer(const SnapshotOffer& offer) const {
    CAIRN_TRY(auto manifest, storage::decode_manifest(offer.manifest.view(), "offered"));
    if (!is_sound(manifest) || offer.term.value > kTermOrIndexMax) {
        return Error{Errc::kMalformed};
    }
    if (offer.term < view_.term) {
        return Error{Errc::kLeaderChanged};
    }
    return manifest;
}

// Leaders of one term are one member: whoever offers in a newer term has taken over.
void SnapshotReceiver::on(NodeId from, const SnapshotOffer& offer) {
    auto manifest = check_offer(offer);
    if (manifest.has_error()) {
        return refuse(from, manifest.error().code);
    }
    if (manifest.value().meta.last.index <= view_.commit) {
        out_.send.emplace_back(from, SnapshotDone{});
        return;
    }
    if (has_all() && offer.term >= term_ && manifest.value() == manifest_) {
        // The connection was lost meanwhile: nothing more is wanted of it but to wait.
        from_ = from;
        term_ = offer.term;
        from_knows_ = true;
        out_.send.emplace_back(from, SnapshotWant{layout_.place_at(layout_.bytes())});
        return;
    }
    if (has_all() || (receives() && from != from_ && offer.term <= term_) ||
        CAIRN_BUGGIFY("flow.receiver_is_busy")) {
        if (stage_ == Stage::kVerifying && offer.term > term_) {
            // What is here is committed, whoever sent it: the new leader need not send it again.
            from_ = from;
            term_ = offer.term;
            from_knows_ = false;
        }
        return refuse(from, Errc::kTooManyRequests);
    }
    if (receives() && from != from_) {
        CAIRN_PROBE("flow.other_sender_takes_over");
        fail(Errc::kLeaderChanged, true);
    }
    begin(from, offer.term, std::move(manifest).value());
}

void SnapshotReceiver::begin(NodeId from, Term term, storage::SnapshotManifest manifest) {
    stage_ = Stage::kOpening;
    from_ = from;
    term_ = term;
    from_knows_ = true;
    manifest_ = std::move(manifest);
    layout_ = SnapshotLayout(manifest_);
    flaws_ = 0;
    ticks_ = 0;
    stats_.receiving = 1;
    out_.work.emplace_back(OpenIncoming{manifest_, ++run_});
    note(SnapshotNoteKind::kReceiveBegun);
}

void SnapshotReceiver::on(const SnapshotOpened& opened) {
    if (stage_ != Stage::kOpening || opened.run != run_) {
        return;
    }
    if (opened.place.has_error()) {
        return fail(opened.place.error().code, false);
    }
    stage_ = Stage::kReceiving;
    go_on(opened.place.value());
    if (written_ > 0) {
        CAIRN_PROBE("flow.receive_resumed");
        note(SnapshotNoteKind::kReceiveResumed);
    }
}

void SnapshotReceiver::go_on(storage::SnapshotPlace place) {
    const auto position = layout_.position_of(place);
    CAIRN_ASSERT(position.has_value());
    expected_ = *position;
    written_ = *position;
    out_.send.emplace_back(from_, SnapshotWant{place});
    if (written_ == layout_.bytes()) {
        verify();
    }
}

void SnapshotReceiver::on(NodeId from, SnapshotChunk chunk) {
    // Those that were on their way when a place was wanted anew are passed over.
    if (stage_ != Stage::kReceiving || from != from_ ||
        chunk.place != layout_.place_at(expected_)) {
        return;
    }
    const std::size_t size = chunk.data.size();
    if (size == 0 || size > kSnapshotChunkBytesMax || size > layout_.left_in_file(expected_) ||
        expected_ - written_ + size > limits_.queue_bytes_max) {
        return fail(Errc::kProtocol, true);
    }
    expected_ += size;
    out_.work.emplace_back(WritePiece{chunk.place, chunk.checksum, std::move(chunk.data), run_});
}

void SnapshotReceiver::on(const PieceWritten& written) {
    if (stage_ != Stage::kReceiving || written.run != run_) {
        return;
    }
    if (written.written.has_value()) {
        const auto position = layout_.position_of(written.place);
        CAIRN_ASSERT(position.has_value() && *position <= expected_);
        stats_.bytes_received += *position - written_;
        written_ = *position;
        out_.send.emplace_back(from_, SnapshotAck{written.place});
        if (written_ == layout_.bytes()) {
            verify();
        }
        return;
    }
    const Errc reason = written.written.error().code;
    if (reason != Errc::kCorrupt || ++flaws_ == kFlawsMax) {
        return fail(reason, false);
    }
    CAIRN_PROBE("flow.piece_was_bad");
    ++run_;
    go_on(written.place);
}

// In steps, or the disk's thread could do nothing else, and not end, until all was read.
void SnapshotReceiver::verify() {
    stage_ = Stage::kVerifying;
    out_.work.emplace_back(VerifyIncoming{limits_.chunk_bytes, run_});
}

void SnapshotReceiver::on(const IncomingVerified& verified) {
    if (stage_ != Stage::kVerifying || verified.run != run_) {
        return;
    }
    if (verified.whole.has_error()) {
        return fail(verified.whole.error().code, false);
    }
    if (!verified.whole.value()) {
        return verify();
    }
    stage_ = Stage::kWhole;
    out_.events.emplace_back(
        Receive{raft::Message{from_, self_, term_, raft::InstallSnapshot{manifest_.meta}}});
}

void SnapshotReceiver::on_verdict(bool install) {
    CAIRN_ASSERT(stage_ == Stage::kWhole);
    if (install) {
        stage_ = Stage::kInstalling;
        stats_.installing = true;
        out_.work.emplace_back(InstallIncoming{manifest_});
        note(SnapshotNoteKind::kInstallBegun);
        return;
    }
    if (view_.commit >= manifest_.meta.last.index) {
        return drop_useless();
    }
    CAIRN_PROBE("flow.whole_but_refused");
    // Its sender's term is over.
    fail(Errc::kLeaderChanged, false);
}

void SnapshotReceiver::on(InstallDone done) {
    CAIRN_ASSERT(stage_ == Stage::kInstalling);
    stage_ = Stage::kIdle;
    partial_ = false;
    stats_.installing = false;
    stats_.receiving = 0;
    if (done.revision.has_error()) {
        out_.events.emplace_back(StorageFailed{done.revision.error()});
        return;
    }
    ++stats_.receives;
    note(SnapshotNoteKind::kInstalled);
    out_.send.emplace_back(from_, SnapshotDone{});
    out_.events.emplace_back(SnapshotInstalled{std::move(done.snapshot), done.revision.value(),
                                               std::move(done.members)});
}

void SnapshotReceiver::on_lane_lost(NodeId from) {
    if (receives() && from == from_) {
        fail(Errc::kConnection, true);
    }
}

void SnapshotReceiver::fail(Errc reason, bool keep) {
    // Of a lost connection nobody is there to be told; and who offers another one asks again.
    if (reason != Errc::kConnection && from_knows_) {
        refuse(from_, reason);
    }
    note(SnapshotNoteKind::kReceiveFailed, reason);
    ++stats_.receives_failed;
    stats_.receiving = 0;
    if (!keep) {
        out_.work.emplace_back(DropIncoming{});
    }
    stage_ = Stage::kIdle;
    partial_ = keep;
    ticks_ = 0;
    ++run_;
}

void SnapshotReceiver::tick() {
    ++ticks_;
    if (stage_ == Stage::kIdle && partial_ && ticks_ >= limits_.keep_partial_ticks) {
        partial_ = false;
        out_.work.emplace_back(DropIncoming{});
    }
}

void SnapshotReceiver::note(SnapshotNoteKind kind, Errc reason) {
    const bool receiving =
        kind == SnapshotNoteKind::kReceiveResumed || kind == SnapshotNoteKind::kReceiveFailed;
    out_.notes.push_back({.kind = kind,
                          .peer = from_,
                          .index = manifest_.meta.last.index,
                          .bytes = receiving ? written_ : layout_.bytes(),
                          .ticks = ticks_,
                          .reason = reason});
}

}  // namespace cairn::server
