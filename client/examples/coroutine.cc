// Coroutines: ten writers on one thread, their calls under way together, then one count.
// Usage: example_coroutine ENDPOINT...
#include <exception>
#include <iostream>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "client/async.h"

namespace {

namespace asio = boost::asio;
using namespace cairn::client;
using asio::use_awaitable;

int failures = 0;

// A copy of the client shares its connections, so each coroutine may have its own.
asio::awaitable<void> write_one(Client client, int number) {
    const std::string key = "example/writer/" + std::to_string(number);
    const Result<PutResponse> put = co_await client.async_put(key, "here", use_awaitable);
    if (!put) {
        std::cerr << key << ": " << put.error().message << "\n";
        ++failures;
    }
}

asio::awaitable<void> count(Client client) {
    GetOptions options;
    options.range_end = prefix_end("example/writer/");
    options.count_only = true;
    const Result<GetResponse> got =
        co_await client.async_get("example/writer/", options, use_awaitable);
    if (!got) {
        std::cerr << got.error().message << "\n";
        ++failures;
        co_return;
    }
    std::cout << got->count << " writers were here\n";
}

void rethrow(const std::exception_ptr& thrown) {
    if (thrown) {
        std::rethrow_exception(thrown);
    }
}

}  // namespace

int main(int argc, char** argv) {
    ClientOptions options;
    options.endpoints.assign(argv + 1, argv + argc);
    const Result<Client> client = Client::connect(options);
    if (!client) {
        std::cerr << client.error().message << "\n";
        return 2;
    }
    asio::io_context context;
    for (int number = 0; number < 10; ++number) {
        asio::co_spawn(context, write_one(*client, number), rethrow);
    }
    context.run();  // returns when all ten have ended
    context.restart();
    asio::co_spawn(context, count(*client), rethrow);
    context.run();
    return failures == 0 ? 0 : 1;
}
