#include "server/net/http1_session.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http.hpp>

#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "server/api/api_error.h"
#include "server/net/version.h"

namespace cairn::server::net {
namespace {

namespace http = boost::beast::http;

constexpr std::uint32_t kHeaderBytesMax = 64U * 1024U;
constexpr std::chrono::seconds kIdleTimeout{60};
// From a request's first byte to its last.
constexpr std::chrono::seconds kRequestTimeout{10};
constexpr std::chrono::seconds kReadTimeout{7};  // as etcd's health check
// Those who ask often wait no longer than this, and nothing is wrong with a member that is busy.
constexpr std::chrono::milliseconds kAlarmsTimeout{500};
// A body is taken and dropped up to this size, as Go's server does: a connection that is closed
// with bytes unread would lose its answer.
constexpr std::size_t kBodyBytesMax = 256U * 1024U;
// What comes on a connection that takes no more requests is dropped for so long.
constexpr std::chrono::seconds kLingerMax{1};

// The answer to what does not parse, as Go's server gives it. What is no request line at all gets
// none.
std::optional<HttpReply> refusal_of(const boost::system::error_code& error,
                                    const http::request<http::buffer_body>& request) {
    constexpr std::array kMalformed{http::error::bad_line_ending,
                                    http::error::bad_field,
                                    http::error::bad_value,
                                    http::error::bad_obs_fold,
                                    http::error::bad_content_length,
                                    http::error::multiple_content_length,
                                    http::error::bad_transfer_encoding};
    if (error == http::error::header_limit) {
        return error_page(431, "Request Header Fields Too Large");
    }
    if (std::find(kMalformed.begin(), kMalformed.end(), error) != kMalformed.end()) {
        return error_page(400, "Bad Request");
    }
    if (!error && request.version() == 11 && request.count(http::field::host) == 0) {
        return error_page(400, "Bad Request: missing required Host header");
    }
    return std::nullopt;
}

// Turns one completion into the end of a timer's wait.
class Grant : public CallOwner {
  public:
    explicit Grant(const boost::asio::any_io_executor& executor) : timer(executor, kReadTimeout) {}

    void on_completion(std::uint64_t, const Completion& completion) override {
        if (std::holds_alternative<ReadGranted>(completion.result)) {
            granted = true;
        } else if (const auto* failed = std::get_if<ReadFailed>(&completion.result)) {
            reason = failed->reason;
        }
        answered = true;
        timer.cancel();
    }
    void on_turn_end() override {}

    boost::asio::steady_timer timer;
    bool granted = false;
    bool answered = false;
    Errc reason = Errc::kTimeout;
};

}  // namespace

Http1Session::Http1Session(boost::asio::ip::tcp::socket socket, NodePorts& node, ByteView first)
    : socket_(std::move(socket)), node_(node), deadline_(socket_.get_executor()) {
    const auto space = buffer_.prepare(first.size());
    boost::asio::buffer_copy(space, boost::asio::buffer(first.data(), first.size()));
    buffer_.commit(first.size());
}

void Http1Session::start() {
    spawn(socket_.get_executor(), run(shared_from_this()), "http session");
}

void Http1Session::drain() {
    draining_ = true;
    // An idle connection waits in a read that nothing will end; an answer under way is the last.
    if (reading_) {
        close();
    }
}

void Http1Session::close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    deadline_.cancel();
}

void Http1Session::arm_deadline(std::chrono::seconds after) {
    deadline_.expires_after(after);
    deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!error && self != nullptr) {
            self->close();
        }
    });
}

Task<> Http1Session::run(std::shared_ptr<Http1Session> self) {
    bool keep = true;
    while (keep && !self->draining_) {
        keep = co_await serve_one(self);
    }
    co_await linger(self);
    self->close();
}

// After a close with bytes that nobody read, the client might never see the last answer.
Task<> Http1Session::linger(std::shared_ptr<Http1Session> self) {
    boost::system::error_code failed;
    self->socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, failed);
    self->arm_deadline(kLingerMax);
    while (!failed) {
        auto [error, count] =
            co_await self->socket_.async_read_some(boost::asio::buffer(self->scratch_), kTask);
        self->node_.metrics.client_bytes_received += count;
        failed = error;
    }
}

// Those that are here: how many more there are nobody knows.
bool Http1Session::drop_chunks() {
    boost::system::error_code error;
    std::size_t taken = 1;
    while (!parser_->is_done() && buffer_.size() > 0 && taken > 0 &&
           (!error || error == http::error::need_buffer)) {
        auto& body = parser_->get().body();
        body.data = scratch_.data();
        body.size = scratch_.size();
        taken = parser_->put(buffer_.data(), error);
        buffer_.consume(taken);
    }
    return parser_->is_done();
}

