#include "server/net/client_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/write.hpp>

#include "base/empty_buffer.h"
#include "server/api/api_error.h"
#include "storage/command.h"

namespace cairn::server::net {
namespace {

// Bytes handed to the kernel in one write.
constexpr std::size_t kWriteBytes = 256U * 1024U;
// What a session keeps of a buffer that it needs no more at present.
constexpr std::size_t kKeptBytesMax = 32U * 1024U;

api::Reply internal(const char* what) {
    return {wire::GrpcStatus{wire::GrpcCode::kInternal, what}, {}};
}

// Of a write: its answer was to be longer than its bound, so that it was not done.
bool is_too_long(const Completion& completion) {
    const auto* outcome = std::get_if<ProposalOutcome>(&completion.result);
    const auto* applied = outcome != nullptr ? std::get_if<Applied>(outcome) : nullptr;
    return applied != nullptr && applied->error == Errc::kMessageTooLarge;
}

// What a session may still have to send before further calls with long answers wait, and how many
// reads may run beside the reactor: a client that asks without reading is held back.
constexpr std::size_t kUnsentBytesMax = 4U * 1024U * 1024U;
constexpr std::size_t kReadsElsewhereMax = 16;
// How long a call waits for room before it is refused.
constexpr std::chrono::seconds kRoomWaitMax{5};
// How long a client whose connection is broken has to take what is left.
constexpr std::chrono::seconds kLingerMax{2};
// Longer than anybody waits, and far from where time points end.
constexpr std::chrono::hours kTimeoutMax{24 * 365};

std::int64_t unix_nanos() {
    return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
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
      waiting_(node.responses),
      stall_(Clock::now()),
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
    release_all();
}

void ClientSession::release_all() {
    for (auto& [stream, call] : calls_) {
        count_cancelled(call);
        release(stream, call);
    }
    calls_.clear();
}

void ClientSession::on_second(std::uint64_t now_ms) {
    session_.on_tick(now_ms);
    refuse_long_starved();
    look_after_snapshots();
    end_if_stalled();
    flush();
    if (Clock::now() >= close_at_) {
        close();
    }
}

// Who takes nothing is let be as long as nobody else needs the memory.
void ClientSession::end_if_stalled() {
    if (!stall_.is_stalled(session_.queued_bytes(), Clock::now()) || broken_ ||
        !node_.responses->is_short()) {
        return;
    }
    ++node_.metrics.response_stalls;
    session_.give_up(wire::H2Code::kEnhanceYourCalm, "answers_not_taken");
    broken_ = true;
    close_at_ = Clock::now() + kLingerMax;
    release_all();
    if (writing_) {
        close();  // the reason would stand behind what is not taken
    }
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
    // What the session still has to say (a GOAWAY with the reason) goes out before the close, and a
    // close with bytes that nobody read would take it back (RFC 9112 §9.6 has the same).
    self->read_ended_ = true;
    if (self->broken_) {
        self->close_at_ = Clock::now() + kLingerMax;
    }
    self->flush();
    while (!self->closed_) {
        auto [error, count] =
            co_await self->socket_.async_read_some(boost::asio::buffer(self->buffer_), kTask);
        if (error) {
            self->close();
        }
        self->node_.metrics.client_bytes_received += count;
    }
}

bool ClientSession::feed(ByteView bytes) {
    const auto fed = session_.feed(bytes);
    act_on_events();
    if (fed.has_error() && !std::exchange(broken_, true)) {
        release_all();
    }
    run_held();  // a stream that was reset has made room
    flush();
    return fed.has_value() && !session_.is_done();
}

void ClientSession::act_on_events() {
    session_.take_events(events_);
    for (auto& event : events_) {
        std::visit([this](auto& one) { on_event(one); }, event);
    }
    // Messages that nobody took must not stay until the client speaks again.
    empty_buffer(events_, kKeptBytesMax);
}

// One write at a time; what comes meanwhile goes with the next one.
void ClientSession::flush() {
    if (writing_ || closed_ || all_sent_) {
        return;
    }
    output_.clear();
    session_.take_output(output_, kWriteBytes);
    if (output_.empty()) {
        // A stream that ended with what was written last is told of here alone.
        act_on_events();
        run_held();
        session_.take_output(output_, kWriteBytes);
    }
    if (output_.empty()) {
        empty_buffer(output_, kKeptBytesMax);
        if (broken_) {
            end_sending();
        } else if (read_ended_ || session_.is_done()) {
            close();
        }
        return;
    }
    writing_ = true;
    written_ = 0;
    boost::asio::async_write(
        socket_, boost::asio::buffer(output_),
        [this](const boost::system::error_code& error, std::size_t count) {
            stall_.on_taken(count - std::exchange(written_, count));
            return error ? std::size_t{0} : kWriteBytes;
        },
        [self = shared_from_this()](const boost::system::error_code& error, std::size_t count) {
            self->on_written(error, count);
        });
}

void ClientSession::end_sending() {
    all_sent_ = true;
    boost::system::error_code ignored;
    socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
}

void ClientSession::on_written(const boost::system::error_code& error, std::size_t count) {
    writing_ = false;
    node_.metrics.client_bytes_sent += count;
    if (error) {
        close();
        return;
    }
    act_on_events();  // a stream that we reset has ended by what was written
    run_held();
    feed_snapshots();
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
    call.request.native_snapshot = event.native_snapshot;
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
    call.has_message = true;
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
    call.request.client_api_version = session_.client_api_version();
    if (call.request.method == wire::MethodId::kClusterMemberAdd) {
        call.request.unix_nanos = unix_nanos();
    }
    Intent intent = node_.dispatcher.on_request(call.request, node_.driver.view());
    call.request.client_api_version = {};
    call.request.request = Bytes();
    if (const auto* reject = std::get_if<Reject>(&intent)) {
        finish(stream, call, api::format_error(reject->error));
    } else if (const auto* now = std::get_if<ReplyNow>(&intent)) {
        const std::int64_t revision = node_.driver.newest_view()->revision();
        finish(stream, call, node_.dispatcher.format(*now, revision, node_.driver.view().term));
    } else if (auto* propose = std::get_if<Propose>(&intent)) {
        begin(stream, call, std::move(*propose));
    } else if (const auto* move = std::get_if<MoveLeader>(&intent)) {
        call.waiting = node_.driver.transfer_leader(shared_from_this(),
                                                    static_cast<std::uint64_t>(stream), move->to);
    } else if (auto* read = std::get_if<Read>(&intent)) {
        begin_read(stream, call, std::move(*read));
    } else {
        begin_read(stream, call, SendSnapshot{});
    }
}

template <class What>
void ClientSession::begin_read(wire::StreamId stream, Call& call, What what) {
    const bool waits = node_.reads.needs_grant(what);
    call.work = std::move(what);
    if (waits) {
        call.waiting =
            node_.driver.submit_read(shared_from_this(), static_cast<std::uint64_t>(stream));
    } else {
        run(stream, call);
    }
}

void ClientSession::begin(wire::StreamId stream, Call& call, Propose propose) {
    if (!propose.long_answer) {
        call.waiting = node_.driver.submit(shared_from_this(), static_cast<std::uint64_t>(stream),
                                           propose.kind, std::move(propose.request));
        return;
    }
    call.claim = node_.responses->next_write_claim(0);
    call.work = std::move(propose);
    run(stream, call);
}

void ClientSession::on_completion(std::uint64_t token, const Completion& completion) {
    const auto stream = static_cast<wire::StreamId>(token);
    const auto found = calls_.find(stream);
    if (found == calls_.end()) {
        return;
    }
    Call& call = found->second;
    call.waiting = CallId{};
    if (std::holds_alternative<ReadGranted>(completion.result)) {
        node_.reads.on_granted();
        run(stream, call);
        return;
    }
    if (call.room != nullptr && is_too_long(completion)) {
        on_too_long_for_claim(stream, call);
        return;
    }
    api::Reply reply = node_.dispatcher.format(completion);
    if (call.request.method == wire::MethodId::kClusterMemberPromote && !reply.status.is_ok()) {
        ++node_.metrics.promotions_failed[reply.status.message];
    }
    finish(stream, call, std::move(reply));
}

void ClientSession::on_turn_end() { flush(); }

bool ClientSession::may_run() const {
    return session_.queued_bytes() < kUnsentBytesMax && reads_elsewhere_ < kReadsElsewhereMax;
}

void ClientSession::run(wire::StreamId stream, Call& call) {
    if (std::holds_alternative<SendSnapshot>(call.work)) {
        begin_snapshot(stream);
    } else if (!may_run()) {
        waiting_.hold(stream);
    } else if (call.claim > 0 && !node_.responses->has_room(call.claim)) {
        starve(stream, call);
    } else if (std::holds_alternative<Propose>(call.work)) {
        run_claimed_write(stream, call);
    } else if (std::get<Read>(call.work).point) {
        run_point_read(stream, call);
    } else {
        run_read_elsewhere(stream, call);
    }
}

void ClientSession::run_held() {
    while (waiting_.has_held() && may_run()) {
        const wire::StreamId stream = waiting_.take_held();
        run(stream, calls_.at(stream));
    }
}

// What it claims is what its answer may take: more, and every member refuses it. While one may not
// know that kind of command, and would stop at it, the answer may take more than it claims.
void ClientSession::run_claimed_write(wire::StreamId stream, Call& call) {
    call.room = node_.responses->claim_for_write(call.claim);
    if (call.room == nullptr) {
        starve(stream, call);
        return;
    }
    Propose write = std::get<Propose>(call.work);
    if (node_.peers.newest_common_command() >= command::BOUNDED) {
        const auto bound = ResponseBudget::bound_of(call.claim);
        write.request = storage::encode_bounded({bound, write.kind, write.request.view()});
        write.kind = command::BOUNDED;
    }
    call.waiting = node_.driver.submit(shared_from_this(), static_cast<std::uint64_t>(stream),
                                       write.kind, std::move(write.request));
}

// It had no effect, so it may be proposed again.
void ClientSession::on_too_long_for_claim(wire::StreamId stream, Call& call) {
    call.room.reset();
    call.claim = node_.responses->next_write_claim(call.claim);
    if (call.claim == 0) {
        ++node_.metrics.response_refusals;
        finish(stream, call, api::format_error(node_.responses->too_long_write()));
        return;
    }
    run(stream, call);
}

void ClientSession::starve(wire::StreamId stream, Call& call) {
    if (!call.first_starved.has_value()) {
        call.first_starved = Clock::now();
        ++node_.metrics.response_waits;
    }
    waiting_.starve(stream, call.claim, weak_from_this());
}

void ClientSession::on_room() {
    waiting_.on_told();
    run_starved();
    flush();
}

void ClientSession::run_starved() {
    while (const auto stream = waiting_.take_fed(weak_from_this())) {
        Call& call = calls_.at(*stream);
        call.first_starved.reset();
        run(*stream, call);
    }
}

void ClientSession::refuse_long_starved() {
    const auto begun_before = Clock::now() - kRoomWaitMax;
    for (const wire::StreamId stream : waiting_.starved()) {
        Call& call = calls_.at(stream);
        if (call.first_starved <= begun_before) {
            ++node_.metrics.response_refusals;
            finish(stream, call, api::format_error(ResponseBudget::no_room()));
        }
    }
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

void ClientSession::release(wire::StreamId stream, Call& call) {
    if (call.waiting && call.room != nullptr) {
        node_.driver.abandon(call.waiting, std::move(call.room));
    } else if (call.waiting) {
        node_.driver.cancel(call.waiting);
    }
    let_go_of_pool(call);
    if (call.deadline.has_value()) {
        deadlines_.erase(*call.deadline);
    }
    waiting_.remove(stream);
    if (const auto snapshot = snapshots_.extract(stream); !snapshot.empty()) {
        snapshot.mapped()->release();
    }
}

void ClientSession::forget(wire::StreamId stream) {
    const auto found = calls_.find(stream);
    if (found == calls_.end()) {
        return;
    }
    count_cancelled(found->second);
    release(stream, found->second);
    calls_.erase(found);
}

// Who has gone hears nothing; what began has an end all the same.
void ClientSession::count_cancelled(const Call& call) {
    auto& counters = node_.metrics.methods[static_cast<std::size_t>(call.request.method)];
    ++counters.handled[static_cast<std::size_t>(wire::GrpcCode::kCancelled)];
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
