// The coroutine vocabulary of the shell: Task, kTask and spawn (architecture: §2.4).
// Any reactor thread. Nothing outside server/net includes this.
// Never lets an exception of a coroutine vanish: spawn aborts with its name.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace cairn::server::net {

template <class T = void>
using Task = boost::asio::awaitable<T>;

// The only completion token of the shell: errors come back as values.
inline constexpr auto kTask = boost::asio::as_tuple(boost::asio::use_awaitable);

// What spawn does with a coroutine that threw: it has no caller left to tell.
[[noreturn]] inline void abort_task(const char* name, const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& exception) {
        std::fprintf(stderr, "cairn: task %s threw: %s\n", name, exception.what());
    } catch (...) {
        std::fprintf(stderr, "cairn: task %s threw\n", name);
    }
    std::abort();
}

// Starts `task` on `executor`. `name` must be a literal.
template <class Executor>
void spawn(const Executor& executor, Task<> task, const char* name) {
    boost::asio::co_spawn(executor, std::move(task), [name](const std::exception_ptr& error) {
        if (error) {
            abort_task(name, error);
        }
    });
}

}  // namespace cairn::server::net