// False: it is too long, or does not come.
Task<bool> Http1Session::drop_body(std::shared_ptr<Http1Session> self) {
    Parser& parser = *self->parser_;
    if (parser.content_length().value_or(0) > kBodyBytesMax ||
        parser.get().count(http::field::expect) > 0) {
        co_return parser.is_done();
    }
    if (!parser.content_length()) {
        co_return self->drop_chunks();
    }
    std::size_t dropped = 0;
    while (!parser.is_done() && dropped <= kBodyBytesMax) {
        auto& body = parser.get().body();
        body.data = self->scratch_.data();
        body.size = self->scratch_.size();
        auto [error, count] =
            co_await http::async_read_some(self->socket_, self->buffer_, parser, kTask);
        self->node_.metrics.client_bytes_received += count;
        if (error && error != http::error::need_buffer) {
            co_return false;
        }
        dropped += std::max<std::size_t>(self->scratch_.size() - body.size, 1);
    }
    co_return parser.is_done();
}

Task<bool> Http1Session::serve_one(std::shared_ptr<Http1Session> self) {
    self->reading_ = true;
    if (self->buffer_.size() == 0) {
        self->arm_deadline(kIdleTimeout);
        auto [idle_error] =
            co_await self->socket_.async_wait(boost::asio::socket_base::wait_read, kTask);
        if (idle_error) {
            co_return false;
        }
    }
    Parser& parser = self->parser_.emplace();
    parser.header_limit(kHeaderBytesMax);
    parser.body_limit(boost::none);  // drop_body has its own
    self->arm_deadline(kRequestTimeout);
    auto [error, count] =
        co_await http::async_read_header(self->socket_, self->buffer_, parser, kTask);
    self->node_.metrics.client_bytes_received += count;
    const bool whole = !error && co_await drop_body(self);
    self->reading_ = false;
    self->arm_deadline(kIdleTimeout);
    if (const auto refusal = refusal_of(error, parser.get()); refusal.has_value()) {
        co_await send(self, *refusal, parser.get().version(), false);
        co_return false;
    }
    if (error) {
        co_return false;
    }
    const Request& request = parser.get();
    const bool keep = request.keep_alive() && whole;
    HttpTarget target = parse_target({request.target().data(), request.target().size()});
    const bool head = request.method() == http::verb::head;
    HttpReply reply;
    if (!is_page(target)) {
        reply = not_found_page();
    } else if (request.method() != http::verb::get) {
        reply = method_not_allowed_page();
    } else {
        reply = co_await answer(self, std::move(target));
    }
    reply.head = head;
    co_return co_await send(self, std::move(reply), request.version(), keep && !self->draining_);
}

Task<bool> Http1Session::send(std::shared_ptr<Http1Session> self, HttpReply reply, unsigned version,
                              bool keep) {
    http::response<http::string_body> response(static_cast<http::status>(reply.status), version);
    response.set(http::field::content_type, reply.content_type);
    if (!reply.allow.empty()) {
        response.set(http::field::allow, reply.allow);
    }
    response.keep_alive(keep);
    response.body() = std::move(reply.body);
    response.prepare_payload();
    if (reply.head) {
        response.body().clear();  // its length has been told
    }
    auto [error, written] = co_await http::async_write(self->socket_, response, kTask);
    self->node_.metrics.client_bytes_sent += written;
    co_return !error && keep;
}

Task<HttpReply> Http1Session::answer(std::shared_ptr<Http1Session> self, HttpTarget target) {
    if (target.path == "/health") {
        co_return co_await health(self, target);
    }
    if (target.path == "/version") {
        co_return version_page(kEtcdVersion, kEtcdClusterVersion);
    }
    if (target.path == "/metrics") {
        HttpReply reply;
        reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
        reply.body = self->node_.metrics.text(self->node_.facts());
        co_return reply;
    }
    co_return co_await checks(self, target);
}

// etcd's order: alarms, leader, then a read (linearizable unless asked otherwise).
Task<HttpReply> Http1Session::health(std::shared_ptr<Http1Session> self, HttpTarget target) {
    const Alarms raised = co_await alarms(self);
    const std::string alarm = alarm_reason(raised, target);
    if (!alarm.empty()) {
        co_return health_page(alarm);
    }
    const bool serializable = target.is_true("serializable");
    if (!serializable && !self->node_.driver.view().leader) {
        co_return health_page("RAFT NO LEADER");
    }
    std::optional<std::string> failure;
    if (!serializable) {
        failure = co_await linearizable_read(self);
    }
    if (!failure.has_value()) {
        failure = self->serializable_read();
    }
    co_return health_page(failure.has_value() ? "RANGE ERROR:" + *failure : std::string());
}

