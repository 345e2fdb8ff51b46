// The coroutine vocabulary of the client's I/O: Task, kTask and spawn (architecture: §2.4).
// On the I/O thread. Nothing outside client/ includes this.
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

namespace cairn::client {

template <class T = void>
using Task = boost::asio::awaitable<T>;

// The only completion token here: errors come back as values.
inline constexpr auto kTask = boost::asio::as_tuple(boost::asio::use_awaitable);

// Starts `task` on `executor`. `name` must be a literal.
template <class Executor>
void spawn(const Executor& executor, Task<> task, const char* name) {
    boost::asio::co_spawn(executor, std::move(task), [name](const std::exception_ptr& error) {
        if (error) {
            std::fprintf(stderr, "cairn client: task %s threw\n", name);
            std::abort();
        }
    });
}

}  // namespace cairn::client
