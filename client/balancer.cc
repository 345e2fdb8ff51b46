#include "client/balancer.h"

#include <cstddef>
#include <optional>
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
constexpr std::chrono::seconds kAvoidTime{1};

}  // namespace

struct BalancedCall {
    BalancerCall call;
    AnswerDone done;
    TimePoint started;
    std::vector<bool> tried;  // endpoints of this round
    std::size_t endpoint = 0;
    CallRef sent_as;       // on the channel of that endpoint
    bool reached = false;  // some server took a request of this call
    bool hopeful = false;  // in this round one failed with what may pass
    bool cancelled = false;

    void finish(Result<Bytes> answer) {
        const AnswerDone last = std::exchange(done, nullptr);
        last(std::move(answer));
    }
};

class Balancer::Impl : public std::enable_shared_from_this<Impl> {
  public:
    using CallPtr = std::shared_ptr<BalancedCall>;

    Impl(IoThread& io, std::vector<Endpoint> endpoints, const ChannelOptions& options)
        : io_(io.context()), options_(options), avoid_until_(endpoints.size()) {
        CAIRN_ASSERT(!endpoints.empty());
        for (Endpoint& endpoint : endpoints) {
            channels_.emplace_back(io, std::move(endpoint), options);
        }
    }

    void start(const CallPtr& call) {
        boost::asio::post(io_, [self = shared_from_this(), call] {
            call->started = std::chrono::steady_clock::now();
            if (call->call.deadline <= call->started) {
                call->finish(
                    Error{GrpcCode::kDeadlineExceeded, "context deadline exceeded", false});
                return;
            }
            call->tried.assign(self->avoid_until_.size(), false);
            self->send(call);
        });
    }

    void cancel(const CallPtr& call) {
        boost::asio::post(io_, [self = shared_from_this(), call] {
            if (call->done == nullptr || self->closed_) {
                return;
            }
            // Also for an attempt that ends before the channel hears of this.
            call->cancelled = true;
            if (self->pausing_.erase(call) > 0) {
                call->finish(cancelled_unsent());
            } else {
                self->channels_[call->endpoint].cancel(call->sent_as);
            }
        });
    }

    void credit(const CallPtr& call) {
        boost::asio::post(io_, [self = shared_from_this(), call] {
            if (call->done != nullptr && !self->closed_) {
                self->channels_[call->endpoint].credit(call->sent_as);
            }
        });
    }

    void close() {
        boost::asio::post(io_, [self = shared_from_this()] {
            self->closed_ = true;
            self->channels_.clear();  // gives out what is under way, as Cancelled
            for (const CallPtr& call : std::exchange(self->pausing_, {})) {
                self->send(call);
            }
        });
    }

  private:
    static Error cancelled_unsent() { return {GrpcCode::kCancelled, "context canceled", false}; }

    void send(const CallPtr& call) {
        if (closed_) {
            call->finish(Error{GrpcCode::kCancelled, "the client is closed", false});
            return;
        }
        call->endpoint = choose(*call);
        call->tried[call->endpoint] = true;
        CallRequest request{call->call.method, call->call.message, call->call.deadline,
                            call->call.stream};
        call->sent_as = channels_[call->endpoint].call(
            std::move(request), [self = shared_from_this(), call](CallResult result) {
                self->on_result(call, std::move(result));
            });
    }

