// The async_… calls of Client as Asio operations: callbacks, futures, coroutines, any token.
// Header-only over the including program's own Boost.Asio (1.81 or later).
// Any thread may start them; must never complete inside of the call that starts one.
//
// Where a completion runs: on the handler's associated executor (a coroutine's own;
// bind_executor's), which is kept busy until then. A handler without one runs on the client's I/O
// thread: it must not block, nor make blocking calls of this client, and must not throw.
// Cancellation: a connected cancellation slot ends the call as kCancelled, and the server is told.
// A write then has maybe_applied set if it was sent. Emit where the handler runs, as with any Asio
// object.
// Destroying the client ends its operations as kCancelled, those of lazy tokens at their start.
// What an associated executor stands for must outlive the operation.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "client/client.h"
#include "client/core.h"

namespace cairn::client {

// One async call from its start to its completion. Shared by the I/O thread and the handler's
// executor, one after the other.
template <class Request, class Handler>
class AsyncOperation {
  public:
    explicit AsyncOperation(Handler handler)
        : handler_(std::move(handler)), work_(boost::asio::make_work_guard(*handler_)) {}

    static void start(const std::shared_ptr<Core>& core, const Request& request,
                      std::chrono::nanoseconds timeout, Handler handler) {
        const auto operation = std::make_shared<AsyncOperation>(std::move(handler));
        if (core == nullptr) {
            operation->answer_.emplace(Error{GrpcCode::kCancelled, "the client is closed", false});
            const auto work = operation->work_;
            boost::asio::post(work.get_executor(), [operation] { operation->deliver(); });
            return;
        }
        const CallTicket ticket = Rpc<Request>::prepare(
            request, timeout,
            [operation](Result<Bytes> answer) { complete(operation, std::move(answer)); });
        // Before the start: the completion may be there at any time after it.
        auto slot = boost::asio::get_associated_cancellation_slot(*operation->handler_);
        if (slot.is_connected()) {
            slot.assign(
                [weak = std::weak_ptr<Core>(core), ticket](boost::asio::cancellation_type type) {
                    const std::shared_ptr<Core> alive = weak.lock();
                    if (alive && type != boost::asio::cancellation_type::none) {
                        alive->cancel(ticket);
                    }
                });
        }
        core->start(ticket);
    }

  private:
    // On the I/O thread.
    static void complete(const std::shared_ptr<AsyncOperation>& operation, Result<Bytes> answer) {
        operation->answer_.emplace(std::move(answer));
        // Held over the hand-over: a context may be destroyed as soon as it is out of work.
        const auto work = operation->work_;
        boost::asio::dispatch(work.get_executor(), [operation] { operation->deliver(); });
    }

    // On the handler's executor.
    void deliver() {
        auto slot = boost::asio::get_associated_cancellation_slot(*handler_);
        if (slot.is_connected()) {
            slot.clear();
        }
        auto result = Rpc<Request>::parse(*answer_);
        answer_.reset();
        // Nothing of the executor may be left for the I/O thread to let go of later.
        Handler handler = std::move(*handler_);
        handler_.reset();
        work_.reset();
        std::move(handler)(std::move(result));
    }

    std::optional<Handler> handler_;
    boost::asio::executor_work_guard<boost::asio::associated_executor_t<Handler>> work_;
    std::optional<Result<Bytes>> answer_;
};

template <class Request, class Token>
auto Client::async_call(Request request, Token&& token) {
    auto initiation = [weak = std::weak_ptr<Core>(core_)](auto handler, const Request& started,
                                                          std::chrono::nanoseconds timeout) {
        AsyncOperation<Request, decltype(handler)>::start(weak.lock(), started, timeout,
                                                          std::move(handler));
    };
    return boost::asio::async_initiate<Token, void(Result<typename Request::Response>)>(
        std::move(initiation), token, std::move(request), request_timeout_);
}

template <class Token>
auto TxnBuilder::async_commit(Token&& token) const {
    return client_->async_txn(txn_, std::forward<Token>(token));
}

}  // namespace cairn::client
