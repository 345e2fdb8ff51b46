#include "server/net/client_session.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include "server/api/api_error.h"
#include "server/api/read_answer.h"
#include "server/net/read_pool.h"

namespace cairn::server::net {
namespace {

// Bytes handed to the kernel in one write.
constexpr std::size_t kWriteBytes = 256U * 1024U;

api::Reply internal(const char* what) {
    return {wire::GrpcStatus{wire::GrpcCode::kInternal, what}, {}};
}

// What a session's reads may still have to send before further reads wait, and how many of them
// may run beside the reactor: a client that asks without reading is held back.
constexpr std::size_t kUnsentBytesMax = 4U * 1024U * 1024U;
constexpr std::size_t kReadsElsewhereMax = 16;
// How long a read waits for room before it is refused.
constexpr std::chrono::seconds kRoomWaitMax{5};
// Longer than anybody waits, and far from where time points end.
constexpr std::chrono::hours kTimeoutMax{24 * 365};

// The answers of other writes are of a few bytes, but for the previous value of a put.
bool may_be_long(const Propose& propose) {
    return propose.kind == command::TXN || propose.kind == command::DELETE_RANGE;
}

Error no_room() {
    return {Errc::kMessageTooLarge,
            "cairn: no room for the answer (--experimental-response-budget-bytes): clients have "
            "not yet read earlier ones; try again later"};
}

// A view whose reads ask the answer they write for its memory, and whether it is still wanted.
struct GuardedView {
    const storage::mvcc::ReadView& view;
    HeldAnswer& answer;

