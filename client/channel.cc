#include "client/channel.h"

#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/assert.h"
#include "client/net/connection.h"

namespace cairn::client {

// Calls come in under the mutex and are taken over in batches by the I/O thread; everything else
// here is that thread's.
class Channel::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(IoThread& io, Endpoint endpoint, const ChannelOptions& options)
        : io_(io.context()),
          endpoint_(std::move(endpoint)),
          options_(options),
          reaper_timer_(io_) {}

    const Endpoint& endpoint() const { return endpoint_; }

    CallRef submit(CallRequest request, CallDone done) {
        const auto call = std::make_shared<Call>();
        call->request = std::move(request);
        call->done = std::move(done);
        const std::lock_guard lock(mutex_);
        inbox_.push_back(call);
        if (!wake_posted_) {
            wake_posted_ = true;
            boost::asio::post(io_, [self = shared_from_this()] { self->take_inbox(); });
        }
        return call;
    }

    void cancel(const CallRef& ref) {
        // Behind the wake-up that takes it out of the inbox.
        boost::asio::post(io_, [self = shared_from_this(), ref] {
            if (const CallPtr call = ref.lock(); call && !call->finished) {
                self->abandon(call, {wire::GrpcCode::kCancelled, "context canceled"});
            }
        });
    }

    void credit(const CallRef& ref) {
        boost::asio::post(io_, [ref] {
            if (const CallPtr call = ref.lock(); call && !call->finished) {
                if (const auto connection = call->connection.lock()) {
                    connection->credit(*call);
                }
            }
        });
    }

    void dial() {
        if (connection_ == nullptr) {
            connect();
        }
    }
    [[nodiscard]] bool is_ready() const { return ready_; }

    void close() {
        // At once when this is the I/O thread already, which may be about to end.
        boost::asio::dispatch(io_, [self = shared_from_this()] { self->do_close(); });
    }

  private:
    void take_inbox() {
        // In hand while it is gone through: a completion may come back here, by closing.
        std::vector<CallPtr> batch = std::exchange(spare_, {});
        {
            const std::lock_guard lock(mutex_);
            wake_posted_ = false;
            batch.swap(inbox_);
        }
        for (const CallPtr& call : batch) {
            admit(call);
        }
        batch.clear();
        spare_ = std::move(batch);
    }

    void admit(const CallPtr& call) {
        call->deadline = deadlines_.emplace(call->request.deadline, call);
        if (closed_) {
            finish(call, {{wire::GrpcCode::kCancelled, "the client is closed"}, {}, false});
        } else if (deadlines_.size() > options_.calls_max) {
            finish(call,
                   {{wire::GrpcCode::kResourceExhausted, "too many calls under way"}, {}, false});
        } else {
            watch_deadlines();
            start_or_wait(call);
        }
    }

    void start_or_wait(const CallPtr& call) {
        if (ready_ && connection_->start(call)) {
            return;
        }
        waiting_.push_back(call);
        if (connection_ == nullptr || ready_) {
            connect();
        }
    }

    // A new connection; the one before, if any, ends by itself once its calls have.
    void connect() {
        ready_ = false;
        const std::uint64_t number = ++connections_made_;
        ConnectionHooks hooks;
        hooks.on_ready = [self = weak_from_this(), number] {
            if (const auto impl = self.lock(); impl && impl->connections_made_ == number) {
                impl->on_ready();
            }
        };
        hooks.on_draining = [self = weak_from_this(), number] {
            if (const auto impl = self.lock(); impl && impl->connections_made_ == number) {
                impl->forget_connection();
            }
        };
        hooks.on_closed = [self = weak_from_this(), number](const std::string& why) {
            if (const auto impl = self.lock(); impl && impl->connections_made_ == number) {
                impl->on_closed(why);
            }
        };
        hooks.on_result = [self = weak_from_this()](const CallPtr& call, CallResult result) {
            if (const auto impl = self.lock()) {
                impl->finish(call, std::move(result));
            }
        };
        connection_ = std::make_shared<Connection>(io_, endpoint_, options_, std::move(hooks));
        connection_->open();
    }

    void on_ready() {
        ready_ = true;
        std::deque<CallPtr> waiting = std::exchange(waiting_, {});
        for (const CallPtr& call : waiting) {
            if (!call->finished) {
                start_or_wait(call);
            }
        }
    }

    void forget_connection() {
        connection_ = nullptr;
        ready_ = false;
    }

    void on_closed(const std::string& why) {
        forget_connection();
        const std::deque<CallPtr> waiting = std::exchange(waiting_, {});
        for (const CallPtr& call : waiting) {
            finish(call, {{wire::GrpcCode::kUnavailable, "connection error: " + why}, {}, false});
        }
    }

