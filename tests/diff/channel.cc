#include "diff/channel.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <span>
#include <string_view>

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include "process/process_cluster.h"

namespace cairn::diff {
namespace {

constexpr std::int32_t kWindowBytes = 1 << 30;
constexpr long kAnswerSeconds = 20;

std::string text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// The library only reads what it is given; its types are older than const.
nghttp2_nv entry(const std::pair<std::string, std::string>& header) {
    const auto bytes = [](const std::string& text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    };
    return {bytes(header.first), bytes(header.second), header.first.size(), header.second.size(),
            NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

// The library's callbacks, which hand on what concerns the call under way.
struct ChannelCallbacks {
    static Channel& of(void* user) { return *static_cast<Channel*>(user); }
    static void set(nghttp2_session_callbacks* callbacks);
    static void on_frame(Channel& channel, const nghttp2_frame& frame);
    static ssize_t read_body(Channel& channel, std::span<std::uint8_t> out, std::uint32_t& flags);
};

void ChannelCallbacks::on_frame(Channel& channel, const nghttp2_frame& frame) {
    if (frame.hd.type == NGHTTP2_GOAWAY) {
        channel.leaving_ = true;
        if (frame.goaway.last_stream_id < channel.stream_) {
            channel.break_off(
                fmt::format("GOAWAY {} \"{}\"", frame.goaway.error_code,
                            text_of(frame.goaway.opaque_data, frame.goaway.opaque_data_len)));
        }
    } else if (frame.hd.stream_id != channel.stream_) {
        return;
    } else if (frame.hd.type == NGHTTP2_RST_STREAM) {
        channel.break_off(fmt::format("RST_STREAM {}", frame.rst_stream.error_code));
    } else if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        channel.ended_ = true;
    }
}

ssize_t ChannelCallbacks::read_body(Channel& channel, std::span<std::uint8_t> out,
                                    std::uint32_t& flags) {
    const auto left = std::string_view(*channel.call_.body).substr(channel.sent_, out.size());
    std::copy(left.begin(), left.end(), out.begin());
    channel.sent_ += left.size();
    if (channel.sent_ == channel.call_.body->size()) {
        flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return static_cast<ssize_t>(left.size());
}

void ChannelCallbacks::set(nghttp2_session_callbacks* callbacks) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
            if (frame->hd.stream_id == of(user).stream_) {
                of(user).answer_.heads.emplace_back();
            }
            return 0;
        });
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_bytes, const std::uint8_t* value, std::size_t value_bytes,
                      std::uint8_t, void* user) {
            if (frame->hd.stream_id == of(user).stream_) {
                of(user).answer_.heads.back().emplace_back(text_of(name, name_bytes),
                                                           text_of(value, value_bytes));
            }
            return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data,
                      std::size_t size, void* user) {
            if (stream == of(user).stream_) {
                of(user).answer_.body += text_of(data, size);
            }
            return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
            on_frame(of(user), *frame);
            return 0;
        });
}

void Channel::FreeSession::operator()(nghttp2_session* session) const {
    nghttp2_session_del(session);
}

Channel::Channel(std::string endpoint) : endpoint_(std::move(endpoint)) {}

Channel::~Channel() { close(); }

void Channel::close() {
    session_.reset();
    if (socket_ >= 0) {
        ::close(socket_);
        socket_ = -1;
    }
}

void Channel::connect() {
    close();
    const std::size_t colon = endpoint_.rfind(':');
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(endpoint_.substr(colon + 1))));
    inet_pton(AF_INET, endpoint_.substr(0, colon).c_str(), &address.sin_addr);
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval timeout{.tv_sec = kAnswerSeconds, .tv_usec = 0};
    const int on = 1;
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw process::Failure{"nobody listens at " + endpoint_};
    }
    open_session();
}

void Channel::open_session() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    ChannelCallbacks::set(callbacks);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_http_messaging(option, 1);  // whatever comes is an answer
    nghttp2_session* session = nullptr;
    nghttp2_session_client_new2(&session, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    session_.reset(session);
    const std::array<nghttp2_settings_entry, 1> settings{
        {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes}}};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kWindowBytes);
    leaving_ = false;
}

void Channel::begin(RawCall call) {
    if (session_ == nullptr || leaving_) {
        connect();
    }
    call_ = std::move(call);
    sent_ = 0;
    answer_ = {};
    ended_ = false;
    std::vector<nghttp2_nv> headers;
    std::transform(call_.headers.begin(), call_.headers.end(), std::back_inserter(headers), entry);
    const nghttp2_data_provider body{
        .source = {},
        .read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t* out, std::size_t size,
                            std::uint32_t* flags, nghttp2_data_source*, void* user) {
            return ChannelCallbacks::read_body(ChannelCallbacks::of(user), {out, size}, *flags);
        }};
    stream_ = nghttp2_submit_request(session_.get(), nullptr, headers.data(), headers.size(),
                                     call_.body.has_value() ? &body : nullptr, nullptr);
    flush();
}

RawAnswer Channel::finish() {
    while (!ended_) {
        receive();
        flush();
    }
    // The rest of a call that nobody waits for any more would be in the way of the next.
    if (leaving_ || !answer_.broken.empty() ||
        (call_.body.has_value() && sent_ < call_.body->size())) {
        close();
    }
    return std::move(answer_);
}

void Channel::flush() {
    const std::uint8_t* data = nullptr;
    for (;;) {
        const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
        if (size <= 0) {
            return;
        }
        for (ssize_t done = 0; done < size;) {
            const ssize_t count =
                ::send(socket_, data + done, static_cast<std::size_t>(size - done), MSG_NOSIGNAL);
            if (count <= 0) {
                return;  // receive() sees what the server said before it left
            }
            done += count;
        }
    }
}

void Channel::receive() {
    std::array<std::uint8_t, 65536> buffer{};
    const ssize_t count = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        break_off("no answer in time");
    } else if (count <= 0) {
        break_off("the connection was closed");
    } else if (nghttp2_session_mem_recv(session_.get(), buffer.data(),
                                        static_cast<std::size_t>(count)) < 0) {
        break_off("bytes that are not HTTP/2");
    }
}

void Channel::break_off(const std::string& why) {
    if (!ended_) {
        ended_ = true;
        answer_.broken = why;
    }
}

}  // namespace cairn::diff
