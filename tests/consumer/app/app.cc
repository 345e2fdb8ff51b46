// A program of somebody else over cairn::client, which knows only its public headers.
// Usage: app ENDPOINT
#include <future>
#include <iostream>

#include <boost/asio/use_future.hpp>
#include <client/async.h>

#ifdef CONSUMER_OUTSIDE
#ifdef BOOST_ASIO_NO_DEPRECATED
#error "cairn's own way to compile Asio is not its users'"
#endif
#if __has_include(<proto/etcd/rpc_kv.pb.h>)
#error "generated headers are private"
#endif
#endif

int main(int argc, char** argv) {
    cairn::client::ClientOptions options;
    options.endpoints.assign(argv + 1, argv + argc);
    auto client = cairn::client::Client::connect(options);
    if (!client) {
        std::cerr << client.error().message << "\n";
        return 2;
    }
    const auto put = client->put("consumer", "outside of the tree");
    if (!put) {
        std::cerr << put.error().message << "\n";
        return 1;
    }
    const auto got = client->async_get("consumer", boost::asio::use_future).get();
    if (!got || got->count != 1) {
        std::cerr << (got ? "nothing there" : got.error().message) << "\n";
        return 1;
    }
    std::cout << got->kvs[0].value << "\n";
    return 0;
}