    void finish(const CallPtr& call, CallResult result) {
        if (call->finished) {
            return;
        }
        call->finished = true;
        deadlines_.erase(call->deadline);
        const CallDone done = std::move(call->done);
        done(std::move(result));
    }

    // One coroutine sleeps until the earliest deadline, as long as there is one.
    void watch_deadlines() {
        if (!reaping_) {
            reaping_ = true;
            spawn(io_.get_executor(), reap(shared_from_this()), "client deadlines");
        } else if (deadlines_.begin()->first < reaper_sleeps_until_) {
            reaper_timer_.cancel();
        }
    }

    static Task<> reap(std::shared_ptr<Impl> self) {
        while (!self->closed_ && !self->deadlines_.empty()) {
            const TimePoint now = std::chrono::steady_clock::now();
            if (self->deadlines_.begin()->first <= now) {
                const CallPtr call = self->deadlines_.begin()->second;
                self->abandon(call,
                              {wire::GrpcCode::kDeadlineExceeded, "context deadline exceeded"});
                self->doubt_connection(*call, now);
                continue;
            }
            // A call that ends early leaves this to find out at its deadline, which costs less
            // than waking for every call.
            self->reaper_sleeps_until_ = self->deadlines_.begin()->first;
            self->reaper_timer_.expires_at(self->reaper_sleeps_until_);
            [[maybe_unused]] const auto [woken] = co_await self->reaper_timer_.async_wait(kTask);
        }
        self->reaping_ = false;
    }

    // After a deadline. Behind a cut cable or a process that hangs a connection looks alive for a
    // quarter of an hour; a new one shows the truth, and at no risk for the calls that wait for it.
    void doubt_connection(const Call& call, TimePoint now) {
        const std::shared_ptr<Connection> connection = connection_;
        if (!connection || connection != call.connection.lock() ||
            !connection->silent_since(call)) {
            return;
        }
        if (now - call.started >= options_.dial_timeout) {
            forget_connection();
            connection->drain();
        } else {
            connection->ask_for_life();
        }
    }

    // Ends it from this side.
    void abandon(const CallPtr& call, wire::GrpcStatus status) {
        const std::shared_ptr<Connection> connection = call->connection.lock();
        if (connection) {
            connection->cancel(*call);
        }
        finish(call, {std::move(status), {}, call->stream != 0});
    }

    void do_close() {
        closed_ = true;
        take_inbox();
        if (connection_) {
            connection_->close();
        }
        ++connections_made_;  // hooks of connections that drain are not listened to any more
        reaper_timer_.cancel();
        while (!deadlines_.empty()) {
            const CallPtr call = deadlines_.begin()->second;
            abandon(call, {wire::GrpcCode::kCancelled, "the client is closed"});
        }
        waiting_.clear();
    }

    boost::asio::io_context& io_;
    const Endpoint endpoint_;
    const ChannelOptions options_;

    std::mutex mutex_;
    std::vector<CallPtr> inbox_;  // under mutex_
    bool wake_posted_ = false;    // under mutex_

    std::vector<CallPtr> spare_;              // the memory of an earlier inbox
    std::shared_ptr<Connection> connection_;  // the newest; nullptr: the next call dials
    bool ready_ = false;                      // connection_ takes calls
    std::uint64_t connections_made_ = 0;
    std::deque<CallPtr> waiting_;                  // for connection_ to be ready
    std::multimap<TimePoint, CallPtr> deadlines_;  // every call that is not finished
    boost::asio::steady_timer reaper_timer_;
    TimePoint reaper_sleeps_until_;
    bool reaping_ = false;
    bool closed_ = false;
};

Channel::Channel(IoThread& io, Endpoint endpoint, const ChannelOptions& options)
    : impl_(std::make_shared<Impl>(io, std::move(endpoint), options)) {}

Channel::~Channel() {
    if (impl_) {
        impl_->close();
    }
}

Channel::Channel(Channel&&) noexcept = default;

Channel& Channel::operator=(Channel&& other) noexcept {
    if (this != &other) {
        if (impl_) {
            impl_->close();
        }
        impl_ = std::move(other.impl_);
    }
    return *this;
}

CallRef Channel::call(CallRequest request, CallDone done) {
    CAIRN_ASSERT(impl_ != nullptr);
    CAIRN_ASSERT(wire::method_info(request.method).kind ==
                 (request.stream == nullptr ? wire::StreamingKind::kUnary
                                            : wire::StreamingKind::kServerStream));
    return impl_->submit(std::move(request), std::move(done));
}

void Channel::dial() { impl_->dial(); }

bool Channel::is_ready() const { return impl_->is_ready(); }

void Channel::cancel(const CallRef& call) { impl_->cancel(call); }

void Channel::credit(const CallRef& call) { impl_->credit(call); }

const Endpoint& Channel::endpoint() const { return impl_->endpoint(); }

}  // namespace cairn::client
