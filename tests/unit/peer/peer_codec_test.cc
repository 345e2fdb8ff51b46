#include "server/peer/peer_codec.h"

#include <string>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "proto/cairn/peer.pb.h"
#include "seed.h"
#include "server/peer/peer_frame.h"
#include "server/peer/peer_hello.h"
#include "server/peer/snapshot_codec.h"

namespace cairn::server::peer {
namespace {

raft::Message message(raft::MessageBody body) {
    return {NodeId{0xa1}, NodeId{0xb2}, Term{7}, std::move(body)};
}

// One message of each kind, every field set.
std::vector<raft::Message> one_of_each() {
    const raft::EntryId last{Term{6}, Index{41}};
    const ProposalId id{NodeId{0xa1}, 0x1122334455667788, 9};
    return {
        message(raft::PreVote{last}),
        message(raft::PreVoteReply{true}),
        message(raft::Vote{last, true}),
        message(raft::VoteReply{true}),
        message(raft::Append{
            last,
            Index{40},
            {{{Term{6}, Index{42}}, raft::EntryKind::kNoop, Bytes()},
             {{Term{7}, Index{43}}, raft::EntryKind::kCommand, Bytes::copy_of("put")},
             {{Term{7}, Index{44}}, raft::EntryKind::kConfig, Bytes::copy_of("conf")}}}),
        message(raft::AppendReply{true, Index{44}, Index{0}, {}}),
        message(raft::Heartbeat{Index{40}, 3, Index{12}}),
        message(raft::HeartbeatReply{3}),
        message(raft::TimeoutNow{}),
        message(raft::ForwardProposals{{{id, Bytes::copy_of("payload")},
                                        {id, Bytes::copy_of("conf"), raft::EntryKind::kConfig}}}),
        message(raft::ForwardRefused{{{id, Errc::kTooManyRequests}}}),
        message(raft::ReadIndexRequest{5}),
        message(raft::ReadIndexReply{5, true, Index{44}}),
        message(raft::InstallSnapshot{{last,
                                       {.voters = {NodeId{1}, NodeId{2}},
                                        .voters_outgoing = {NodeId{2}, NodeId{3}},
                                        .learners = {NodeId{4}},
                                        .learners_next = {NodeId{3}},
                                        .auto_leave = true}}}),
    };
}

std::string encoded(const raft::Message& one) {
    std::string bytes;
    encode_message(one, bytes);
    return bytes;
}

}  // namespace

TEST_CASE("every message survives the wire", "[peer][codec]") {
    const auto messages = one_of_each();
    REQUIRE(messages.size() == raft::kMessageKindCount);
    for (std::size_t kind = 0; kind < messages.size(); ++kind) {
        REQUIRE(messages[kind].body.index() == kind);
        const auto back = decode_message(encoded(messages[kind]));
        REQUIRE(back.has_value());
        REQUIRE(back.value() == messages[kind]);
    }
}

TEST_CASE("the body's field number is ten more than its kind", "[peer][codec][golden]") {
    for (const auto& one : one_of_each()) {
        ::cairn::peer::Message parsed;
        REQUIRE(parsed.ParseFromString(encoded(one)));
        REQUIRE(static_cast<std::size_t>(parsed.body_case()) == 10 + one.body.index());
    }
}

TEST_CASE("golden bytes of a heartbeat", "[peer][codec][golden]") {
    const std::string expected(
        "\x09\xa1\0\0\0\0\0\0\0\x11\xb2\0\0\0\0\0\0\0\x18\x07\x82\x01\x06\x08\x28\x10\x03\x18\x0c",
        29);
    REQUIRE(encoded(message(raft::Heartbeat{Index{40}, 3, Index{12}})) == expected);
    std::string frame;
    append_frame(expected, frame);
    REQUIRE(frame.substr(0, 4) == std::string("\x1d\0\0\0", 4));
}

TEST_CASE("what no peer could have sent is refused", "[peer][codec]") {
    REQUIRE(decode_message("\xff\xff").error().code == Errc::kMalformed);
    REQUIRE(decode_message("").error().code == Errc::kMalformed);
    ::cairn::peer::Message falling;
    falling.mutable_append()->mutable_prev()->set_term(5);
    falling.mutable_append()->add_entries()->set_term(4);
    REQUIRE(decode_message(falling.SerializeAsString()).error().code == Errc::kMalformed);
    ::cairn::peer::Message strange;
    strange.mutable_append()->add_entries()->set_kind(9);
    REQUIRE(decode_message(strange.SerializeAsString()).error().code == Errc::kMalformed);
    ::cairn::peer::Message far;
    far.mutable_append()->mutable_prev()->set_index(~0ULL);
    far.mutable_append()->add_entries();
    REQUIRE(decode_message(far.SerializeAsString()).error().code == Errc::kMalformed);
}

TEST_CASE("numbers out of range are refused", "[peer][codec]") {
    constexpr std::uint64_t kFar = ~0ULL / 2 + 1;
    const raft::EntryId far_term{Term{kFar}, Index{1}};
    const raft::EntryId far_index{Term{1}, Index{kFar}};
    for (const raft::MessageBody& body : std::vector<raft::MessageBody>{
             raft::PreVote{far_term}, raft::Vote{far_index, false},
             raft::Append{{}, Index{kFar}, {}}, raft::AppendReply{true, Index{kFar}, {}, {}},
             raft::AppendReply{false, {}, Index{kFar}, {}},
             raft::AppendReply{false, {}, {}, far_term}, raft::Heartbeat{Index{kFar}, 1, {}},
             raft::Heartbeat{{}, 1, Index{kFar}}, raft::ReadIndexReply{1, true, Index{kFar}},
             raft::InstallSnapshot{{far_index, {}}}}) {
        REQUIRE(decode_message(encoded(message(body))).error().code == Errc::kMalformed);
    }
    raft::Message late = message(raft::TimeoutNow{});
    late.term = Term{kFar};
    REQUIRE(decode_message(encoded(late)).error().code == Errc::kMalformed);
}

TEST_CASE("a refusal of a newer build is still a refusal", "[peer][codec]") {
    for (const std::uint32_t number : {9999U, 0U, 65536U + 103U}) {
        ::cairn::peer::Message message;
        message.mutable_forward_refused()->add_refused()->set_reason(number);
        const auto decoded = decode_message(message.SerializeAsString());
        const auto& body = std::get<raft::ForwardRefused>(decoded.value().body);
        REQUIRE(body.refused.at(0).reason == Errc::kLeaderChanged);
    }
}

TEST_CASE("a configuration out of order is refused", "[peer][codec]") {
    ::cairn::peer::Message message;
    auto& conf = *message.mutable_install_snapshot()->mutable_conf();
    conf.add_voters(2);
    REQUIRE(decode_message(message.SerializeAsString()).has_value());
    conf.add_voters(2);
    REQUIRE(decode_message(message.SerializeAsString()).error().code == Errc::kMalformed);
    conf.set_voters(1, 1);
    REQUIRE(decode_message(message.SerializeAsString()).error().code == Errc::kMalformed);
    conf.mutable_voters()->Clear();
    conf.add_learners(0);
    REQUIRE(decode_message(message.SerializeAsString()).error().code == Errc::kMalformed);
}

TEST_CASE("a snapshot's piece has a largest size", "[peer][codec][snapshot]") {
    SnapshotChunk chunk{{0, 0}, 1, Bytes::copy_of(std::string(kSnapshotChunkBytesMax, 'x'))};
    const auto payload = [&chunk] {
        std::string frame;
        append_snapshot_frame(chunk, frame);
        return frame.substr(kFrameHeaderBytes);
    };
    REQUIRE(decode_snapshot_message(payload()).value() == SnapshotMessage{chunk});
    chunk.data = Bytes::copy_of(std::string(kSnapshotChunkBytesMax + 1, 'x'));
    REQUIRE(decode_snapshot_message(payload()).error().code == Errc::kMalformed);
    REQUIRE(decode_snapshot_message("").error().code == Errc::kMalformed);
    REQUIRE(decode_snapshot_message("not one").error().code == Errc::kMalformed);
}

TEST_CASE("a lane is known, and greeted in its own protocol", "[peer][hello][snapshot]") {
    const auto verdict = [](std::uint32_t protocol, std::uint32_t lane) {
        Hello hello{protocol, ClusterId{0xc1}, NodeId{0xa1}, NodeId{0xb2}, "0.1.0"};
        hello.lane = lane;
        const auto result = check_hello(decode_hello(encode_hello(hello)).value(), hello.cluster,
                                        hello.to, Standing::kMember);
        return result.has_value() ? std::string() : result.error().detail;
    };
    CHECK(verdict(protocol_of(Lane::kMessages), 0).empty());
    CHECK(verdict(protocol_of(Lane::kSnapshots), 1).empty());
    // Who knows no lanes speaks protocol 1, and takes whatever comes for messages.
    CHECK(verdict(1, 1) == "peer protocol 1 has no lane 1 here");
    CHECK(verdict(2, 0) == "peer protocol 2 has no lane 0 here");
    CHECK(verdict(2, 2) == "peer protocol 2 has no lane 2 here");
    CHECK(verdict(3, 0) == "peer protocol 3, this member speaks 1 and 2");
}

TEST_CASE("random bytes never crash the decoder", "[peer][codec]") {
    const std::uint64_t seed = seed_or(20);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    const auto messages = one_of_each();
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes = encoded(messages[prng.below(messages.size())]);
        bytes[prng.below(bytes.size())] = static_cast<char>(prng.next());
        const auto back = decode_message(bytes);
        if (back.has_value()) {
            // Whatever is accepted must encode again to something that decodes to the same.
            REQUIRE(decode_message(encoded(back.value())).value() == back.value());
        }
    }
}

