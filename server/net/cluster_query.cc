#include "server/net/cluster_query.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "base/find_host.h"
#include "server/net/task.h"
#include "server/net/version.h"
#include "server/peer/peer_frame.h"

namespace cairn::server::net {
namespace {

using boost::asio::ip::tcp;

constexpr std::chrono::milliseconds kAnswerTimeout{3000};
// Of that.
constexpr std::chrono::milliseconds kLookupTimeout{2500};

// One question to one member.
struct Question {
    explicit Question(boost::asio::io_context& reactor) : socket(reactor) {}

    tcp::socket socket;
    std::string failure = "no answer in time";
    bool refused = false;
    std::optional<peer::HelloReply> answer;
};

// True when nothing more is to come.
bool take_answer(peer::FrameReader& reader, std::optional<peer::HelloReply>& answer) {
    const auto payload = reader.next();
    if (payload.has_error() || !payload.value().has_value()) {
        return payload.has_error();
    }
    auto reply = peer::decode_hello_reply(*payload.value(), peer::kMembersReplyBytesMax);
    if (reply.has_value()) {
        answer = std::move(reply).value();
    }
    return true;
}

Task<> ask(Question* question, PeerEndpoint peer) {
    const auto endpoints = co_await find_host(peer.host, peer.port, kLookupTimeout);
    if (endpoints.has_error()) {
        question->failure = endpoints.error().detail;
        co_return;
    }
    auto [refused, connected] =
        co_await boost::asio::async_connect(question->socket, endpoints.value(), kTask);
    if (refused) {
        question->failure = refused.message();
        question->refused = refused == boost::asio::error::connection_refused;
        co_return;
    }
    std::string frame;
    peer::append_frame(peer::encode_hello({.protocol = peer::kPeerProtocol,
                                           .cluster = {},
                                           .from = {},
                                           .to = {},
                                           .version = std::string(kCairnVersion),
                                           .ask_members = true}),
                       frame);
    auto [lost, written] =
        co_await boost::asio::async_write(question->socket, boost::asio::buffer(frame), kTask);
    peer::FrameReader reader(peer::kMembersReplyBytesMax);
    std::array<char, 4096> buffer{};
    bool open = !lost;
    while (open) {
        auto [ended, count] =
            co_await question->socket.async_read_some(boost::asio::buffer(buffer), kTask);
        reader.feed(ByteView(buffer.data(), count));
        open = !ended && !take_answer(reader, question->answer);
    }
    if (!question->answer) {
        question->failure = "it closed the connection without an answer";
    }
}

}  // namespace

Result<peer::HelloReply> ask_for_members(std::span<const PeerEndpoint> peers,
                                         std::vector<Unanswered>& unanswered) {
    boost::asio::io_context reactor{1};
    std::vector<std::unique_ptr<Question>> questions;
    for (const PeerEndpoint& peer : peers) {
        questions.push_back(std::make_unique<Question>(reactor));
        spawn(reactor.get_executor(), ask(questions.back().get(), peer), "cluster query");
    }
    reactor.run_for(kAnswerTimeout);
    std::optional<peer::HelloReply> newest;
    for (std::size_t at = 0; at < peers.size(); ++at) {
        auto& answer = questions[at]->answer;
        if (!answer) {
            unanswered.push_back({peers[at], questions[at]->failure, questions[at]->refused});
        }
        if (answer && !answer->members.empty() &&
            (!newest || newest->applied_index < answer->applied_index)) {
            newest = std::move(answer);
        }
    }
    if (!newest) {
        return Error{Errc::kConnection,
                     "could not retrieve cluster information from the given URLs"};
    }
    return *std::move(newest);
}

}  // namespace cairn::server::net
