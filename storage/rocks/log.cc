#include "storage/rocks/log.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <mutex>

namespace cairn::storage {
namespace {

// RocksDB's logger for that file asserts, in Debian's build, that no
// write of it has failed before: on a full disk it ends the process before the flush that failed,
// too, can say why.
class FileLogger final : public rocksdb::Logger {
  public:
    explicit FileLogger(const std::string& dir) : path_(dir + "/LOG") {
        rocksdb::Env::Default()->CreateDirIfMissing(dir).PermitUncheckedError();
        begin_file();
    }
    using rocksdb::Logger::Logv;
    void Logv(const char* format, va_list args) override {
        std::array<char, kLineBytesMax> line{};
        std::vsnprintf(line.data(), line.size(), format, args);
        auto* env = rocksdb::Env::Default();
        const std::string time = env->TimeToString(env->NowMicros() / 1'000'000);
        const std::lock_guard guard(mutex_);
        if (file_ == nullptr) {
            return;
        }
        const int count = std::fprintf(file_.get(), "%s%s\n", time.c_str(), line.data());
        std::fflush(file_.get());
        bytes_ += static_cast<std::size_t>(std::max(count, 0));
        if (bytes_ > kFileBytesMax) {
            begin_file();
        }
    }

  private:
    static constexpr std::size_t kLineBytesMax = 4096;
    static constexpr std::size_t kFileBytesMax = std::size_t{16} << 20U;
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };

    void begin_file() {
        std::rename(path_.c_str(), (path_ + ".old").c_str());
        file_.reset(std::fopen(path_.c_str(), "we"));
        bytes_ = 0;
    }

    const std::string path_;
    std::mutex mutex_;  // over the next two
    std::unique_ptr<std::FILE, Close> file_;
    std::size_t bytes_ = 0;
};

class NoLogger final : public rocksdb::Logger {
  public:
    using rocksdb::Logger::Logv;
    void Logv(const char* /*format*/, va_list /*args*/) override {}
};

}  // namespace

std::shared_ptr<rocksdb::Logger> make_file_logger(const std::string& dir) {
    return std::make_shared<FileLogger>(dir);
}

std::shared_ptr<rocksdb::Logger> make_no_logger() { return std::make_shared<NoLogger>(); }

}  // namespace cairn::storage
