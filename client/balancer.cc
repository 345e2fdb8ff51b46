#include "client/balancer.h"

#include <cstddef>
#include <set>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/assert.h"
#include "client/net/task.h"

namespace cairn::client {
namespace {

constexpr std::chrono::milliseconds kRoundPause{25};

}  // namespace

class Balancer::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(IoThread& io, std::vector<Endpoint> endpoints, const ChannelOptions& options)
        : io_(io.context()), options_(options) {
        CAIRN_ASSERT(!endpoints.empty());
        for (Endpoint& endpoint : endpoints) {
            channels_.emplace_back(io, std::move(endpoint), options);
        }
    }

    void call(BalancerCall call, AnswerDone done) {
        boost::asio::post(io_, [self = shared_from_this(), call = std::move(call),
                                done = std::move(done)]() mutable {
            const auto attempt = std::make_shared<Attempt>();
            attempt->call = std::move(call);
            attempt->done = std::move(done);
            attempt->started = std::chrono::steady_clock::now();
            attempt->channel = self->preferred_;
            self->send(attempt);
        });
    }

    void close() {
        boost::asio::post(io_, [self = shared_from_this()] {
            self->closed_ = true;
            self->channels_.clear();  // gives out what is under way, as Cancelled
            for (const AttemptPtr& attempt : std::exchange(self->pausing_, {})) {
                self->send(attempt);
            }
        });
    }

  private:
    struct Attempt {
        BalancerCall call;
        AnswerDone done;
        TimePoint started;
        std::size_t channel = 0;
        std::size_t failures = 0;
        bool reached = false;  // some server took a request of this call
    };
    using AttemptPtr = std::shared_ptr<Attempt>;

    void send(const AttemptPtr& attempt) {
        if (closed_) {
            attempt->done(Error{GrpcCode::kCancelled, "the client is closed", false});
            return;
        }
        CallRequest request{attempt->call.method, attempt->call.message, attempt->call.deadline};
        channels_[attempt->channel].call(std::move(request),
                                         [self = shared_from_this(), attempt](CallResult result) {
                                             self->on_result(attempt, std::move(result));
                                         });
    }

    void on_result(const AttemptPtr& attempt, CallResult result) {
        if (result.status.is_ok()) {
            preferred_ = attempt->channel;
            attempt->done(std::move(result.message));
            return;
        }
        attempt->reached = attempt->reached || result.sent;
        const TimePoint now = std::chrono::steady_clock::now();
        const bool tired = !attempt->reached && now - attempt->started >= options_.dial_timeout;
        if (closed_ || tired || !may_repeat(attempt->call.kind, result) ||
            now + kRoundPause >= attempt->call.deadline) {
            attempt->done(error_of(attempt->call.kind, result));
            return;
        }
        attempt->channel = (attempt->channel + 1) % channels_.size();
        ++attempt->failures;
        if (attempt->failures % channels_.size() == 0) {
            pausing_.insert(attempt);
            spawn(io_.get_executor(), send_later(shared_from_this(), attempt), "client retry");
        } else {
            send(attempt);
        }
    }

    static Task<> send_later(std::shared_ptr<Impl> self, AttemptPtr attempt) {
        boost::asio::steady_timer timer(self->io_, kRoundPause);
        [[maybe_unused]] const auto [error] = co_await timer.async_wait(kTask);
        if (self->pausing_.erase(attempt) > 0) {
            self->send(attempt);
        }
    }

    boost::asio::io_context& io_;
    const ChannelOptions options_;
    std::vector<Channel> channels_;  // one for each endpoint, in their order
    std::size_t preferred_ = 0;      // answered last
    std::set<AttemptPtr> pausing_;   // between two rounds
    bool closed_ = false;
};

Balancer::Balancer(IoThread& io, std::vector<Endpoint> endpoints, const ChannelOptions& options)
    : impl_(std::make_shared<Impl>(io, std::move(endpoints), options)) {}

Balancer::~Balancer() { impl_->close(); }

void Balancer::call(BalancerCall call, AnswerDone done) {
    impl_->call(std::move(call), std::move(done));
}

}  // namespace cairn::client
