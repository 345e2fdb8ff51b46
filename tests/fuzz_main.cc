// Runs a fuzz target over stored inputs and over seeded mutations of them, where libFuzzer is not.
// CAIRN_SEED repeats one run; CAIRN_FUZZ_ROUNDS sets the mutations of each input.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/prng.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace cairn {
namespace {

constexpr std::size_t kGrowthMax = 64;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// In a fixed order, so that a seed names a run on every machine.
std::vector<std::string> read_inputs(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.is_regular_file()) {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    std::vector<std::string> inputs;
    for (const auto& file : files) {
        std::ifstream stream(file, std::ios::binary);
        inputs.emplace_back(std::istreambuf_iterator<char>(stream),
                            std::istreambuf_iterator<char>());
    }
    return inputs;
}

char random_byte(Prng& prng) { return static_cast<char>(prng.below(256)); }

// One small change: a flipped bit, a new byte, a cut, a repeated or an inserted piece.
void mutate(std::string& input, Prng& prng) {
    const std::uint64_t kind = prng.below(5);
    if (input.empty() || kind == 4) {
        const std::uint64_t place = prng.below(input.size() + 1);
        const std::uint64_t count = 1 + prng.below(8);
        input.insert(place, count, random_byte(prng));
        return;
    }
    const std::uint64_t place = prng.below(input.size());
    if (kind == 0) {
        input[place] = static_cast<char>(static_cast<unsigned char>(input[place]) ^
                                         (1U << static_cast<unsigned>(prng.below(8))));
    } else if (kind == 1) {
        input[place] = random_byte(prng);
    } else if (kind == 2) {
        input.resize(place);
    } else {
        const std::string piece = input.substr(place, 1 + prng.below(kGrowthMax));
        input.insert(place, piece);
    }
}

void run(const std::string& input) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

int run_all(const std::filesystem::path& folder) {
    const std::vector<std::string> inputs = read_inputs(folder);
    if (inputs.empty()) {
        std::fprintf(stderr, "no inputs in %s\n", folder.c_str());
        return 1;
    }
    const std::uint64_t seed = number_from("CAIRN_SEED", 1);
    const std::uint64_t rounds = number_from("CAIRN_FUZZ_ROUNDS", 200);
    std::printf("CAIRN_SEED=%llu: %zu inputs, %llu mutations of each\n",
                static_cast<unsigned long long>(seed), inputs.size(),
                static_cast<unsigned long long>(rounds));
    std::fflush(stdout);
    Prng prng(seed);
    for (const std::string& input : inputs) {
        run(input);
        for (std::uint64_t round = 0; round < rounds; ++round) {
            std::string changed = input;
            for (std::uint64_t change = 1 + prng.below(4); change > 0; --change) {
                mutate(changed, prng);
            }
            run(changed);
        }
    }
    return 0;
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s FOLDER-OF-INPUTS\n", argv[0]);
        return 2;
    }
    return cairn::run_all(argv[1]);
}
