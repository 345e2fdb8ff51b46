#include "base/checksum.h"

#include <xxhash.h>

#include "base/assert.h"

namespace cairn {

std::uint64_t xxh3_64(ByteView bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

struct Xxh3Stream::State {
    XXH3_state_t* xxh = XXH3_createState();
    State() {
        CAIRN_ASSERT(xxh != nullptr);
        XXH3_64bits_reset(xxh);
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { XXH3_freeState(xxh); }
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) {}
Xxh3Stream::Xxh3Stream(Xxh3Stream&&) noexcept = default;
Xxh3Stream& Xxh3Stream::operator=(Xxh3Stream&&) noexcept = default;
Xxh3Stream::~Xxh3Stream() = default;

void Xxh3Stream::add(ByteView bytes) {
    XXH3_64bits_update(state_->xxh, bytes.data(), bytes.size());
}

std::uint64_t Xxh3Stream::value() const { return XXH3_64bits_digest(state_->xxh); }

}  // namespace cairn
