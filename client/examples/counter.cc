// A counter that many processes may count at once: compare-and-swap on the key's mod revision.
// Usage: example_counter KEY TIMES ENDPOINT...
#include <charconv>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

#include "client/client.h"

namespace {

using namespace cairn::client;

std::int64_t number_of(std::string_view text) {
    std::int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

// One more, whatever others do meanwhile: the value after it.
Result<std::int64_t> increment(Client& client, const std::string& key) {
    Result<GetResponse> now = client.get(key);
    while (now) {
        // A key that is not there has mod revision 0.
        const bool there = !now->kvs.empty();
        const std::int64_t seen = there ? now->kvs[0].mod_revision : 0;
        const std::int64_t next = (there ? number_of(now->kvs[0].value) : 0) + 1;
        const Result<TxnResponse> swapped = client.txn()
                                                .when(cmp::mod(key) == seen)
                                                .then(op::put(key, std::to_string(next)))
                                                .otherwise(op::get(key))
                                                .commit();
        if (!swapped) {
            return swapped.error();
        }
        if (swapped->succeeded) {
            return next;
        }
        // Somebody was faster; the other branch has read what is there now.
        now = std::get<GetResponse>(swapped->responses[0]);
    }
    return now.error();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::cerr << "usage: example_counter KEY TIMES ENDPOINT...\n";
        return 2;
    }
    ClientOptions options;
    options.endpoints.assign(argv + 3, argv + argc);
    Result<Client> client = Client::connect(options);
    if (!client) {
        std::cerr << client.error().message << "\n";
        return 2;
    }
    std::int64_t value = 0;
    for (std::int64_t i = number_of(argv[2]); i > 0; --i) {
        const Result<std::int64_t> counted = increment(*client, argv[1]);
        if (!counted) {
            // maybe_applied: whether this one counts is not known, so trying again could count
            // twice. A counter that must not lose that needs a name for each increment.
            std::cerr << counted.error().message
                      << (counted.error().maybe_applied ? " (it may count)\n" : "\n");
            return 1;
        }
        value = *counted;
    }
    std::cout << value << "\n";
    return 0;
}
