#include "proto/wire/h2_library.h"

#include <sys/types.h>

#include <array>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "base/assert.h"
#include "proto/wire/h2_core.h"

namespace cairn::wire {

namespace {

constexpr std::size_t kFrameHeaderBytes = 9;
using HeaderArray = std::array<nghttp2_nv, kHeadersMax>;

// nghttp2 only reads what it is given; its types are older than const.
std::uint8_t* mutable_bytes(std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
}

std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

void fill_headers(HeaderArray& out, std::span<const Header> headers) {
    CAIRN_ASSERT(headers.size() <= out.size());
    std::size_t i = 0;
    for (const Header& header : headers) {
        const std::uint8_t flags =
            header.fixed ? NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
                         : NGHTTP2_NV_FLAG_NONE;
        out[i] = {mutable_bytes(header.name), mutable_bytes(header.value), header.name.size(),
                  header.value.size(), flags};
        ++i;
    }
}

Error library_error(int code) { return {Errc::kInternal, nghttp2_strerror(code)}; }

struct FreeOption {
    void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};
using Option = std::unique_ptr<nghttp2_option, FreeOption>;

struct FreeCallbacks {
    void operator()(nghttp2_session_callbacks* c) const { nghttp2_session_callbacks_del(c); }
};
using Callbacks = std::unique_ptr<nghttp2_session_callbacks, FreeCallbacks>;

Result<Option> make_option(Role role, const H2Limits& limits) {
    nghttp2_option* raw = nullptr;
    if (const int code = nghttp2_option_new(&raw); code != 0) {
        return library_error(code);
    }
    Option option(raw);
    // We credit received bytes ourselves: that is how a slow reader holds its peer back.
    nghttp2_option_set_no_auto_window_update(raw, 1);
    nghttp2_option_set_no_closed_streams(raw, 1);
    if (role == Role::kServer) {
        // The library's rules for requests refuse the :authority that etcd's Go client 3.4 sends
        // for an endpoint with a scheme: "http://127.0.0.1:2379". The core has rules of its own.
        nghttp2_option_set_no_http_messaging(raw, 1);
    }
    nghttp2_option_set_max_outbound_ack(raw, limits.outbound_acks_max);
#ifdef CAIRN_HAVE_NGHTTP2_CONTINUATIONS
    nghttp2_option_set_max_continuations(raw, limits.continuation_frames_max);
#endif
#ifdef CAIRN_HAVE_NGHTTP2_RESET_LIMIT
    // The library's own limit reads a clock; AbuseGuard does the same without one.
    nghttp2_option_set_stream_reset_rate_limit(raw, std::uint64_t{1} << 62U, 1);
#endif
    return option;
}

}  // namespace

// The library's callbacks: translate, call the core, nothing else.
struct LibraryCallbacks {
    static H2Core& core(void* user) { return *static_cast<H2Library*>(user)->core_; }
    static void set_receiving(nghttp2_session_callbacks* callbacks);
    static void set_sending(nghttp2_session_callbacks* callbacks);
    static int on_frame(const nghttp2_frame& frame, H2Core& core);
    static ssize_t plan(H2Core& core, StreamId stream, std::size_t size, std::uint32_t& flags);
    static int write(H2Library& library, StreamId stream, std::string_view frame_head,
                     std::size_t size);
    static Result<Callbacks> make();
};

int LibraryCallbacks::on_frame(const nghttp2_frame& frame, H2Core& core) {
    const StreamId stream = frame.hd.stream_id;
    const bool end_stream = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame.hd.type) {
        case NGHTTP2_HEADERS: core.on_headers_end(stream, end_stream); break;
        case NGHTTP2_DATA:
            if (end_stream) {
                core.on_data_end(stream);
            }
            break;
        case NGHTTP2_PING:
            if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) {
                core.on_pong(text_of(frame.ping.opaque_data, kOpaqueBytes));
            }
            break;
        case NGHTTP2_GOAWAY:
            core.on_goaway(frame.goaway.last_stream_id, frame.goaway.error_code,
                           text_of(frame.goaway.opaque_data, frame.goaway.opaque_data_len));
            break;
        default: break;
    }
    return 0;
}

