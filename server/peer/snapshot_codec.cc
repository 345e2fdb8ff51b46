#include "server/peer/snapshot_codec.h"

#include <limits>
#include <variant>

#include "base/assert.h"
#include "proto/cairn/peer.pb.h"
#include "server/peer/peer_frame.h"

namespace cairn::server::peer {
namespace {

namespace pb = ::cairn::peer;

void put(storage::SnapshotPlace place, pb::SnapshotPlace& out) {
    out.set_file(place.file);
    out.set_offset(place.offset);
}

storage::SnapshotPlace get(const pb::SnapshotPlace& place) {
    return {place.file(), place.offset()};
}

// One overload for each message, into its own field.
struct Encoder {
    pb::SnapshotMessage& out;

    void operator()(const SnapshotOffer& offer) const {
        out.mutable_offer()->set_term(offer.term.value);
        out.mutable_offer()->set_manifest(offer.manifest.data(), offer.manifest.size());
    }
    void operator()(const SnapshotChunk& chunk) const {
        put(chunk.place, *out.mutable_chunk()->mutable_place());
        out.mutable_chunk()->set_checksum(chunk.checksum);
        out.mutable_chunk()->set_data(chunk.data.data(), chunk.data.size());
    }
    void operator()(const SnapshotWant& want) const {
        put(want.place, *out.mutable_want()->mutable_place());
    }
    void operator()(const SnapshotAck& ack) const {
        put(ack.place, *out.mutable_ack()->mutable_place());
    }
    void operator()(const SnapshotDone&) const { out.mutable_done(); }
    void operator()(const SnapshotRefused& refused) const {
        out.mutable_refused()->set_reason(static_cast<std::uint32_t>(refused.reason));
    }
};

Error malformed(const char* what) {
    return {Errc::kMalformed, std::string("snapshot message: ") + what};
}

// One that only a newer build knows is still a refusal.
Errc known_reason(std::uint32_t number) {
    const auto reason = static_cast<Errc>(static_cast<std::uint16_t>(number));
    const bool known =
        number <= std::numeric_limits<std::uint16_t>::max() && errc_name(reason) != "?";
    return known ? reason : Errc::kInternal;
}

Result<SnapshotMessage> decode_chunk(const pb::SnapshotChunk& in) {
    if (in.data().size() > kSnapshotChunkBytesMax) {
        return malformed("too large a piece");
    }
    return SnapshotMessage{
        SnapshotChunk{get(in.place()), in.checksum(), Bytes::copy_of(in.data())}};
}

}  // namespace

void append_snapshot_frame(const SnapshotMessage& message, std::string& out) {
    pb::SnapshotMessage encoded;
    std::visit(Encoder{encoded}, message);
    CAIRN_ASSERT(encoded.ByteSizeLong() <= kSnapshotFrameBytesMax);
    const std::size_t begin = begin_frame(out);
    const bool written = encoded.AppendToString(&out);
    CAIRN_ASSERT(written);
    finish_frame(begin, out);
}

Result<SnapshotMessage> decode_snapshot_message(ByteView bytes) {
    pb::SnapshotMessage in;
    if (bytes.size() > kSnapshotFrameBytesMax ||
        !in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return malformed("does not parse");
    }
    switch (in.body_case()) {
        case pb::SnapshotMessage::kOffer:
            return SnapshotMessage{
                SnapshotOffer{Term{in.offer().term()}, Bytes::copy_of(in.offer().manifest())}};
        case pb::SnapshotMessage::kChunk: return decode_chunk(in.chunk());
        case pb::SnapshotMessage::kWant:
            return SnapshotMessage{SnapshotWant{get(in.want().place())}};
        case pb::SnapshotMessage::kAck: return SnapshotMessage{SnapshotAck{get(in.ack().place())}};
        case pb::SnapshotMessage::kDone: return SnapshotMessage{SnapshotDone{}};
        case pb::SnapshotMessage::kRefused:
            return SnapshotMessage{SnapshotRefused{known_reason(in.refused().reason())}};
        case pb::SnapshotMessage::BODY_NOT_SET: return malformed("no body");
    }
    return malformed("an unknown body");
}

}  // namespace cairn::server::peer
