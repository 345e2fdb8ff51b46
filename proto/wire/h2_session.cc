#include "proto/wire/h2_session.h"

#include <utility>

#include "base/assert.h"
#include "proto/wire/h2_core.h"

namespace cairn::wire {

H2Session::H2Session(std::unique_ptr<H2Core> core) : core_(std::move(core)) {}
H2Session::H2Session(H2Session&&) noexcept = default;
H2Session& H2Session::operator=(H2Session&&) noexcept = default;
H2Session::~H2Session() = default;

Result<H2Session> H2Session::create(Role role, const H2Limits& limits) {
    auto core = std::make_unique<H2Core>(role, limits);
    CAIRN_TRY(core->start());
    return H2Session(std::move(core));
}

Result<void> H2Session::feed(ByteView bytes) { return core_->feed(bytes); }

void H2Session::take_events(std::vector<StreamEvent>& events) { core_->take_events(events); }

bool H2Session::take_output(std::string& out, std::size_t bytes_max) {
    return core_->take_output(out, bytes_max);
}

bool H2Session::wants_write() const { return core_->wants_write(); }

bool H2Session::is_done() const { return core_->is_done(); }

bool H2Session::has_peer_settings() const { return core_->has_peer_settings(); }
std::size_t H2Session::queued_bytes() const { return core_->queued_bytes(); }

std::size_t H2Session::queued_bytes(StreamId stream) const {
    const H2Stream* found = core_->streams().find(stream);
    return found == nullptr ? 0 : found->out.bytes();
}

std::size_t H2Session::open_streams() const { return core_->streams().size(); }

std::size_t H2Session::partial_bytes() const { return core_->partial_bytes(); }

const AbuseGuard::Counters& H2Session::counters() const { return core_->counters(); }

std::string_view H2Session::user_agent() const { return core_->user_agent(); }

std::string_view H2Session::client_api_version() const { return core_->client_api_version(); }

bool H2Session::send_headers(StreamId stream) {
    CAIRN_ASSERT(core_->is_server());
    return core_->send_headers(stream);
}

bool H2Session::send_message(StreamId stream, Bytes payload) {
    return core_->send_message(stream, std::move(payload));
}

bool H2Session::send_message(StreamId stream, ByteView payload) {
    return core_->send_message(stream, Bytes::copy_of(payload));
}

bool H2Session::send_message(StreamId stream, ByteView payload, std::shared_ptr<const void> owner) {
    return core_->send_message(stream, payload, std::move(owner));
}

bool H2Session::send_trailers(StreamId stream, GrpcStatus status) {
    CAIRN_ASSERT(core_->is_server());
    return core_->send_trailers(stream, std::move(status));
}

bool H2Session::finish_sending(StreamId stream) {
    CAIRN_ASSERT(!core_->is_server());
    return core_->finish_sending(stream);
}

bool H2Session::reset(StreamId stream, H2Code code) { return core_->reset(stream, code); }

void H2Session::hold_reading(StreamId stream) { core_->hold_reading(stream); }

void H2Session::resume_reading(StreamId stream) { core_->resume_reading(stream); }

Result<StreamId> H2Session::start_request(const RequestOptions& options) {
    CAIRN_ASSERT(!core_->is_server());
    return core_->start_request(options);
}

void H2Session::shutdown() { core_->shutdown(); }

void H2Session::give_up(H2Code code, std::string_view why) { core_->give_up(code, why); }

void H2Session::ping() { core_->ping(); }

std::uint64_t H2Session::pongs_received() const { return core_->pongs(); }

void H2Session::on_tick(std::uint64_t now_ms) { core_->on_tick(now_ms); }

}  // namespace cairn::wire