void LibraryCallbacks::set_receiving(nghttp2_session_callbacks* callbacks) {
    nghttp2_session_callbacks_set_on_begin_frame_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame_hd* hd, void* user) {
            core(user).on_frame_begin({hd->type, hd->flags, hd->stream_id, hd->length});
            return 0;
        });
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
            core(user).on_headers_begin(frame->hd.stream_id,
                                        frame->headers.cat == NGHTTP2_HCAT_REQUEST);
            return 0;
        });
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_bytes, const std::uint8_t* value, std::size_t value_bytes,
                      std::uint8_t, void* user) {
            const bool go_on = core(user).on_header(frame->hd.stream_id, text_of(name, name_bytes),
                                                    text_of(value, value_bytes));
            return go_on ? 0 : static_cast<int>(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE);
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
            return on_frame(*frame, core(user));
        });
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
            if (frame->hd.type == NGHTTP2_HEADERS) {
                core(user).on_headers_refused(frame->hd.stream_id);
            }
            return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data,
                      std::size_t size, void* user) {
            core(user).on_data(stream, text_of(data, size));
            return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, std::int32_t stream, std::uint32_t code, void* user) {
            core(user).on_stream_closed(stream, code);
            return 0;
        });
}

// Asks the core how much goes into one DATA frame; the bytes move later, in write().
ssize_t LibraryCallbacks::plan(H2Core& core, StreamId stream, std::size_t size,
                               std::uint32_t& flags) {
    const DataPlan plan = core.plan_data(stream, size);
    if (plan.wait) {
        return NGHTTP2_ERR_DEFERRED;
    }
    flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (plan.last) {
        flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    if (plan.trailers) {
        flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        core.send_queued_trailers(stream);
    }
    return static_cast<ssize_t>(plan.bytes);
}

int LibraryCallbacks::write(H2Library& library, StreamId stream, std::string_view frame_head,
                            std::size_t size) {
    CAIRN_ASSERT(library.output_ != nullptr);
    if (library.output_->size() >= library.output_end_) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    library.output_->append(frame_head);
    library.core_->move_data(stream, size, *library.output_);
    return 0;
}

void LibraryCallbacks::set_sending(nghttp2_session_callbacks* callbacks) {
    nghttp2_session_callbacks_set_on_frame_send_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
            if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
                core(user).on_work_sent(frame->hd.stream_id,
                                        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
            } else if (frame->hd.type == NGHTTP2_GOAWAY &&
                       frame->goaway.error_code != NGHTTP2_NO_ERROR) {
                core(user).on_error_goaway_sent();
            }
            return 0;
        });
    nghttp2_session_callbacks_set_on_frame_not_send_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
            if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
                core(user).on_request_not_sent(frame->hd.stream_id);
            }
            return 0;
        });
    nghttp2_session_callbacks_set_send_data_callback(
        callbacks, [](nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* frame_head,
                      std::size_t size, nghttp2_data_source*, void* user) {
            return write(*static_cast<H2Library*>(user), frame->hd.stream_id,
                         text_of(frame_head, kFrameHeaderBytes), size);
        });
}

Result<Callbacks> LibraryCallbacks::make() {
    nghttp2_session_callbacks* raw = nullptr;
    if (const int code = nghttp2_session_callbacks_new(&raw); code != 0) {
        return library_error(code);
    }
    Callbacks callbacks(raw);
    set_receiving(raw);
    set_sending(raw);
    return callbacks;
}

namespace {

// Every body comes from the core, found by the stream's id: no pointer can outlive its stream.
nghttp2_data_provider body_of_core() {
    nghttp2_data_provider provider{};
    provider.read_callback = [](nghttp2_session*, std::int32_t stream, std::uint8_t*,
                                std::size_t size, std::uint32_t* flags, nghttp2_data_source*,
                                void* user) {
        return LibraryCallbacks::plan(LibraryCallbacks::core(user), stream, size, *flags);
    };
    return provider;
}

}  // namespace

void H2Library::FreeSession::operator()(nghttp2_session* session) const {
    nghttp2_session_del(session);
}

H2Library::H2Library() = default;
H2Library::~H2Library() = default;

Result<void> H2Library::open(H2Core& core, Role role, const H2Limits& limits) {
    core_ = &core;
    CAIRN_TRY(const Callbacks callbacks, LibraryCallbacks::make());
    CAIRN_TRY(const Option option, make_option(role, limits));
    nghttp2_session* raw = nullptr;
    const int code = role == Role::kServer
                         ? nghttp2_session_server_new2(&raw, callbacks.get(), this, option.get())
                         : nghttp2_session_client_new2(&raw, callbacks.get(), this, option.get());
    if (code != 0) {
        return library_error(code);
    }
    session_.reset(raw);
    return submit_settings(role, limits);
}

