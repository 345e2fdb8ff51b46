#include "storage/snapshot.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "sim_fs/sim_fs.h"
#include "storage/mem_engine.h"

namespace cairn::storage {
namespace {

struct NamedFile {
    std::string name;
    std::string content;
};

SnapshotManifest manifest_of(const std::vector<NamedFile>& files) {
    SnapshotManifest manifest;
    manifest.meta.last = {Term{3}, Index{77}};
    manifest.meta.conf.voters = {NodeId{1}, NodeId{2}};
    manifest.meta.conf.learners = {NodeId{9}};
    manifest.revision = 55;
    for (const NamedFile& file : files) {
        manifest.files.push_back({file.name, file.content.size(), xxh3_64(file.content)});
    }
    return manifest;
}

std::vector<NamedFile> some_files(Prng& prng) {
    std::vector<NamedFile> files;
    for (const char* name : {"000012.sst", "000013.sst", "CURRENT", "empty", "OPTIONS"}) {
        std::string content;
        const std::uint64_t bytes = std::string(name) == "empty" ? 0 : prng.between(1, 9000);
        for (std::uint64_t i = 0; i < bytes; ++i) {
            content.push_back(static_cast<char>(prng.next()));
        }
        files.push_back({name, std::move(content)});
    }
    return files;
}

// The next piece that a writer wants, of at most `bytes`.
ByteView next_piece(const SnapshotWriter& writer, const std::vector<NamedFile>& files,
                    std::uint64_t bytes) {
    const SnapshotPlace place = writer.place();
    return ByteView(files[place.file].content).substr(place.offset, bytes);
}

// One life of a writer; true when the snapshot is whole at its end.
bool write_until_crash(SimFs& files, const std::vector<NamedFile>& contents, Prng& prng,
                       std::uint64_t& sent) {
    auto opened = SnapshotWriter::open(files, "in", manifest_of(contents));
    while (opened.has_value() && !opened.value().whole()) {
        const ByteView piece = next_piece(opened.value(), contents, prng.between(1, 4000));
        sent += piece.size();
        const auto written = opened.value().write(piece);
        // A crash may have left pieces that only the checksum of the whole file can tell.
        if (written.has_error() && written.error().code != Errc::kCorrupt) {
            break;
        }
    }
    return opened.has_value() && opened.value().whole() && !files.halted();
}

}  // namespace

TEST_CASE("a manifest is read as it was written", "[snapshot][format]") {
    const SnapshotManifest manifest = manifest_of({{"a", "x"}, {"b", ""}});
    const std::string bytes = encode_manifest(manifest);
    REQUIRE(decode_manifest(bytes, "m").value() == manifest);
    REQUIRE(manifest.bytes() == 1);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        REQUIRE(decode_manifest(ByteView(bytes).substr(0, size), "m").error().code ==
                Errc::kCorrupt);
    }
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        std::string bent = bytes;
        bent[at] = static_cast<char>(bent[at] ^ 1);
        REQUIRE(decode_manifest(bent, "m").has_error());
    }
    std::string newer = bytes;
    newer[15] = '2';
    REQUIRE(decode_manifest(newer, "m").error().code == Errc::kUnsupportedVersion);
    REQUIRE(decode_manifest(newer, "dir/m").error().detail.find("dir/m") == 0);
}

TEST_CASE("a manifest of what no log gets to is refused", "[snapshot][hostile]") {
    const auto code_of = [](auto change) {
        SnapshotManifest manifest = manifest_of({{"a", "x"}});
        change(manifest.meta);
        const auto decoded = decode_manifest(encode_manifest(manifest), "m");
        return decoded.has_error() ? decoded.error().code : Errc{};
    };
    using Meta = raft::SnapshotMeta;
    CHECK(code_of([](Meta&) {}) == Errc{});
    CHECK(code_of([](Meta& meta) { meta.last.index = Index{kTermOrIndexMax + 1}; }) ==
          Errc::kCorrupt);
    CHECK(code_of([](Meta& meta) { meta.last.term = Term{kTermOrIndexMax + 1}; }) ==
          Errc::kCorrupt);
    CHECK(code_of([](Meta& meta) { meta.conf.voters = {NodeId{2}, NodeId{1}}; }) == Errc::kCorrupt);
    CHECK(code_of([](Meta& meta) { meta.conf.learners = {NodeId{}}; }) == Errc::kCorrupt);
}

TEST_CASE("a file name in a manifest leads nowhere", "[snapshot][hostile]") {
    for (const std::string& name :
         {std::string(".."), std::string("."), std::string(), std::string("a/b"),
          std::string("/etc/passwd"), std::string("a\0b", 3), std::string(kManifestName),
          std::string(300, 'a')}) {
        const std::string bytes = encode_manifest(manifest_of({{"ok", "x"}, {name, "x"}}));
        INFO("name '" << name << "'");
        REQUIRE(decode_manifest(bytes, "m").error().code == Errc::kCorrupt);
    }
    const std::string twice = encode_manifest(manifest_of({{"a", "x"}, {"a", "y"}}));
    REQUIRE(decode_manifest(twice, "m").error().code == Errc::kCorrupt);
}

