#include "client/io_thread.h"

#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace cairn::client {

struct IoThread::Impl {
    boost::asio::io_context context{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard{
        context.get_executor()};
    std::thread thread;
};

IoThread::IoThread() : impl_(std::make_shared<Impl>()) {
    impl_->thread = std::thread([impl = impl_] { impl->context.run(); });
}

IoThread::~IoThread() {
    // Behind what was posted before: closed channels give out their calls first.
    boost::asio::io_context& context = impl_->context;
    boost::asio::post(context, [&context] { context.stop(); });
    if (runs_here()) {
        impl_->thread.detach();
    } else {
        impl_->thread.join();
    }
}

bool IoThread::runs_here() const { return impl_->thread.get_id() == std::this_thread::get_id(); }

boost::asio::io_context& IoThread::context() { return impl_->context; }

void IoThread::post(std::function<void()> work) {
    boost::asio::post(impl_->context, std::move(work));
}

}  // namespace cairn::client
