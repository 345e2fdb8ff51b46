// Preloaded into a program: as long as the file exists that SLOW_READS_WHILE names, each read of a
// table of the engine takes two seconds, as with a disk that has too much to do. Or of files whose
// names end with SLOW_READS_OF, and so many milliseconds as SLOW_READS_MS says.
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include <dlfcn.h>

namespace {

std::string_view setting(const char* name, std::string_view otherwise) {
    const char* const value = std::getenv(name);
    return value != nullptr ? value : otherwise;
}

bool is_slow(int file) {
    char path[4096];
    const std::string link = "/proc/self/fd/" + std::to_string(file);
    const ssize_t size = ::readlink(link.c_str(), path, sizeof path);
    return size > 0 && std::string_view(path, static_cast<std::size_t>(size))
                           .ends_with(setting("SLOW_READS_OF", ".sst"));
}

ssize_t read_slowly(const char* name, int file, void* to, std::size_t size, off64_t from) {
    using Read = ssize_t (*)(int, void*, std::size_t, off64_t);
    const auto read = reinterpret_cast<Read>(::dlsym(RTLD_NEXT, name));
    const char* const sign = std::getenv("SLOW_READS_WHILE");
    if (sign != nullptr && ::access(sign, F_OK) == 0 && is_slow(file)) {
        std::this_thread::sleep_for(
            std::chrono::milliseconds(std::stoi(std::string(setting("SLOW_READS_MS", "2000")))));
    }
    return read(file, to, size, from);
}

}  // namespace

extern "C" ssize_t pread(int file, void* to, std::size_t size, off_t from) {
    return read_slowly("pread", file, to, size, from);
}

extern "C" ssize_t pread64(int file, void* to, std::size_t size, off64_t from) {
    return read_slowly("pread64", file, to, size, from);
}