TEST_CASE("frames are cut from any chunking", "[peer][frame]") {
    const std::uint64_t seed = seed_or(21);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    std::string stream;
    std::vector<std::string> payloads;
    for (int i = 0; i < 200; ++i) {
        payloads.emplace_back(prng.below(300), static_cast<char>('a' + i % 26));
        append_frame(payloads.back(), stream);
    }
    FrameReader reader;
    std::vector<std::string> found;
    for (std::size_t at = 0; at < stream.size();) {
        const std::size_t count = std::min<std::size_t>(prng.between(1, 97), stream.size() - at);
        reader.feed(ByteView(stream).substr(at, count));
        at += count;
        while (true) {
            const auto next = reader.next();
            REQUIRE(next.has_value());
            if (!next.value().has_value()) {
                break;
            }
            found.emplace_back(*next.value());
        }
    }
    REQUIRE(found == payloads);
}

TEST_CASE("a message is framed in place, or not at all without room", "[peer][frame]") {
    for (const auto& one : one_of_each()) {
        std::string expected = "before";
        append_frame(encoded(one), expected);
        const std::size_t needed = expected.size() - 6;
        std::string out = "before";
        REQUIRE_FALSE(append_message_frame(one, needed - 1, out));
        REQUIRE(out == "before");
        REQUIRE(append_message_frame(one, needed, out));
        REQUIRE(out == expected);
    }
}

