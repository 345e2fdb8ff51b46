// Every Errc on the wire: against the golden table, and against the texts in a real etcd's binary.
#include "server/api/api_error.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catch.h"

namespace cairn::server::api {
namespace {

namespace fs = std::filesystem;

struct Row {
    std::string name;
    std::string since;
    std::string code;
    std::string text;
};

std::vector<Row> golden_rows() {
    std::ifstream file(CAIRN_API_TESTDATA "/errors.txt");
    REQUIRE(file.is_open());
    std::vector<Row> rows;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#') {
            continue;
        }
        const auto first = line.find(' ');
        const auto second = line.find(' ', first + 1);
        const auto third = line.find(' ', second + 1);
        REQUIRE(third != std::string::npos);
        rows.push_back({.name = line.substr(0, first),
                        .since = line.substr(first + 1, second - first - 1),
                        .code = line.substr(second + 1, third - second - 1),
                        .text = line.substr(third + 1)});
    }
    return rows;
}

// Every enumerator: the values that have a name.
std::vector<Errc> all_codes() {
    std::vector<Errc> codes;
    for (std::uint16_t value = 0; value < 2000; ++value) {
        const auto code = static_cast<Errc>(value);
        if (errc_name(code) != "?") {
            codes.push_back(code);
        }
    }
    return codes;
}

struct RealEtcd {
    std::string path;
    std::string version;  // "3.5.30"
};

std::optional<std::string> version_of(const fs::path& binary) {
    const std::string command = "'" + binary.string() + "' --version 2>/dev/null";
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    char line[256] = {};
    if (pipe == nullptr || std::fgets(line, sizeof line, pipe.get()) == nullptr) {
        return std::nullopt;
    }
    const std::string prefix = "etcd Version: ";
    const std::string text(line);
    return text.starts_with(prefix)
               ? std::optional(text.substr(prefix.size(), text.find('\n') - prefix.size()))
               : std::nullopt;
}

fs::path cache_folder() {
    for (const auto& [name, below] :
         {std::pair{"CAIRN_CACHE", ""}, {"XDG_CACHE_HOME", "cairn"}, {"HOME", ".cache/cairn"}}) {
        if (const char* value = std::getenv(name); value != nullptr) {
            return fs::path(value) / below;
        }
    }
    return {};
}

// Where scripts/fetch-etcd puts a real etcd, and where Debian's package does.
std::vector<RealEtcd> real_etcds() {
    std::vector<fs::path> candidates{"/usr/bin/etcd"};
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(cache_folder(), ignored)) {
        candidates.push_back(entry.path() / "usr/bin/etcd");
    }
    std::vector<RealEtcd> found;
    for (const auto& path : candidates) {
        if (fs::exists(path, ignored)) {
            if (const auto version = version_of(path)) {
                found.push_back({.path = path.string(), .version = *version});
            }
        }
    }
    return found;
}

std::string without_detail(std::string text) {
    return text.ends_with("...") ? text.substr(0, text.size() - 3) : text;
}

}  // namespace

TEST_CASE("every Errc has its golden code and text", "[api][error]") {
    std::map<std::string, Row> rows;
    for (auto& row : golden_rows()) {
        rows[row.name] = row;
    }
    const auto codes = all_codes();
    REQUIRE(codes.size() == rows.size());
    for (const Errc code : codes) {
        INFO(errc_name(code));
        const auto row = rows.find(std::string(errc_name(code)));
        REQUIRE(row != rows.end());
        const ApiError error = api_error(code);
        CHECK(wire::grpc_code_name(error.code) == row->second.code);
        CHECK(std::string(error.text) + (error.with_detail ? "..." : "") == row->second.text);
    }
}

TEST_CASE("an error's detail reaches the client only where it is meant for it", "[api][error]") {
    using wire::GrpcCode;
    using wire::GrpcStatus;
    REQUIRE(to_status({Errc::kIo, "/var/lib/cairn/wal: EIO"}) ==
            GrpcStatus{GrpcCode::kInternal, "cairn: storage error"});
    REQUIRE(to_status({Errc::kEmptyKey, "ignored"}) ==
            GrpcStatus{GrpcCode::kInvalidArgument, "etcdserver: key is not provided"});
    REQUIRE(
        to_status({Errc::kMessageTooLarge, "grpc: received message larger than max (5 vs. 4)"}) ==
        GrpcStatus{GrpcCode::kResourceExhausted,
                   "grpc: received message larger than max (5 vs. 4)"});
    REQUIRE(to_status({Errc::kUnimplemented, "unknown service a.B"}) ==
            GrpcStatus{GrpcCode::kUnimplemented, "unknown service a.B"});
}

TEST_CASE("a real etcd holds the same texts", "[api][error]") {
    const auto etcds = real_etcds();
    if (etcds.empty()) {
        WARN("SKIPPED: no etcd to compare with (scripts/fetch-etcd gets one)");
        return;
    }
    for (const auto& etcd : etcds) {
        std::ifstream file(etcd.path, std::ios::binary);
        const std::string binary{std::istreambuf_iterator<char>(file), {}};
        const std::string minor = etcd.version.substr(0, etcd.version.find('.', 2));
        std::size_t compared = 0;
        for (const auto& row : golden_rows()) {
            if (row.since == "cairn" || row.since > minor) {
                continue;
            }
            INFO(etcd.path << " " << etcd.version << ": " << row.text);
            CHECK(binary.find(without_detail(row.text)) != std::string::npos);
            ++compared;
        }
        WARN("compared " << compared << " texts with etcd " << etcd.version);
        REQUIRE(compared >= 55);
    }
}

}  // namespace cairn::server::api
