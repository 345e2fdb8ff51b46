// A RocksDB directory for one test, removed at its end; a crash is closing it without a flush.
// One thread; owned by a test.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "catch.h"

#include "storage/rocks_engine.h"
#include "unit/storage/programs.h"

namespace cairn::storage::test {

class TempDir {
  public:
    TempDir() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "cairn-engine-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() { std::filesystem::remove_all(path_); }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

class RocksHost final : public Host {
  public:
    RocksHost() { open(); }
    [[nodiscard]] std::shared_ptr<KvEngine> shared() override { return engine_; }
    void crash() override {
        engine_.reset();
        open();
    }
    [[nodiscard]] const std::string& path() const { return dir_.path(); }

  private:
    void open() {
        auto opened = open_rocks_engine(dir_.path() + "/db");
        if (!opened) {
            FAIL(to_string(opened.error()));
        }
        engine_ = std::move(opened.value());
    }

    TempDir dir_;
    std::shared_ptr<KvEngine> engine_;
};

}  // namespace cairn::storage::test