    // The next one in turn that this round has not tried; those to be avoided last. One that
    // failed is tried again by one call a second, until it answers; and where there is no
    // connection by a dial alone, as long as there is another: a machine that is off holds up
    // nobody.
    std::size_t choose(const BalancedCall& call) {
        const std::size_t count = channels_.size();
        const TimePoint now = std::chrono::steady_clock::now();
        std::optional<std::size_t> good;
        std::optional<std::size_t> undialled;  // its time to be avoided is over
        std::optional<std::size_t> avoided;
        for (std::size_t step = 0; step < count && !good; ++step) {
            const std::size_t candidate = (next_ + step) % count;
            if (call.tried[candidate]) {
                continue;
            }
            const bool failed = avoid_until_[candidate] != TimePoint{};
            const bool avoid = avoid_until_[candidate] > now;
            auto& place = avoid                                        ? avoided
                          : failed && !channels_[candidate].is_ready() ? undialled
                                                                       : good;
            place = place.value_or(candidate);
        }
        if (good && undialled) {
            channels_[*undialled].dial();
            avoid_until_[*undialled] = now + kAvoidTime;
        }
        const std::optional<std::size_t> chosen = good ? good : undialled ? undialled : avoided;
        CAIRN_ASSERT(chosen.has_value());
        next_ = (*chosen + 1) % count;
        if (avoid_until_[*chosen] != TimePoint{}) {
            avoid_until_[*chosen] = now + kAvoidTime;
        }
        return *chosen;
    }

    void on_result(const CallPtr& call, CallResult result) {
        const TimePoint now = std::chrono::steady_clock::now();
        note_health(call->endpoint, result, now);
        if (result.status.is_ok()) {
            call->finish(std::move(result.message));
            return;
        }
        call->reached = call->reached || result.sent;
        call->hopeful = call->hopeful || !is_learners_refusal(result);
        const bool all_tried = call->tried == std::vector<bool>(call->tried.size(), true);
        const bool tired =
            all_tried && !call->reached && now - call->started >= options_.dial_timeout;
        const bool hopeless = all_tried && !call->hopeful;
        if (closed_ || tired || hopeless || !may_repeat(call->call.kind, result) ||
            now + (all_tried ? kRoundPause : kRoundPause.zero()) >= call->call.deadline) {
            call->finish(error_of(call->call.kind, result));
            return;
        }
        if (call->cancelled) {
            call->finish(cancelled_unsent());
        } else if (all_tried) {
            call->tried.assign(call->tried.size(), false);
            call->hopeful = false;
            pausing_.insert(call);
            spawn(io_.get_executor(), send_later(shared_from_this(), call), "client retry");
        } else {
            send(call);
        }
    }

    void note_health(std::size_t endpoint, const CallResult& result, TimePoint now) {
        const GrpcCode code = result.status.code;
        if (code == GrpcCode::kUnavailable || code == GrpcCode::kDeadlineExceeded) {
            avoid_until_[endpoint] = now + kAvoidTime;
        } else if (code != GrpcCode::kCancelled && result.sent && !result.torn) {
            avoid_until_[endpoint] = {};  // the server itself has answered
        }
    }

    static Task<> send_later(std::shared_ptr<Impl> self, CallPtr call) {
        boost::asio::steady_timer timer(self->io_, kRoundPause);
        [[maybe_unused]] const auto [error] = co_await timer.async_wait(kTask);
        if (self->pausing_.erase(call) > 0) {
            self->send(call);
        }
    }

    boost::asio::io_context& io_;
    const ChannelOptions options_;
    std::vector<Channel> channels_;       // one for each endpoint, in their order
    std::vector<TimePoint> avoid_until_;  // likewise
    std::size_t next_ = 0;                // where the next call begins
    std::set<CallPtr> pausing_;           // between two rounds
    bool closed_ = false;
};

Balancer::Balancer(IoThread& io, std::vector<Endpoint> endpoints, const ChannelOptions& options)
    : impl_(std::make_shared<Impl>(io, std::move(endpoints), options)) {}

Balancer::~Balancer() { impl_->close(); }

void Balancer::call(BalancerCall call, AnswerDone done) {
    start(prepare(std::move(call), std::move(done)));
}

std::shared_ptr<BalancedCall> Balancer::prepare(BalancerCall call, AnswerDone done) {
    const auto prepared = std::make_shared<BalancedCall>();
    prepared->call = std::move(call);
    prepared->done = std::move(done);
    return prepared;
}

void Balancer::start(const std::shared_ptr<BalancedCall>& call) { impl_->start(call); }

void Balancer::cancel(const std::shared_ptr<BalancedCall>& call) { impl_->cancel(call); }

void Balancer::credit(const std::shared_ptr<BalancedCall>& call) { impl_->credit(call); }

}  // namespace cairn::client
