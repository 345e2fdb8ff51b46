// Blocking calls: writes a small inventory, reads it back by prefix, deletes it.
// Usage: example_blocking ENDPOINT...
#include <iostream>
#include <string>

#include "client/client.h"

namespace {

using namespace cairn::client;

int failed(const Error& error) {
    std::cerr << error.message << (error.maybe_applied ? " (it may have been applied)\n" : "\n");
    return 1;
}

int run(Client& client) {
    for (const std::string fruit : {"apple", "pear", "plum"}) {
        const Result<PutResponse> put = client.put("example/fruit/" + fruit, "ripe");
        if (!put) {
            return failed(put.error());
        }
    }

    GetOptions all_fruit;
    all_fruit.range_end = prefix_end("example/fruit/");
    const Result<GetResponse> got = client.get("example/fruit/", all_fruit);
    if (!got) {
        return failed(got.error());
    }
    for (const KeyValue& kv : got->kvs) {
        std::cout << kv.key << " is " << kv.value << "\n";
    }

    const Result<DeleteResponse> deleted =
        client.del("example/fruit/", {.range_end = prefix_end("example/fruit/"), .prev_kv = false});
    if (!deleted) {
        return failed(deleted.error());
    }
    std::cout << deleted->deleted << " deleted\n";
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    ClientOptions options;
    options.endpoints.assign(argv + 1, argv + argc);
    options.request_timeout = std::chrono::seconds(10);
    Result<Client> client = Client::connect(options);
    return client ? run(*client) : failed(client.error());
}
