#include "storage/sha256.h"

#include <openssl/evp.h>

#include "base/assert.h"

namespace cairn::storage {

// Out of memory is the only way for these calls to fail.
struct Sha256::State {
    struct Free {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    using Context = std::unique_ptr<EVP_MD_CTX, Free>;

    static Context make() {
        Context context(EVP_MD_CTX_new());
        CAIRN_ASSERT(context != nullptr);
        return context;
    }

    Context context = make();
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
    const int begun = EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr);
    CAIRN_ASSERT(begun == 1);
}

Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::add(ByteView bytes) {
    const int added = EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size());
    CAIRN_ASSERT(added == 1);
}

std::string Sha256::value() const {
    const State::Context copy = State::make();
    std::string digest(kSha256Bytes, '\0');
    unsigned int size = 0;
    const bool done =
        EVP_MD_CTX_copy_ex(copy.get(), state_->context.get()) == 1 &&
        EVP_DigestFinal_ex(copy.get(), reinterpret_cast<unsigned char*>(digest.data()), &size) == 1;
    CAIRN_ASSERT(done && size == kSha256Bytes);
    return digest;
}

}  // namespace cairn::storage
