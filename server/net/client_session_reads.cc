// The part of ClientSession that reads the store.
#include <memory>
#include <utility>

#include <boost/asio/post.hpp>

#include "server/api/api_error.h"
#include "server/net/client_session.h"
#include "server/net/guarded_read.h"
#include "server/net/read_pool.h"

namespace cairn::server::net {

// A read that touches one key costs less than a hop to another thread.
void ClientSession::run_point_read(wire::StreamId stream, Call& call) {
    const auto& read = std::get<Read>(call.work);
    const api::ReadFacts facts = read_facts(node_, read);
    auto answer = std::make_shared<HeldAnswer>(node_.responses, nullptr);
    const auto done = write_answer(read, node_.driver.newest_view()->in_memory(), facts, *answer);
    if (done.has_error() && done.error().code == Errc::kNotInMemory) {
        run_read_elsewhere(stream, call);
    } else {
        on_answer(stream, call, done, std::move(answer));
    }
}

// A scan may take long and may wait for the disk: not on the thread that sends heartbeats.
void ClientSession::run_read_elsewhere(wire::StreamId stream, Call& call) {
    ReadPool::Wanted wanted = ReadPool::want();
    auto held = std::make_shared<HeldAnswer>(node_.responses, wanted);
    if (!held->reserve(call.claim)) {
        starve(stream, call);
        return;
    }
    const ReadKind kind = std::get<Read>(call.work).kind;
    const auto pace = kind == ReadKind::kHash || kind == ReadKind::kHashKv
                          ? ReadPool::Pace::kOneByOne
                          : ReadPool::Pace::kAny;
    // It does not keep the session, nor what that still has to send, when the client leaves.
    auto work = [weak = weak_from_this(), &node = node_, executor = socket_.get_executor(), stream,
                 read = std::get<Read>(call.work),
                 facts = read_facts(node_, std::get<Read>(call.work)),
                 answer = std::move(held)](bool still_wanted) mutable {
        Result<void> done = Errc::kCanceled;
        if (still_wanted) {
            done = write_answer(read, *node.driver.newest_view(), facts, *answer);
        }
        auto back = [weak = std::move(weak), &node, stream, still_wanted, done = std::move(done),
                     answer = std::move(answer)]() mutable {
            if (done.has_error() && done.error().code == Errc::kCanceled) {
                ++(still_wanted ? node.metrics.reads_cancelled_running
                                : node.metrics.reads_cancelled_waiting);
            }
            if (const auto self = weak.lock(); self != nullptr) {
                self->on_read_done(stream, done, std::move(answer));
            }
        };
        boost::asio::post(executor, std::move(back));
    };
    if (!node_.readers.submit(wanted, std::move(work), pace)) {
        finish(stream, call, api::format_error(Errc::kTooManyRequests));
        return;
    }
    call.wanted = std::move(wanted);
    ++reads_elsewhere_;
}

void ClientSession::on_read_done(wire::StreamId stream, const Result<void>& done,
                                 std::shared_ptr<HeldAnswer> answer) {
    // Not before: what nobody waits for any more still has its place, and its request, in the pool.
    --reads_elsewhere_;
    const auto found = calls_.find(stream);
    if (found != calls_.end()) {
        let_go_of_pool(found->second);
        on_answer(stream, found->second, done, std::move(answer));
    }
    run_held();
    flush();
}

// A read that has begun looks at this now and then; one that waits does not run at all.
void ClientSession::let_go_of_pool(Call& call) {
    if (call.wanted != nullptr) {
        *call.wanted = false;
        call.wanted.reset();
    }
}

}  // namespace cairn::server::net
