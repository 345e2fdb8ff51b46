// Channel: one HTTP/2 connection to a server, on which a call goes out just as it is given and
// nothing of what comes back is hidden.
// Owned by a Pair; one thread; blocking. Must never mend a call or an answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

struct nghttp2_session;  // NOLINT: the library's own name

namespace cairn::diff {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct RawCall {
    Headers headers;                  // all of them, those that begin with a colon first
    std::optional<std::string> body;  // of the DATA frames; absent: the headers end the stream
};

struct RawAnswer {
    std::vector<Headers> heads{};  // each block of headers, as they came
    std::string body{};
    std::string broken{};  // why it ended before the server said that it ends; empty: it did not
};

class Channel {
  public:
    explicit Channel(std::string endpoint);
    ~Channel();
    Channel(Channel&&) = delete;
    Channel& operator=(Channel&&) = delete;

    // Connects when it has to. Throws process::Failure when nobody listens.
    void begin(RawCall call);
    // Of the call that began, which is broken when no answer comes in time.
    RawAnswer finish();
    // The next call has a connection of its own.
    void close();

  private:
    friend struct ChannelCallbacks;
    struct FreeSession {
        void operator()(nghttp2_session* session) const;
    };

    void connect();
    void open_session();
    void flush();
    void receive();
    void break_off(const std::string& why);

    const std::string endpoint_;
    int socket_ = -1;
    std::unique_ptr<nghttp2_session, FreeSession> session_;  // null: not connected
    std::int32_t stream_ = 0;                                // of the call under way
    RawCall call_;
    std::size_t sent_ = 0;  // of the body
    RawAnswer answer_;
    bool ended_ = false;
    bool leaving_ = false;  // the server said GOAWAY
};

}  // namespace cairn::diff
