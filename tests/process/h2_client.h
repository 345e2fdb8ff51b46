// H2Client: a client that reads only when told to, to see what a server does with one that does
// not. One thread; blocking. Must never hide what came: all events are kept until they are asked
// for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "proto/wire/h2_session.h"

namespace cairn::process {

class H2Client {
  public:
    struct Answer {
        std::optional<wire::GrpcStatus> status;  // none while the call runs
        std::string message;
    };

    explicit H2Client(const std::string& endpoint);

    using Metadata = std::vector<std::pair<std::string_view, std::string_view>>;

    // Sends the whole call at once.
    wire::StreamId call(const std::string& path, const std::string& request,
                        std::optional<std::int64_t> timeout_ns = std::nullopt,
                        Metadata metadata = {});
    void reset(wire::StreamId stream);
    // Reads until `count` calls have ended or the server closed the connection.
    void read_until_ended(std::size_t count);
    [[nodiscard]] const std::map<wire::StreamId, Answer>& answers() const { return answers_; }
    // What the server's last GOAWAY said; empty while none came.
    [[nodiscard]] const std::string& goaway() const { return goaway_; }

  private:
    void flush();
    void read_once();

    boost::asio::io_context io_;
    boost::asio::ip::tcp::socket socket_{io_};
    wire::H2Session session_;
    std::map<wire::StreamId, Answer> answers_;
    std::string goaway_;
    std::size_t ended_ = 0;
    bool closed_ = false;
};

}  // namespace cairn::process