TEST_CASE("a frame over the cap or with a flipped bit ends the stream", "[peer][frame]") {
    std::string stream;
    append_frame("hello", stream);
    FrameReader small(4);
    small.feed(stream);
    REQUIRE(small.next().error().code == Errc::kTooLarge);
    for (std::size_t bit = 32; bit < stream.size() * 8; ++bit) {
        std::string flipped = stream;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        FrameReader reader;
        reader.feed(flipped);
        REQUIRE(reader.next().error().code == Errc::kCorrupt);
    }
}

TEST_CASE("a hello is let in only by its own cluster", "[peer][hello]") {
    const Hello hello{kPeerProtocol, ClusterId{0xc1}, NodeId{1}, NodeId{2}, "0.1.0"};
    REQUIRE(decode_hello(encode_hello(hello)).value() == hello);
    REQUIRE(check_hello(hello, ClusterId{0xc1}, NodeId{2}, Standing::kMember).has_value());
    REQUIRE(check_hello(hello, ClusterId{0xc2}, NodeId{2}, Standing::kMember).error().code ==
            Errc::kClusterIdMismatch);
    REQUIRE(check_hello(hello, ClusterId{0xc1}, NodeId{3}, Standing::kMember).error().code ==
            Errc::kProtocol);
    REQUIRE(check_hello(hello, ClusterId{0xc1}, NodeId{2}, Standing::kStranger).error().code ==
            Errc::kProtocol);
    REQUIRE(check_hello(hello, ClusterId{0xc1}, NodeId{2}, Standing::kNewcomer).has_value());
    REQUIRE(check_hello(hello, ClusterId{0xc1}, NodeId{2}, Standing::kRemoved).error().code ==
            Errc::kMemberNotFound);
    Hello newer = hello;
    newer.protocol = 2;
    REQUIRE(check_hello(newer, ClusterId{0xc1}, NodeId{2}, Standing::kMember).error().code ==
            Errc::kProtocol);
    const HelloReply reply{false, "why", kPeerProtocol, ClusterId{0xc1}, NodeId{2}};
    REQUIRE(encode_hello_reply(decode_hello_reply(encode_hello_reply(reply)).value()) ==
            encode_hello_reply(reply));
    REQUIRE(decode_hello(std::string(2000, 'x')).error().code == Errc::kMalformed);
    REQUIRE(decode_hello("\xff").error().code == Errc::kMalformed);
}

TEST_CASE("only the member that was dialled may answer", "[peer][hello]") {
    const HelloReply good{true, "", kPeerProtocol, ClusterId{0xc1}, NodeId{2}};
    CHECK(check_hello_reply(good, ClusterId{0xc1}, NodeId{2}).has_value());
    HelloReply refused = good;
    refused.accepted = false;
    refused.reason = "why";
    CHECK(check_hello_reply(refused, ClusterId{0xc1}, NodeId{2}).error().detail == "refused: why");
    CHECK(check_hello_reply(good, ClusterId{0xc2}, NodeId{2}).error().detail ==
          "a member of cluster c1 answers, this is cluster c2");
    CHECK(check_hello_reply(good, ClusterId{0xc1}, NodeId{3}).error().detail ==
          "member 2 answers, 3 was dialled");
}

}  // namespace cairn::server::peer
