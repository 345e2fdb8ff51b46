// The bytes of docs/formats/command.md and peer.md.
#include <string>
#include <vector>

#include "catch.h"

#include "golden_bytes.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "server/peer/peer_codec.h"
#include "server/peer/peer_frame.h"
#include "server/peer/peer_hello.h"
#include "server/peer/snapshot_codec.h"
#include "storage/command.h"

namespace cairn {
namespace {

using test::GoldenBytes;

storage::Command sample_command() {
    etcdserverpb::PutRequest put;
    put.set_key("k");
    put.set_value("v");
    storage::Command command;
    command.kind = command::PUT;
    command.id = {NodeId{0x1122334455667788}, 0x0102030405060708, 9};
    command.decided_in = Term{5};
    command.auth_revision = 6;
    command.user = "root";
    command.request = Bytes::copy_of(put.SerializeAsString());
    return command;
}

struct NamedBody {
    const char* name;
    raft::MessageBody body;
};

// One of each kind, in the order of raft::MessageKind, every field set.
std::vector<NamedBody> one_of_each() {
    const raft::EntryId last{Term{6}, Index{41}};
    const ProposalId id{NodeId{0xa1}, 0x1122334455667788, 9};
    return {
        {"pre-vote", raft::PreVote{last}},
        {"pre-vote-reply", raft::PreVoteReply{true}},
        {"vote", raft::Vote{last, true}},
        {"vote-reply", raft::VoteReply{true}},
        {"append",
         raft::Append{last,
                      Index{40},
                      {{{Term{6}, Index{42}}, raft::EntryKind::kNoop, Bytes()},
                       {{Term{7}, Index{43}}, raft::EntryKind::kCommand, Bytes::copy_of("put")},
                       {{Term{7}, Index{44}}, raft::EntryKind::kConfig, Bytes::copy_of("conf")}}}},
        {"append-reply", raft::AppendReply{true, Index{44}, Index{43}, last}},
        {"heartbeat", raft::Heartbeat{Index{40}, 3, Index{12}}},
        {"heartbeat-reply", raft::HeartbeatReply{3, 0}},
        {"timeout-now", raft::TimeoutNow{}},
        {"forward-proposals", raft::ForwardProposals{{{id, Bytes::copy_of("payload")}}}},
        {"forward-refused", raft::ForwardRefused{{{id, Errc::kTooManyRequests}}}},
        {"read-index-request", raft::ReadIndexRequest{5}},
        {"read-index-reply", raft::ReadIndexReply{5, true, Index{44}}},
        {"install-snapshot",
         raft::InstallSnapshot{
             {last, {{NodeId{1}, NodeId{2}}, {NodeId{2}, NodeId{3}}, {NodeId{4}}, {}, true}}}},
    };
}

void expect_body(GoldenBytes& golden, const NamedBody& named) {
    const raft::Message message{NodeId{0xa1}, NodeId{0xb2}, Term{7}, named.body};
    std::string encoded;
    server::peer::encode_message(message, encoded);
    golden.expect(named.name, encoded);
    CHECK(server::peer::decode_message(encoded).value() == message);
}

}  // namespace

TEST_CASE("command.md: the envelope has its golden bytes", "[golden][command]") {
    GoldenBytes golden("command.md");
    const storage::Command command = sample_command();
    const Bytes encoded = storage::encode_command(command);
    golden.expect("put", encoded.view());
    storage::Command bounded = command;
    bounded.kind = command::BOUNDED;
    bounded.request = storage::encode_bounded({65'536, command.kind, command.request.view()});
    golden.expect("bounded", storage::encode_command(bounded).view());
    const auto inner = storage::decode_bounded(bounded.request.view()).value();
    CHECK(inner.answer_bytes_max == 65'536);
    CHECK(inner.kind == command::PUT);
    CHECK(inner.request == command.request.view());
    golden.expect_all_used();
    const auto back = storage::decode_command(encoded).value();
    CHECK(back.kind == command::PUT);
    CHECK(back.id == command.id);
    CHECK(back.decided_in == command.decided_in);
    CHECK(back.auth_revision == 6);
    CHECK(back.user == "root");
    CHECK(back.request == command.request);
    CHECK(storage::decode_command_id(encoded.view()).value() == command.id);
}

TEST_CASE("command.md: another version, an unknown kind and a cut are refused",
          "[golden][command]") {
    const Bytes good = storage::encode_command(sample_command());
    const auto with = [&good](std::size_t at, char value) {
        std::string text(good.view());
        text[at] = value;
        return storage::decode_command(Bytes::copy_of(text)).error().code;
    };
    CHECK(with(0, 2) == Errc::kUnsupportedVersion);
    CHECK(with(1, 0) == Errc::kUnsupportedVersion);
    CHECK(with(1, 12) == Errc::kUnsupportedVersion);
    const std::size_t head = good.size() - sample_command().request.size();
    for (std::size_t size = 0; size < head; ++size) {
        CHECK(storage::decode_command(good.slice(0, size)).error().code == Errc::kMalformed);
    }
    CHECK(storage::decode_command(good.slice(0, head)).value().request.empty());
}

TEST_CASE("peer.md: frames, greetings and messages have their golden bytes", "[golden][peer]") {
    using namespace server::peer;
    GoldenBytes golden("peer.md");
    const Hello hello{kPeerProtocol, ClusterId{0xc1}, NodeId{0xa1}, NodeId{0xb2}, "0.1.0"};
    golden.expect("hello", encode_hello(hello));
    const HelloReply reply{false, "why", kPeerProtocol, ClusterId{0xc1}, NodeId{0xb2}};
    golden.expect("hello-reply", encode_hello_reply(reply));
    CHECK(decode_hello(encode_hello(hello)).value() == hello);
    CHECK(encode_hello_reply(decode_hello_reply(encode_hello_reply(reply)).value()) ==
          encode_hello_reply(reply));

    Hello newer = hello;
    newer.peer_urls = {"http://h:1"};
    newer.newest_command = 11;
    golden.expect("hello-newer", encode_hello(newer));
    CHECK(decode_hello(encode_hello(newer)).value() == newer);
    HelloReply removed = reply;
    removed.removed = true;
    golden.expect("hello-removed", encode_hello_reply(removed));
    CHECK(decode_hello_reply(encode_hello_reply(removed)).value().removed);
    const Hello question{.protocol = kPeerProtocol,
                         .cluster = {},
                         .from = {},
                         .to = {},
                         .version = "0.1.0",
                         .ask_members = true};
    golden.expect("hello-asks", encode_hello(question));
    CHECK(decode_hello(encode_hello(question)).value() == question);
    HelloReply answer{true, "", kPeerProtocol, ClusterId{0xc1}, NodeId{0xb2}};
    answer.members.emplace_back().set_id(0xa1);
    answer.applied_index = Index{9};
    golden.expect("hello-members", encode_hello_reply(answer));
    CHECK(decode_hello_reply(encode_hello_reply(answer)).value().members.at(0).id() == 0xa1);
    CHECK(decode_hello_reply(encode_hello_reply(answer)).value().applied_index == Index{9});

    std::string frame;
    append_frame("hello", frame);
    golden.expect("frame", frame);

    const auto bodies = one_of_each();
    REQUIRE(bodies.size() == raft::kMessageKindCount);
    for (std::size_t kind = 0; kind < bodies.size(); ++kind) {
        REQUIRE(bodies[kind].body.index() == kind);
        expect_body(golden, bodies[kind]);
    }
    expect_body(golden, {"heartbeat-promise", raft::HeartbeatReply{3, 1}});

    Hello snapshots = hello;
    snapshots.protocol = kLaneProtocol;
    snapshots.lane = static_cast<std::uint32_t>(Lane::kSnapshots);
    golden.expect("hello-snapshots", encode_hello(snapshots));
    CHECK(decode_hello(encode_hello(snapshots)).value() == snapshots);
    const storage::SnapshotPlace place{2, 300};
    const auto expect = [&golden](const char* name, const server::SnapshotMessage& message) {
        std::string bytes;
        append_snapshot_frame(message, bytes);
        const ByteView payload = ByteView(bytes).substr(kFrameHeaderBytes);
        golden.expect(name, std::string(payload));
        CHECK(decode_snapshot_message(payload).value() == message);
    };
    expect("snapshot-offer", server::SnapshotOffer{Term{7}, Bytes::copy_of("manifest")});
    expect("snapshot-chunk",
           server::SnapshotChunk{place, 0x1122334455667788, Bytes::copy_of("piece")});
    expect("snapshot-want", server::SnapshotWant{place});
    expect("snapshot-ack", server::SnapshotAck{place});
    expect("snapshot-done", server::SnapshotDone{});
    expect("snapshot-refused", server::SnapshotRefused{Errc::kNoSpace});
    golden.expect_all_used();
}

}  // namespace cairn
