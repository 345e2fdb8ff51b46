// What a unary call costs: a client and a server session in one thread, bytes handed over directly.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "proto/wire/h2_session.h"

namespace cairn::wire {
namespace {

H2Session make_session(Role role) {
    Result<H2Session> session = H2Session::create(role, {});
    if (!session.has_value()) {
        std::abort();
    }
    return std::move(session).value();
}

void expect(bool good) {
    if (!good) {
        std::abort();
    }
}

// Both ends; the buffers are used again, as a connection's owner would.
struct Pair {
    H2Session client = make_session(Role::kClient);
    H2Session server = make_session(Role::kServer);
    std::string bytes;
    std::vector<StreamEvent> events;

    void ask(std::size_t calls, const Bytes& payload) {
        RequestOptions options;
        options.path = "/etcdserverpb.KV/Put";
        options.authority = "127.0.0.1:2379";
        for (std::size_t i = 0; i < calls; ++i) {
            const StreamId id = client.start_request(options).value();
            expect(client.send_message(id, payload));
            expect(client.finish_sending(id));
        }
    }

    void answer() {
        server.take_events(events);
        for (StreamEvent& event : events) {
            if (Message* message = std::get_if<Message>(&event)) {
                expect(server.send_message(message->stream, std::move(message->payload)));
            } else if (const RemoteClosed* closed = std::get_if<RemoteClosed>(&event)) {
                expect(server.send_trailers(closed->stream, {}));
            }
        }
    }

    static void carry(H2Session& from, H2Session& to, std::string& bytes) {
        bool more = true;
        while (more) {
            bytes.clear();
            more = from.take_output(bytes);
            expect(to.feed(bytes).has_value());
            more = more && !bytes.empty();
        }
    }

    std::size_t ended() {
        client.take_events(events);
        std::size_t count = 0;
        for (const StreamEvent& event : events) {
            count += std::holds_alternative<ResponseEnded>(event) ? 1U : 0U;
        }
        return count;
    }
};

// `range(0)` calls in flight, messages of `range(1)` bytes.
void unary_echo(benchmark::State& state) {
    Pair pair;
    const auto calls = static_cast<std::size_t>(state.range(0));
    const Bytes payload =
        Bytes::copy_of(std::string(static_cast<std::size_t>(state.range(1)), 'x'));
    for (auto _ : state) {
        pair.ask(calls, payload);
        std::size_t ended = 0;
        while (ended < calls) {
            Pair::carry(pair.client, pair.server, pair.bytes);
            pair.answer();
            Pair::carry(pair.server, pair.client, pair.bytes);
            ended += pair.ended();
        }
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(unary_echo)->Args({1, 100})->Args({64, 100})->Args({512, 100})->Args({64, 4096});
BENCHMARK(unary_echo)->Args({4, 1'000'000});

// The server's half alone: only its feed, its answers and its output are timed.
void server_unary(benchmark::State& state) {
    constexpr std::int64_t kCalls = 64;
    const Bytes payload = Bytes::copy_of(std::string(100, 'x'));
    Pair pair;
    std::int64_t calls = 0;
    for (auto _ : state) {
        state.PauseTiming();
        pair.ask(static_cast<std::size_t>(kCalls), payload);
        pair.bytes.clear();
        expect(!pair.client.take_output(pair.bytes, 1U << 20U));
        state.ResumeTiming();
        expect(pair.server.feed(pair.bytes).has_value());
        pair.answer();
        pair.bytes.clear();
        expect(!pair.server.take_output(pair.bytes, 1U << 20U));
        state.PauseTiming();
        expect(pair.client.feed(pair.bytes).has_value());
        expect(pair.ended() == static_cast<std::size_t>(kCalls));
        state.ResumeTiming();
        calls += kCalls;
    }
    state.SetItemsProcessed(calls);
}
BENCHMARK(server_unary);

}  // namespace
}  // namespace cairn::wire
