// The switch that the fault test breaks: what it lets through, holds back, delays and ends. Sockets
// on this machine, no cairnd.
#include "process/fault_switch.h"

#include <future>
#include <memory>
#include <string>

#include "catch.h"
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "process/process_cluster.h"
#include "server/peer/peer_frame.h"
#include "server/peer/peer_hello.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;

struct Members {
    Members() {
        for (int i = 0; i < 2; ++i) {
            listening.emplace_back(context,
                                   tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
        }
        network = std::make_unique<FaultSwitch>(
            std::vector{listening[0].local_endpoint().port(), listening[1].local_endpoint().port()},
            1);
    }

    boost::asio::io_context context;
    std::vector<tcp::acceptor> listening;
    std::unique_ptr<FaultSwitch> network;
};

// A connection of one member to the other, both ends.
struct Pair {
    Pair(Members& members, std::size_t from) : dialler(members.context), target(members.context) {
        const std::size_t to = 1 - from;
        dialler.connect({boost::asio::ip::address_v4::loopback(), members.network->port(to)});
        server::peer::Hello hello;
        hello.peer_urls = {fmt::format("http://127.0.0.1:{}", members.network->port(from))};
        server::peer::append_frame(server::peer::encode_hello(hello), greeting);
        write(dialler, greeting);
        members.listening[to].accept(target);
    }

    static void write(tcp::socket& socket, const std::string& text) {
        boost::asio::write(socket, boost::asio::buffer(text));
    }
    static std::string read(tcp::socket& socket, std::size_t bytes) {
        std::string text(bytes, '\0');
        boost::asio::read(socket, boost::asio::buffer(text));
        return text;
    }
    static bool is_at_end(tcp::socket& socket) {
        char byte = 0;
        boost::system::error_code error;
        socket.read_some(boost::asio::buffer(&byte, 1), error);
        return error.failed();
    }

    std::string greeting;
    tcp::socket dialler;
    tcp::socket target;
};

TEST_CASE("Bytes go both ways, the greeting first", "[process][switch]") {
    Members members;
    Pair pair(members, 0);
    CHECK(Pair::read(pair.target, pair.greeting.size()) == pair.greeting);
    Pair::write(pair.dialler, "there");
    CHECK(Pair::read(pair.target, 5) == "there");
    Pair::write(pair.target, "back");
    CHECK(Pair::read(pair.dialler, 4) == "back");
    pair.dialler.close();
    CHECK(Pair::is_at_end(pair.target));
}

TEST_CASE("A cut holds one direction back, and lets it go when it is over", "[process][switch]") {
    Members members;
    Pair one(members, 0);
    Pair other(members, 1);
    Pair::read(one.target, one.greeting.size());
    Pair::read(other.target, other.greeting.size());
    members.network->set(0, 1, {.cut = true});
    Pair::write(one.dialler, "held");
    Pair::write(other.target, "held too");  // an answer to 1 is a message from 0
    Pair::write(other.dialler, "1 is heard");
    CHECK(Pair::read(other.target, 10) == "1 is heard");
    Pair::write(one.target, "in answers, too");
    CHECK(Pair::read(one.dialler, 15) == "in answers, too");
    CHECK(one.target.available() == 0);
    CHECK(other.dialler.available() == 0);
    CHECK(wait_until([&] { return members.network->counts().held_bytes == 12; }, 60s));
    one.dialler.close();  // nobody is told
    members.network->heal();
    CHECK(Pair::read(one.target, 4) == "held");
    CHECK(Pair::read(other.dialler, 8) == "held too");
    CHECK(Pair::is_at_end(one.target));
}

TEST_CASE("A greeting waits while its link is cut", "[process][switch]") {
    Members members;
    members.network->set(0, 1, {.cut = true});
    Pair pair(members, 0);
    Pair reverse(members, 1);
    CHECK(Pair::read(reverse.target, reverse.greeting.size()) == reverse.greeting);
    CHECK(pair.target.available() == 0);
    members.network->heal();
    CHECK(Pair::read(pair.target, pair.greeting.size()) == pair.greeting);
}

TEST_CASE("A delay keeps the order and takes its time", "[process][switch]") {
    Members members;
    Pair pair(members, 0);
    Pair::read(pair.target, pair.greeting.size());
    members.network->set(0, 1, {.delay_max = 100ms});
    const auto begin = Clock::now();
    std::string sent;
    for (int i = 0; i < 50; ++i) {
        const auto text = fmt::format("{:02}", i);
        Pair::write(pair.dialler, text);
        sent += text;
    }
    CHECK(Pair::read(pair.target, sent.size()) == sent);
    CHECK(Clock::now() - begin >= 50ms);
    CHECK(members.network->counts().delayed_bytes == sent.size());
    CHECK(members.network->counts().losses == 0);
}

TEST_CASE("A reset loses what was on its way and ends the connection", "[process][switch]") {
    Members members;
    Pair pair(members, 0);
    Pair::read(pair.target, pair.greeting.size());
    members.network->set(0, 1, {.reset_every_bytes = 1});
    Pair::write(pair.dialler, "lost");
    std::string got(4, '\0');
    boost::system::error_code error;
    const auto count = boost::asio::read(pair.target, boost::asio::buffer(got), error);
    CHECK(error.failed());
    CHECK(got.substr(0, count) == std::string("lost").substr(0, count));
    CHECK(count < 4);
    CHECK(Pair::is_at_end(pair.dialler));
    CHECK(members.network->counts().resets == 1);
}

TEST_CASE("What is lost is sent again, and all behind it waits", "[process][switch]") {
    Members members;
    Pair pair(members, 0);
    Pair::read(pair.target, pair.greeting.size());
    members.network->set(0, 1, {.lose_one_in = 1});  // as often as can be
    const auto begin = Clock::now();
    Pair::write(pair.dialler, "lost");
    REQUIRE(wait_until([&] { return members.network->counts().losses > 0; }, 60s));
    members.network->heal();
    Pair::write(pair.dialler, "behind");
    CHECK(Pair::read(pair.target, 10) == "lostbehind");
    CHECK(Clock::now() - begin >= 200ms + 400ms + 800ms + 1600ms);
    CHECK(members.network->counts().losses == 4);
}

TEST_CASE("Of many packets some are lost, and none is missing", "[process][switch]") {
    Members members;
    Pair pair(members, 0);
    Pair::read(pair.target, pair.greeting.size());
    members.network->set(0, 1, {.lose_one_in = 4});
    std::string sent;
    for (int i = 0; members.network->counts().losses < 3; ++i) {
        const auto text = fmt::format("{:06}", i);
        Pair::write(pair.dialler, text);
        sent += text;
    }
    CHECK(Pair::read(pair.target, sent.size()) == sent);
    // The way back has no fault.
    const auto losses = members.network->counts().losses;
    Pair::write(pair.target, "back");
    CHECK(Pair::read(pair.dialler, 4) == "back");
    CHECK(members.network->counts().losses == losses);
}

TEST_CASE("What greets not as a member does is not passed on", "[process][switch]") {
    Members members;
    tcp::socket stranger(members.context);
    stranger.connect({boost::asio::ip::address_v4::loopback(), members.network->port(1)});
    Pair::write(stranger, std::string(2000, 'x'));
    CHECK(Pair::is_at_end(stranger));
}

}  // namespace
}  // namespace cairn::process
