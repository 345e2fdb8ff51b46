#include "base/buggify.h"

#include <utility>

namespace cairn {
namespace {

thread_local constinit Buggifier* current = nullptr;

}  // namespace

Buggifier* set_buggifier(Buggifier* buggifier) { return std::exchange(current, buggifier); }

bool buggify(const char* label) { return current != nullptr && current->strikes(label); }

}  // namespace cairn