    [[nodiscard]] std::int64_t revision() const { return view.revision(); }
    Result<void> range(const etcdserverpb::RangeRequest& request, std::string& body) const {
        return view.range(request, body, &answer);
    }
    Result<void> read_txn(const etcdserverpb::TxnRequest& request, std::string& body) const {
        return view.read_txn(request, body, &answer);
    }
    [[nodiscard]] auto hash_kv(std::int64_t at) const { return view.hash_kv(at, &answer); }
    [[nodiscard]] auto members() const { return view.members(); }
    [[nodiscard]] auto alarms() const { return view.alarms(); }
};

// The answer gives back what it does not hold.
Result<void> write_answer(const Read& read, const storage::mvcc::ReadView& view,
                          const api::ReadFacts& facts, HeldAnswer& answer) {
    auto done = api::write_answer(read, GuardedView{view, answer}, facts, answer.body);
    if (done.has_value()) {
        answer.settle();
    } else {
        answer.drop();
    }
    return done;
}

api::ReadFacts read_facts(NodePorts& node) {
    api::ReadFacts facts;
    facts.identity = node.dispatcher.identity();
    facts.node = node.driver.view();
    return facts;
}

}  // namespace

Result<std::shared_ptr<ClientSession>> ClientSession::create(boost::asio::ip::tcp::socket socket,
                                                             NodePorts& node, ByteView first) {
    CAIRN_TRY(auto session, wire::H2Session::create(wire::Role::kServer, node.limits));
    return std::shared_ptr<ClientSession>(
        new ClientSession(std::move(socket), node, std::move(session), first));
}

ClientSession::ClientSession(boost::asio::ip::tcp::socket socket, NodePorts& node,
                             wire::H2Session session, ByteView first)
    : socket_(std::move(socket)),
      node_(node),
      session_(std::move(session)),
      deadline_timer_(socket_.get_executor()),
      first_(first) {}

void ClientSession::start() {
    boost::system::error_code ignored;
    socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
    spawn(socket_.get_executor(), read_loop(shared_from_this()), "client session");
}

void ClientSession::drain() {
    session_.shutdown();
    flush();
}

void ClientSession::close() {
    if (std::exchange(closed_, true)) {
        return;
    }
    boost::system::error_code ignored;
    socket_.close(ignored);
    deadline_timer_.cancel();
    for (auto& [stream, call] : calls_) {
        release(stream, call);
    }
    calls_.clear();
}

void ClientSession::on_second(std::uint64_t now_ms) {
    session_.on_tick(now_ms);
    refuse_long_starved();
    flush();
}

Task<> ClientSession::read_loop(std::shared_ptr<ClientSession> self) {
    bool sound = self->feed(std::exchange(self->first_, {}));
    while (sound) {
        auto [error, count] =
            co_await self->socket_.async_read_some(boost::asio::buffer(self->buffer_), kTask);
        if (error) {
            self->close();
            co_return;
        }
        self->node_.metrics.client_bytes_received += count;
        sound = self->feed(ByteView(self->buffer_.data(), count));
    }
    // What the session still has to say (a GOAWAY with the reason) goes out before the close.
    self->read_ended_ = true;
    self->flush();
}

bool ClientSession::feed(ByteView bytes) {
    const auto fed = session_.feed(bytes);
    session_.take_events(events_);
    for (auto& event : events_) {
        std::visit([this](auto& one) { on_event(one); }, event);
    }
    flush();
    return fed.has_value() && !session_.is_done();
}

// One write at a time; what comes meanwhile goes with the next one.
void ClientSession::flush() {
    if (writing_ || closed_) {
        return;
    }
    output_.clear();
    session_.take_output(output_, kWriteBytes);
    if (output_.empty()) {
        if (read_ended_ || session_.is_done()) {
            close();
        }
        return;
    }
    writing_ = true;
    boost::asio::async_write(
        socket_, boost::asio::buffer(output_),
        [self = shared_from_this()](const boost::system::error_code& error, std::size_t count) {
            self->on_written(error, count);
        });
}

void ClientSession::on_written(const boost::system::error_code& error, std::size_t count) {
    writing_ = false;
    node_.metrics.client_bytes_sent += count;
    if (error) {
        close();
        return;
    }
    run_held_reads();
    flush();
}

void ClientSession::on_event(wire::RequestStarted& event) {
    if (event.method == nullptr) {
        session_.send_trailers(event.stream, wire::unknown_method_status(event.path));
        return;
    }
    auto& counters = node_.metrics.methods[static_cast<std::size_t>(event.method->id)];
    ++counters.started;
    Call& call = calls_[event.stream];
    call.request.method = event.method->id;
    call.request.has_leader = event.has_leader;
    if (const auto served = api::validate_method(event.method->id); served.has_error()) {
        finish(event.stream, call, api::format_error(served.error()));
        return;
    }
    if (event.timeout_ns.has_value()) {
        const auto timeout = std::min<std::chrono::nanoseconds>(
            std::chrono::nanoseconds(*event.timeout_ns), kTimeoutMax);
        call.deadline = deadlines_.emplace(Clock::now() + timeout, event.stream);
        arm_deadline();
    }
}

void ClientSession::on_event(wire::Message& event) {
    const auto found = calls_.find(event.stream);
    if (found == calls_.end()) {
        return;
    }
    Call& call = found->second;
    ++node_.metrics.methods[static_cast<std::size_t>(call.request.method)].received;
    if (std::exchange(call.has_message, true)) {
        finish(event.stream, call, internal("a unary call takes one message, two came"));
        return;
    }
    call.request.request = std::move(event.payload);
}

void ClientSession::on_event(wire::RemoteClosed& event) {
    const auto found = calls_.find(event.stream);
    if (found == calls_.end()) {
        return;
    }
    if (!found->second.has_message) {
        finish(event.stream, found->second, internal("a unary call takes one message, none came"));
        return;
    }
    dispatch(event.stream, found->second);
}

void ClientSession::on_event(wire::StreamReset& event) { forget(event.stream); }
void ClientSession::on_event(wire::GoAwayReceived&) {}
void ClientSession::on_event(wire::ResponseStarted&) {}
void ClientSession::on_event(wire::ResponseEnded&) {}

void ClientSession::dispatch(wire::StreamId stream, Call& call) {
    const std::string version(session_.client_api_version());
    call.request.client_api_version = version;
    Intent intent = node_.dispatcher.on_request(call.request, node_.driver.view());
    call.request.client_api_version = {};
    call.request.request = Bytes();
    if (const auto* reject = std::get_if<Reject>(&intent)) {
        finish(stream, call, api::format_error(reject->error));
    } else if (const auto* now = std::get_if<ReplyNow>(&intent)) {
        const std::int64_t revision = node_.driver.newest_view()->revision();
        finish(stream, call, node_.dispatcher.format(*now, revision, node_.driver.view().term));
    } else if (auto* propose = std::get_if<Propose>(&intent)) {
        if (may_be_long(*propose) && !node_.responses->has_room(0)) {
            // Now: once it is applied, its answer cannot be refused.
            ++node_.metrics.response_refusals;
            finish(stream, call, api::format_error(no_room()));
            return;
        }
        call.waiting = node_.driver.submit(shared_from_this(), static_cast<std::uint64_t>(stream),
                                           propose->kind, std::move(propose->request));
    } else if (auto* read = std::get_if<Read>(&intent)) {
        begin(stream, call, std::move(*read));
    }
}

void ClientSession::begin(wire::StreamId stream, Call& call, Read read) {
    call.read = std::move(read);
    if (call.read.linearizable) {
        call.waiting =
            node_.driver.submit_read(shared_from_this(), static_cast<std::uint64_t>(stream));
    } else {
        run_read(stream, call);
    }
}

void ClientSession::on_completion(std::uint64_t token, const Completion& completion) {
    const auto stream = static_cast<wire::StreamId>(token);
    const auto found = calls_.find(stream);
    if (found == calls_.end()) {
        return;
    }
    Call& call = found->second;
    call.waiting = CallId{};
    if (const auto* outcome = std::get_if<ProposalOutcome>(&completion.result)) {
        finish(stream, call, node_.dispatcher.format(*outcome, completion.term));
    } else if (std::holds_alternative<ReadGranted>(completion.result)) {
        run_read(stream, call);
    } else if (const auto* failed = std::get_if<ReadFailed>(&completion.result)) {
        finish(stream, call, api::format_error(Error(failed->reason)));
    }
}

void ClientSession::on_turn_end() { flush(); }

bool ClientSession::may_read() const {
    return session_.queued_bytes() < kUnsentBytesMax && reads_elsewhere_ < kReadsElsewhereMax;
}

void ClientSession::run_read(wire::StreamId stream, Call& call) {
    if (!may_read()) {
        held_.insert(stream);
    } else if (call.claim > 0 && !node_.responses->has_room(call.claim)) {
        starve(stream, call);
    } else if (call.read.point) {
        run_point_read(stream, call);
    } else {
        run_read_elsewhere(stream, call);
    }
}

// In the order of their streams, which is the order in which the client began them.
void ClientSession::run_held_reads() {
    while (!held_.empty() && may_read()) {
        const wire::StreamId stream = *held_.begin();
        held_.erase(held_.begin());
        run_read(stream, calls_.at(stream));
    }
}

void ClientSession::starve(wire::StreamId stream, Call& call) {
    if (!call.first_starved.has_value()) {
        call.first_starved = Clock::now();
        ++node_.metrics.response_waits;
    }
    starved_.insert(stream);
    if (!std::exchange(waits_for_room_, true)) {
        node_.responses->wait(weak_from_this());
    }
    // It may have come since it was last looked for.
    if (node_.responses->has_room(call.claim)) {
        node_.responses->wake_soon();
    }
}

void ClientSession::on_room() {
    waits_for_room_ = false;
    run_starved_reads();
    flush();
}

// The first keeps the others of this session waiting, not those of other sessions.
void ClientSession::run_starved_reads() {
    while (!starved_.empty()) {
        const wire::StreamId stream = *starved_.begin();
        Call& call = calls_.at(stream);
        if (!node_.responses->has_room(call.claim)) {
            starve(stream, call);
            return;
        }
        starved_.erase(starved_.begin());
        run_read(stream, call);
    }
}

void ClientSession::refuse_long_starved() {
    const auto begun_before = Clock::now() - kRoomWaitMax;
    for (auto next = starved_.begin(); next != starved_.end();) {
        const wire::StreamId stream = *next++;
        Call& call = calls_.at(stream);
        if (call.first_starved <= begun_before) {
            ++node_.metrics.response_refusals;
            finish(stream, call, api::format_error(no_room()));
        }
    }
}

// A read that touches one key costs less than a hop to another thread.
void ClientSession::run_point_read(wire::StreamId stream, Call& call) {
    api::ReadFacts facts = read_facts(node_);
    if (call.read.kind == ReadKind::kStatus) {
        const ScrapeFacts scrape = node_.facts();
        facts.size.allocated_bytes = static_cast<std::int64_t>(scrape.db_bytes);
        facts.size.used_bytes = static_cast<std::int64_t>(scrape.db_bytes);
    }
    auto answer = std::make_shared<HeldAnswer>(node_.responses, nullptr);
    const auto done =
        write_answer(call.read, node_.driver.newest_view()->in_memory(), facts, *answer);
    if (done.has_error() && done.error().code == Errc::kNotInMemory) {
        run_read_elsewhere(stream, call);
    } else {
        on_answer(stream, call, done, std::move(answer));
    }
}

// A scan may take long and may wait for the disk: not on the thread that sends heartbeats.
void ClientSession::run_read_elsewhere(wire::StreamId stream, Call& call) {
    ReadPool::Wanted wanted = ReadPool::want();
    auto held = std::make_shared<HeldAnswer>(node_.responses, wanted);
    if (!held->reserve(call.claim)) {
        starve(stream, call);
        return;
    }
    auto work = [self = shared_from_this(), stream, read = call.read, facts = read_facts(node_),
                 answer = std::move(held)](bool still_wanted) mutable {
        Result<void> done = Errc::kCanceled;
        if (still_wanted) {
            done = write_answer(read, *self->node_.driver.newest_view(), facts, *answer);
        }
        const auto executor = self->socket_.get_executor();
        auto back = [moved_self = std::move(self), stream, still_wanted,
                     moved_done = std::move(done), moved = std::move(answer)]() mutable {
            moved_self->on_read_done(stream, still_wanted, moved_done, std::move(moved));
        };
        boost::asio::post(executor, std::move(back));
    };
    if (!node_.readers.submit(wanted, std::move(work))) {
        finish(stream, call, api::format_error(Errc::kTooManyRequests));
        return;
    }
    call.wanted = std::move(wanted);
    ++reads_elsewhere_;
}

void ClientSession::on_read_done(wire::StreamId stream, bool began, const Result<void>& done,
                                 std::shared_ptr<HeldAnswer> answer) {
    if (done.has_error() && done.error().code == Errc::kCanceled) {
        ++(began ? node_.metrics.reads_cancelled_running : node_.metrics.reads_cancelled_waiting);
    }
    const auto found = calls_.find(stream);
    if (found != calls_.end()) {
        let_go_of_pool(found->second);
        on_answer(stream, found->second, done, std::move(answer));
    }
    run_held_reads();
    flush();
}

void ClientSession::on_answer(wire::StreamId stream, Call& call, const Result<void>& done,
                              std::shared_ptr<HeldAnswer> answer) {
    if (done.has_value()) {
        auto& counters = node_.metrics.methods[static_cast<std::size_t>(call.request.method)];
        ++counters.sent;
        const ByteView body = answer->body;
        session_.send_message(stream, body, std::move(answer));
        end_call(stream, call, {});
        return;
    }
    const std::uint64_t needed = answer->short_of_bytes();
    if (needed > 0 && needed <= node_.responses->answer_bytes_max()) {
        call.claim = needed;
        starve(stream, call);
        return;
    }
    node_.metrics.response_refusals += needed > 0 ? 1U : 0U;
    finish(stream, call, api::format_error(done.error()));
}

void ClientSession::finish(wire::StreamId stream, Call& call, api::Reply reply) {
    if (reply.status.is_ok()) {
        auto& counters = node_.metrics.methods[static_cast<std::size_t>(call.request.method)];
        ++counters.sent;
        if (reply.body.size() < ResponseBudget::kCountedBytesMin) {
            session_.send_message(stream, std::move(reply.body));
        } else {
            auto kept = node_.responses->keep(std::move(reply.body));
            const ByteView body = kept->view();
            session_.send_message(stream, body, std::move(kept));
        }
    }
    end_call(stream, call, std::move(reply.status));
}

void ClientSession::end_call(wire::StreamId stream, Call& call, wire::GrpcStatus status) {
    auto& counters = node_.metrics.methods[static_cast<std::size_t>(call.request.method)];
    ++counters.handled[std::min<std::size_t>(static_cast<std::size_t>(status.code),
                                             kGrpcCodeCount - 1)];
    session_.send_trailers(stream, std::move(status));
    release(stream, call);
    calls_.erase(stream);
}

// A read that has begun looks at this now and then; one that waits does not run at all.
void ClientSession::let_go_of_pool(Call& call) {
    if (call.wanted != nullptr) {
        *call.wanted = false;
        call.wanted.reset();
        --reads_elsewhere_;
    }
}

void ClientSession::release(wire::StreamId stream, Call& call) {
    if (call.waiting) {
        node_.driver.cancel(call.waiting);
    }
    let_go_of_pool(call);
    if (call.deadline.has_value()) {
        deadlines_.erase(*call.deadline);
    }
    held_.erase(stream);
    starved_.erase(stream);
}

void ClientSession::forget(wire::StreamId stream) {
    const auto found = calls_.find(stream);
    if (found == calls_.end()) {
        return;
    }
    Call& call = found->second;
    auto& counters = node_.metrics.methods[static_cast<std::size_t>(call.request.method)];
    ++counters.handled[static_cast<std::size_t>(wire::GrpcCode::kCancelled)];
    release(stream, call);
    calls_.erase(found);
}

// Re-armed only for an earlier deadline: most calls end long before theirs, and a timer that fires
// early finds nothing to do and waits for the next.
void ClientSession::arm_deadline() {
    if (deadlines_.empty() || deadlines_.begin()->first >= armed_for_) {
        return;
    }
    armed_for_ = deadlines_.begin()->first;
    deadline_timer_.expires_at(armed_for_);
    deadline_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!error && self != nullptr) {
            self->on_deadline();
        }
    });
}

void ClientSession::on_deadline() {
    armed_for_ = Clock::time_point::max();
    const auto now = Clock::now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        const wire::StreamId stream = deadlines_.begin()->second;
        finish(
            stream, calls_.at(stream),
            {wire::GrpcStatus{wire::GrpcCode::kDeadlineExceeded, "context deadline exceeded"}, {}});
    }
    arm_deadline();
    flush();
}

}  // namespace cairn::server::net