Result<void> H2Library::submit_settings(Role role, const H2Limits& limits) {
    const nghttp2_settings_entry own =
        role == Role::kServer ? nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                                       limits.concurrent_streams_max}
                              : nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    const std::array<nghttp2_settings_entry, 3> entries{{
        own,
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
         static_cast<std::uint32_t>(limits.stream_window_bytes)},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.header_list_bytes_max},
    }};
    int code =
        nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, entries.data(), entries.size());
    if (code == 0) {
        code = nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                                     limits.connection_window_bytes);
    }
    if (code != 0) {
        return library_error(code);
    }
    return ok();
}

Result<void> H2Library::receive(ByteView bytes) {
    const ssize_t taken = nghttp2_session_mem_recv(
        session_.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    if (taken < 0) {
        const int code = static_cast<int>(taken);
        return Error{code == NGHTTP2_ERR_FLOODED ? Errc::kTooManyRequests : Errc::kProtocol,
                     nghttp2_strerror(code)};
    }
    return ok();
}

Result<void> H2Library::send(std::string& out, std::size_t end) {
    output_ = &out;
    output_end_ = end;
    ssize_t count = 1;
    while (count > 0 && out.size() < end) {
        const std::uint8_t* data = nullptr;
        count = nghttp2_session_mem_send(session_.get(), &data);
        if (count > 0) {
            out.append(text_of(data, static_cast<std::size_t>(count)));
        }
    }
    output_ = nullptr;
    if (count < 0) {
        return Error{Errc::kProtocol, nghttp2_strerror(static_cast<int>(count))};
    }
    return ok();
}

bool H2Library::wants_read() const { return nghttp2_session_want_read(session_.get()) != 0; }

bool H2Library::wants_write() const { return nghttp2_session_want_write(session_.get()) != 0; }

std::size_t H2Library::queued_frames() const {
    return nghttp2_session_get_outbound_queue_size(session_.get());
}

bool H2Library::submit_response(StreamId stream, std::span<const Header> headers, bool has_body) {
    HeaderArray block;
    fill_headers(block, headers);
    const nghttp2_data_provider body = body_of_core();
    return nghttp2_submit_response(session_.get(), stream, block.data(), headers.size(),
                                   has_body ? &body : nullptr) == 0;
}

bool H2Library::submit_trailers(StreamId stream, std::span<const Header> headers) {
    HeaderArray block;
    fill_headers(block, headers);
    return nghttp2_submit_trailer(session_.get(), stream, block.data(), headers.size()) == 0;
}

Result<StreamId> H2Library::submit_request(std::span<const Header> headers) {
    if (nghttp2_session_check_request_allowed(session_.get()) == 0) {
        return Error{Errc::kClosed, "the connection takes no new calls"};
    }
    HeaderArray block;
    fill_headers(block, headers);
    const nghttp2_data_provider body = body_of_core();
    const std::int32_t id = nghttp2_submit_request(session_.get(), nullptr, block.data(),
                                                   headers.size(), &body, nullptr);
    if (id < 0) {
        return Error{Errc::kClosed, nghttp2_strerror(id)};
    }
    return StreamId{id};
}

void H2Library::submit_reset(StreamId stream, H2Code code) {
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream,
                              static_cast<std::uint32_t>(code));
}

void H2Library::submit_goaway(H2Code code, std::string_view debug) {
    nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_.get()),
                          static_cast<std::uint32_t>(code), mutable_bytes(debug), debug.size());
}

void H2Library::submit_shutdown_notice() { nghttp2_submit_shutdown_notice(session_.get()); }

void H2Library::submit_ping(std::string_view opaque) {
    CAIRN_ASSERT(opaque.size() == kOpaqueBytes);
    nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, mutable_bytes(opaque));
}

void H2Library::resume_data(StreamId stream) {
    nghttp2_session_resume_data(session_.get(), stream);
}

void H2Library::credit_connection(std::size_t bytes) {
    nghttp2_session_consume_connection(session_.get(), bytes);
}

void H2Library::credit_stream(StreamId stream, std::size_t bytes) {
    nghttp2_session_consume_stream(session_.get(), stream, bytes);
}

bool H2Library::is_header_name(std::string_view name) {
    return !name.starts_with(':') &&
           nghttp2_check_header_name(mutable_bytes(name), name.size()) != 0;
}

bool H2Library::is_header_value(std::string_view value) {
    return nghttp2_check_header_value(mutable_bytes(value), value.size()) != 0;
}

}  // namespace cairn::wire
