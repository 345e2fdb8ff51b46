// Flow control: nobody makes the other keep more than was agreed, and nothing is stuck after.
#include <string>
#include <vector>

#include "catch.h"

#include "proto/wire/h2_session.h"
#include "tests/wire/wire_harness.h"

namespace cairn::wire::test {

namespace {

constexpr std::string_view kWatchPath = "/etcdserverpb.Watch/Watch";
constexpr std::string_view kSnapshotPath = "/etcdserverpb.Maintenance/Snapshot";

std::size_t data_bytes(std::string_view wire) {
    std::size_t total = 0;
    for (const FrameText& one : parse_frames(wire)) {
        total += one.type == kData ? one.payload.size() : 0;
    }
    return total;
}

}  // namespace

TEST_CASE("a held stream takes one window and then nothing until it is resumed", "[wire][flow]") {
    H2Limits limits;
    limits.stream_window_bytes = 64 * 1024;
    Link link(limits);
    const StreamId id = start_call(link.client, kWatchPath);
    link.settle();
    link.server.hold_reading(id);
    const std::string message(1000, 'm');
    for (int i = 0; i < 300; ++i) {
        CHECK(link.client.send_message(id, ByteView(message)));
    }
    link.settle();
    const std::size_t taken = pick<Message>(link.server_events).size();
    CHECK(taken == 64 * 1024 / 1005);
    CHECK(link.client.queued_bytes() == 300 * 1005 - 64 * 1024);
    CHECK(link.client.queued_bytes(id) == link.client.queued_bytes());

    // Other streams are not held back by it.
    const StreamId other = start_call(link.client, kWatchPath);
    CHECK(link.client.send_message(other, ByteView("through")));
    link.settle();
    CHECK(pick<Message>(link.server_events).back().payload.view() == "through");

    link.server.resume_reading(id);
    link.settle();
    CHECK(pick<Message>(link.server_events).size() == 301);
    CHECK(link.client.queued_bytes() == 0);
}

TEST_CASE("a message larger than the stream's window still arrives", "[wire][flow]") {
    H2Limits limits;
    limits.stream_window_bytes = 65'535;
    limits.connection_window_bytes = 100'000;
    Link link(limits);
    const StreamId id = start_call(link.client, "/etcdserverpb.KV/Put");
    const std::string message(2'000'000, 'x');
    CHECK(link.client.send_message(id, ByteView(message)));
    CHECK(link.client.finish_sending(id));
    link.settle();
    const auto got = pick<Message>(link.server_events);
    REQUIRE(got.size() == 1);
    CHECK(got[0].payload.view() == message);
    CHECK(pick<RemoteClosed>(link.server_events).size() == 1);
    CHECK(link.server.partial_bytes() == 0);
}

TEST_CASE("a slow client holds the server's answer in its queue, visibly", "[wire][flow]") {
    Link link({}, [] {
        H2Limits limits;
        limits.stream_window_bytes = 100'000;
        return limits;
    }());
    const StreamId id = start_call(link.client, kSnapshotPath);
    CHECK(link.client.finish_sending(id));
    link.settle();
    link.client.hold_reading(id);
    const std::string chunk(32 * 1024, 's');
    for (int i = 0; i < 100; ++i) {
        CHECK(link.server.send_message(id, ByteView(chunk)));
    }
    CHECK(link.server.send_trailers(id, {}));
    const std::size_t total = 100 * (chunk.size() + 5);
    CHECK(link.server.queued_bytes() == total);
    link.settle();
    CHECK(link.server.queued_bytes() == total - 100'000);
    CHECK(!link.server.wants_write());
    CHECK(pick<ResponseEnded>(link.client_events).empty());
    link.client.resume_reading(id);
    link.settle();
    CHECK(link.server.queued_bytes() == 0);
    CHECK(pick<Message>(link.client_events).size() == 100);
    CHECK(pick<ResponseEnded>(link.client_events).size() == 1);
}

TEST_CASE("a client that asks and does not read gets no new window", "[wire][flow]") {
    H2Limits limits;
    limits.queued_bytes_max = 100'000;
    limits.connection_window_bytes = 200'000;
    limits.stream_window_bytes = 1 << 20;
    Link link(limits, [] {
        H2Limits own;
        own.stream_window_bytes = 1;
        return own;
    }());
    const StreamId id = start_call(link.client, kWatchPath);
    link.settle();
    const std::string answer(150'000, 'a');
    CHECK(link.server.send_message(id, ByteView(answer)));
    // The client reads nothing, so these are all it can ever send.
    link.client.hold_reading(id);
    const std::string question(10'000, 'q');
    for (int i = 0; i < 100; ++i) {
        CHECK(link.client.send_message(id, ByteView(question)));
    }
    link.settle();
    const std::size_t asked = pick<Message>(link.server_events).size();
    CHECK(asked <= 200'000 / question.size());
    CHECK(asked > 10);
    // The answer dropped, the window opens again.
    CHECK(link.server.reset(id, H2Code::kCancel));
    link.settle();
    CHECK(link.server.queued_bytes() == 0);
    const StreamId next = start_call(link.client, kWatchPath);
    for (int i = 0; i < 100; ++i) {
        CHECK(link.client.send_message(next, ByteView(question)));
    }
    link.settle();
    CHECK(pick<Message>(link.server_events).size() == asked + 100);
}

TEST_CASE("output comes in bounded portions", "[wire][flow]") {
    Link link;
    const StreamId id = start_call(link.client, kSnapshotPath);
    link.settle();
    CHECK(link.server.send_message(id, ByteView(std::string(500'000, 'x'))));
    std::string out;
    std::size_t before = 0;
    bool more = true;
    while (more) {
        more = link.server.take_output(out, 40'000);
        CHECK(out.size() - before <= 40'000 + 16 * 1024 + 9);
        CHECK(out.size() > before);
        before = out.size();
    }
    CHECK(data_bytes(out) == 500'005);
    CHECK(link.client.feed(out).has_value());
    const auto got = pick<Message>(events_of(link.client));
    REQUIRE(got.size() == 1);
    CHECK(got[0].payload.size() == 500'000);
}

TEST_CASE("streams that send at once share the connection", "[wire][flow]") {
    Link link;
    std::vector<StreamId> ids;
    for (int i = 0; i < 4; ++i) {
        ids.push_back(start_call(link.client, kSnapshotPath));
    }
    link.settle();
    for (const StreamId id : ids) {
        CHECK(link.server.send_message(id, ByteView(std::string(200'000, 'x'))));
    }
    std::string out;
    link.server.take_output(out, 150'000);
    for (const StreamId id : ids) {
        // Each has had its turn before the first is through.
        CHECK(link.server.queued_bytes(id) < 200'005);
        CHECK(link.server.queued_bytes(id) > 0);
    }
}

TEST_CASE("a portion that ends inside an answer survives its stream's reset", "[wire][flow]") {
    Link link;
    const StreamId id = start_call(link.client, kSnapshotPath);
    link.settle();
    CHECK(link.server.send_message(id, ByteView(std::string(100'000, 'x'))));
    std::string out;
    link.server.take_output(out, 20'000);  // a frame is planned and waits
    CHECK(link.client.reset(id, H2Code::kCancel));
    link.to_server();
    CHECK(link.server.queued_bytes() == 0);
    CHECK(link.server.open_streams() == 0);
    CHECK(pick<StreamReset>(link.server_events).size() == 1);
    while (link.server.take_output(out)) {
    }
    CHECK(link.client.feed(out).has_value());
    const StreamId next = start_call(link.client, kSnapshotPath);
    link.settle();
    CHECK(link.server.send_message(next, ByteView("alive")));
    link.settle();
    CHECK(pick<Message>(link.client_events).back().payload.view() == "alive");
}

}  // namespace cairn::wire::test