Task<HttpReply> Http1Session::checks(std::shared_ptr<Http1Session> self, HttpTarget target) {
    const auto names = checks_of(target);
    std::vector<CheckResult> results;
    for (const auto& name : *names) {
        auto failure = co_await check(self, name);
        results.push_back({name, std::move(failure)});
    }
    co_return checks_page(target, results);
}

Task<std::optional<std::string>> Http1Session::check(std::shared_ptr<Http1Session> self,
                                                     std::string name) {
    if (name == "linearizable_read") {
        co_return co_await linearizable_read(self);
    }
    if (name == "serializable_read") {
        co_return self->serializable_read();
    }
    if (name == "non_learner" && self->node_.driver.view().is_learner) {
        co_return std::string("not supported for learner");
    }
    if (name == "data_corruption") {
        const Alarms raised = co_await alarms(self);
        if (raised.has_error()) {
            co_return to_string(raised.error());
        }
        for (const auto& alarm : raised.value()) {
            if (alarm.alarm() == etcdserverpb::CORRUPT) {
                co_return std::string("alarm activated: CORRUPT");
            }
        }
    }
    co_return std::nullopt;
}

Task<std::optional<std::string>> Http1Session::linearizable_read(
    std::shared_ptr<Http1Session> self) {
    const auto grant = std::make_shared<Grant>(self->socket_.get_executor());
    const CallId call = self->node_.driver.submit_read(grant, 0);
    co_await grant->timer.async_wait(kTask);
    if (!grant->answered) {
        self->node_.driver.cancel(call);
    }
    if (grant->granted) {
        self->node_.reads.on_granted();
        co_return std::nullopt;
    }
    co_return std::string(api::api_error(grant->reason).text);
}

std::optional<std::string> Http1Session::serializable_read() const {
    etcdserverpb::RangeRequest request;
    // One key, whatever it is: a range would have to count.
    request.set_key("health");
    request.set_keys_only(true);
    std::string body;
    const auto result = node_.driver.newest_view()->in_memory().range(request, body);
    // What is on the disk alone may not be waited for here, and nothing is wrong with it.
    if (result.has_error() && result.error().code != Errc::kNotInMemory) {
        return std::string(api::api_error(result.error().code).text);
    }
    return std::nullopt;
}

void Http1Session::read_alarms(const boost::asio::any_io_executor& executor, NodePorts& node) {
    auto work = [&node, executor](bool) {
        auto back = [&node, found = node.driver.newest_view()->alarms()]() mutable {
            node.alarms_known = std::move(found);
            node.alarms_read->cancel();
            node.alarms_read.reset();
        };
        boost::asio::post(executor, std::move(back));
    };
    if (node.readers.submit(ReadPool::want(), std::move(work))) {
        node.alarms_read = std::make_shared<boost::asio::steady_timer>(executor, kAlarmsTimeout);
    }
}

// Where memory does not have them the pool reads them; what takes long is for the next who asks.
Task<Http1Session::Alarms> Http1Session::alarms(std::shared_ptr<Http1Session> self) {
    NodePorts& node = self->node_;
    Alarms cached = node.driver.newest_view()->in_memory().alarms();
    if (cached.has_value() || cached.error().code != Errc::kNotInMemory) {
        node.alarms_known = std::move(cached);
        co_return node.alarms_known;
    }
    if (node.alarms_read == nullptr) {
        read_alarms(self->socket_.get_executor(), node);
    }
    if (const auto read = node.alarms_read; read != nullptr) {
        co_await read->async_wait(kTask);
    }
    co_return node.alarms_known;
}

std::string Http1Session::alarm_reason(const Alarms& alarms, const HttpTarget& target) {
    if (alarms.has_error()) {
        return "ALARM UNKNOWN";
    }
    const auto excluded = target.all("exclude");
    for (const auto& alarm : alarms.value()) {
        const std::string name = etcdserverpb::AlarmType_Name(alarm.alarm());
        if (std::find(excluded.begin(), excluded.end(), name) == excluded.end()) {
            return "ALARM " + name;
        }
    }
    return {};
}

}  // namespace cairn::server::net