TEST_CASE("a checkpoint of an engine travels piece by piece", "[snapshot]") {
    SimFs files;
    MemEngine engine(&files);
    WriteBatch batch;
    for (int i = 0; i < 500; ++i) {
        batch.put(ColumnFamily::kMeta, "key" + std::to_string(i), std::string(100, 'v'));
    }
    REQUIRE(engine.write(batch).has_value());
    SnapshotManifest manifest = manifest_of({});
    REQUIRE(engine.checkpoint("out").has_value());
    manifest.files = list_snapshot_files(files, "out").value();
    REQUIRE(write_manifest(files, "out", manifest).has_value());

    SnapshotReader reader(files, "out", read_manifest(files, "out").value());
    auto writer = SnapshotWriter::open(files, "in", reader.manifest()).value();
    while (!writer.whole()) {
        const SnapshotPlace place = writer.place();
        const std::string piece = reader.read(place, 1000).value();
        REQUIRE(writer.write(piece).has_value());
        REQUIRE(writer.place() == reader.after(place, piece.size()));
    }
    REQUIRE(verify_snapshot(files, "in", reader.manifest()).has_value());
    const auto copy = MemEngine::load(files, "in").value();
    REQUIRE(copy->get(ColumnFamily::kMeta, "key499").value() == std::string(100, 'v'));
}

TEST_CASE("bad pieces are found when their file is complete", "[snapshot]") {
    Prng prng(7);
    const auto contents = some_files(prng);
    SimFs files;
    auto writer = SnapshotWriter::open(files, "in", manifest_of(contents)).value();
    std::string bent(next_piece(writer, contents, 1'000'000));
    bent.back() = static_cast<char>(bent.back() ^ 1);
    REQUIRE(writer.write(bent).error().code == Errc::kCorrupt);
    REQUIRE(writer.place() == SnapshotPlace{0, 0});
    while (!writer.whole()) {
        REQUIRE(writer.write(next_piece(writer, contents, 700)).has_value());
    }
    REQUIRE(verify_snapshot(files, "in", writer.manifest()).has_value());
    // Rot afterwards is found, too.
    files.flip_bit("in/000013.sst", 0, 3);
    REQUIRE(verify_snapshot(files, "in", writer.manifest()).error().code == Errc::kCorrupt);
}

TEST_CASE("a file of a snapshot has its length, no more and no less", "[snapshot]") {
    const std::vector<NamedFile> contents{{"a", std::string(1'000, 'a')}, {"b", "b"}};
    const SnapshotManifest manifest = manifest_of(contents);
    SimFs files;
    auto writer = SnapshotWriter::open(files, "in", manifest).value();
    while (!writer.whole()) {
        REQUIRE(writer.write(next_piece(writer, contents, 700)).has_value());
    }
    REQUIRE(verify_snapshot(files, "in", manifest).has_value());
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{999}, std::size_t{1'001}}) {
        files.put_file("in/a", std::string(bytes, 'a'));
        REQUIRE(verify_snapshot(files, "in", manifest).error().code == Errc::kCorrupt);
    }
}

TEST_CASE("a file that was cut off goes on where it ended", "[snapshot]") {
    const std::vector<NamedFile> contents{{"a", std::string(1'000, 'a')}};
    SimFs files;
    {
        auto writer = SnapshotWriter::open(files, "in", manifest_of(contents)).value();
        REQUIRE(writer.write(next_piece(writer, contents, 600)).has_value());
    }
    auto writer = SnapshotWriter::open(files, "in", manifest_of(contents)).value();
    REQUIRE(writer.place() == SnapshotPlace{0, 600});
    REQUIRE(writer.write(next_piece(writer, contents, 600)).has_value());
    REQUIRE(writer.whole());
}

TEST_CASE("another snapshot in the same place begins anew", "[snapshot]") {
    Prng prng(8);
    const auto first = some_files(prng);
    const auto second = some_files(prng);
    SimFs files;
    {
        auto writer = SnapshotWriter::open(files, "in", manifest_of(first)).value();
        REQUIRE(writer.write(next_piece(writer, first, 1'000'000)).has_value());
        REQUIRE(writer.place() == SnapshotPlace{1, 0});
    }
    auto writer = SnapshotWriter::open(files, "in", manifest_of(second)).value();
    REQUIRE(writer.place() == SnapshotPlace{0, 0});
    REQUIRE(files.list("in").value() ==
            std::vector<std::string>{"000012.sst", std::string(kManifestName)});
}

TEST_CASE("a transfer goes on over any crash and ends whole", "[snapshot][crash][random]") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        INFO("seed " << seed);
        Prng prng(seed);
        const auto contents = some_files(prng);
        const SnapshotManifest manifest = manifest_of(contents);
        SimFs files;
        std::uint64_t sent = 0;
        bool whole = false;
        for (std::uint64_t life = 0; !whole; ++life) {
            REQUIRE(life < 200);
            if (life < 20) {
                files.crash_at(files.ops() + prng.between(1, 40));
            }
            whole = write_until_crash(files, contents, prng, sent);
            if (!whole) {
                REQUIRE(files.halted());
                files.crash(prng, {});
            }
        }
        files.crash_at(0);
        auto verified = verify_snapshot(files, "in", manifest);
        INFO((verified.has_error() ? to_string(verified.error()) : std::string()));
        REQUIRE(verified.has_value());
        // What a crash at the end leaves is whole, too.
        files.crash(prng, {.writes = SimWriteLoss::kAll, .dirs = SimDirLoss::kAll});
        verified = verify_snapshot(files, "in", manifest);
        REQUIRE(verified.has_value());
        REQUIRE(sent < 20 * manifest.bytes() + 1);
    }
}

TEST_CASE("a disk that is full ends the transfer with its name", "[snapshot][disk]") {
    Prng prng(9);
    const auto contents = some_files(prng);
    SimFs files;
    files.set_capacity(500);
    auto writer = SnapshotWriter::open(files, "in", manifest_of(contents)).value();
    Errc code{};
    while (code == Errc{} && !writer.whole()) {
        const auto written = writer.write(next_piece(writer, contents, 400));
        code = written.has_error() ? written.error().code : Errc{};
    }
    REQUIRE(code == Errc::kNoSpace);
}

}  // namespace cairn::storage
