#include "storage/snapshot_store.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/probe.h"
#include "storage/state_machine.h"

namespace cairn::storage {
namespace {

// In the data directory (docs/formats/data_dir.md): which snapshot the member's engine began as,
// and where it lies. Without this file it began empty, and lies in db/.
constexpr const char* kInstalledName = "INSTALLED";
constexpr const char* kFirstEngineName = "db";
constexpr const char* kEnginePrefix = "db-";
constexpr const char* kSnapshotsName = "snap";
constexpr const char* kIncomingName = "incoming";

// All in one step.
constexpr std::uint64_t kWhole = UINT64_MAX;

std::string engine_name(const raft::SnapshotMeta& snapshot) {
    return fmt::format("{}{:016x}", kEnginePrefix, snapshot.last.index.value);
}

bool is_engine_name(const std::string& name) {
    const std::string prefix(kEnginePrefix);
    return name.size() == prefix.size() + 16 && name.starts_with(prefix) &&
           name.find_first_not_of("0123456789abcdef", prefix.size()) == std::string::npos;
}

Result<std::optional<raft::SnapshotMeta>> read_installed(FileSystem& files,
                                                         const std::string& path) {
    CAIRN_TRY(const bool exists, files.exists(path));
    if (!exists) {
        return std::optional<raft::SnapshotMeta>();
    }
    CAIRN_TRY(auto file, files.open(path, OpenMode::kRead));
    CAIRN_TRY(const std::string bytes, file->read_at(0, kManifestBytesMax));
    CAIRN_TRY(SnapshotManifest manifest, decode_manifest(bytes, path));
    return std::optional(std::move(manifest.meta));
}

bool makes_sense(const SnapshotManifest& manifest) {
    return manifest.meta.last.index && manifest.meta.last.term &&
           !manifest.meta.conf.voters.empty();
}

}  // namespace

class SnapshotStore::Impl {
  public:
    Impl(FileSystem& files, EngineKind& kind, std::string dir, SnapshotStoreOptions options)
        : files_(files), kind_(kind), dir_(std::move(dir)), options_(options) {}

    Result<void> open();
    [[nodiscard]] const std::shared_ptr<KvEngine>& engine() const { return engine_; }
    [[nodiscard]] const std::optional<raft::SnapshotMeta>& installed() const { return installed_; }

    Result<std::shared_ptr<const BuiltSnapshot>> build_step(Index at_least, std::uint64_t bytes_max,
                                                            SnapshotUse use);
    Result<void> drop_built();
    Result<SnapshotPlace> receive(SnapshotManifest manifest);
    Result<SnapshotPlace> write(SnapshotPlace place, ByteView piece);
    [[nodiscard]] std::optional<SnapshotPlace> received_to() const {
        return incoming_ ? std::optional(incoming_->writer.place()) : std::nullopt;
    }
    Result<std::optional<raft::SnapshotMeta>> finish_step(std::uint64_t bytes_max);
    Result<void> drop_received();
    Result<std::shared_ptr<KvEngine>> install(const raft::SnapshotMeta& snapshot);
    Result<void> tidy();

  private:
    struct FormerEngine {
        std::string dir;
        std::weak_ptr<KvEngine> engine;
    };
    // Its files are there, and their checksums are not all read yet.
    struct Building {
        BuiltSnapshot snapshot;
        SnapshotSums sums;
        std::size_t checked = 0;  // of the files that sums has read
    };
    struct Incoming {
        SnapshotWriter writer;
        std::optional<SnapshotSums> sums{};  // it is whole, and is read again
        bool finished = false;               // and verified; it waits for the core's word
    };

    Result<void> find_engine(const std::vector<std::string>& names);
    Result<void> remove_leftovers(const std::vector<std::string>& names);
    Result<void> remove_useless_incoming();
    Result<void> begin_build(SnapshotUse use);
    Result<void> begin_build_in(const std::string& dir, SnapshotUse use);
    Result<void> go_on_building(std::uint64_t bytes_max);
    Result<void> check_what_was_read();
    Result<void> drop_building();
    // Of the snapshots built, all but the newest `keep` that whoever asks next may use.
    Result<void> remove_unused(std::size_t keep);
    Result<void> verify(std::uint64_t bytes_max);
    Result<void> check_space(std::uint64_t bytes) const;
    Result<void> write_installed(const SnapshotManifest& manifest);
    [[nodiscard]] std::string path_of(const std::string& name) const { return dir_ + "/" + name; }
    [[nodiscard]] std::string snapshots_dir() const { return path_of(kSnapshotsName); }
    [[nodiscard]] std::string incoming_dir() const { return snapshots_dir() + "/" + kIncomingName; }

    FileSystem& files_;
    EngineKind& kind_;
    const std::string dir_;
    const SnapshotStoreOptions options_;
    std::shared_ptr<KvEngine> engine_;
    std::string engine_name_ = kFirstEngineName;
    std::optional<raft::SnapshotMeta> installed_;
    std::vector<FormerEngine> former_;
    // Whatever was built and is still on disk, the newest last. One that only this list holds is
    // nobody's any more, since only this thread hands them out.
    std::vector<std::shared_ptr<const BuiltSnapshot>> built_;
    bool reusable_ = false;     // the newest of them, by whoever asks next
    std::uint64_t builds_ = 0;  // names them
    std::optional<Building> building_;
    std::optional<Incoming> incoming_;
};

// ---- start

Result<void> SnapshotStore::Impl::open() {
    CAIRN_TRY(const std::vector<std::string> names, files_.list(dir_));
    CAIRN_TRY(find_engine(names));
    // What says so may be a rename that is not on disk yet: it must not be lost after what it
    // replaced is gone.
    CAIRN_TRY(files_.sync_dir(dir_));
    CAIRN_TRY(remove_leftovers(names));
    CAIRN_TRY(engine_, kind_.open(path_of(engine_name_)));
    return remove_useless_incoming();
}

// Nothing is removed before this has said which engine is the member's.
Result<void> SnapshotStore::Impl::find_engine(const std::vector<std::string>& names) {
    CAIRN_TRY(installed_, read_installed(files_, path_of(kInstalledName)));
    if (installed_) {
        engine_name_ = engine_name(*installed_);
    }
    const bool there = std::find(names.begin(), names.end(), engine_name_) != names.end();
    const auto other = std::find_if(names.begin(), names.end(), is_engine_name);
    if (!there && (installed_ || other != names.end())) {
        return Error(Errc::kCorrupt,
                     fmt::format("{}: the engine is gone{}", path_of(engine_name_),
                                 installed_ ? std::string()
                                            : fmt::format(", or {} is, which says that it is {}",
                                                          path_of(kInstalledName), *other)));
    }
    return ok();
}

Result<void> SnapshotStore::Impl::remove_leftovers(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        if (name != engine_name_ && (name == kFirstEngineName || is_engine_name(name))) {
            CAIRN_PROBE("store.former_engine_removed_at_start");
            CAIRN_TRY(files_.remove_all(path_of(name)));
        }
        if (name == std::string(kInstalledName) + ".tmp") {
            CAIRN_TRY(files_.remove(path_of(name)));
        }
    }
    CAIRN_TRY(const bool any, files_.exists(snapshots_dir()));
    if (!any) {
        return ok();
    }
    CAIRN_TRY(const std::vector<std::string> snapshots, files_.list(snapshots_dir()));
    for (const std::string& name : snapshots) {
        if (name != kIncomingName) {
            CAIRN_TRY(files_.remove_all(snapshots_dir() + "/" + name));
        }
    }
    return ok();
}

// A transfer that was cut off goes on only if it brings something.
Result<void> SnapshotStore::Impl::remove_useless_incoming() {
    CAIRN_TRY(const bool any, files_.exists(incoming_dir()));
    if (!any) {
        return ok();
    }
    CAIRN_TRY(const AppliedState state, read_applied_state(*engine_));
    const auto manifest = read_manifest(files_, incoming_dir());
    if (manifest.has_value() && manifest.value().meta.last.index > state.applied.index) {
        return ok();
    }
    return files_.remove_all(incoming_dir());
}

Result<void> SnapshotStore::Impl::check_space(std::uint64_t bytes) const {
    CAIRN_TRY(const std::uint64_t free, files_.free_bytes(dir_));
    if (free < options_.free_bytes_min || free - options_.free_bytes_min < bytes) {
        return Error(
            Errc::kNoSpace,
            fmt::format("{}: a snapshot takes {} bytes, {} are free, and {} are to stay so", dir_,
                        bytes, free, options_.free_bytes_min));
    }
    return ok();
}

// ---- building

Result<std::shared_ptr<const BuiltSnapshot>> SnapshotStore::Impl::build_step(
    Index at_least, std::uint64_t bytes_max, SnapshotUse use) {
    const auto will_do = [&] {
        return reusable_ && !built_.empty() && built_.back()->manifest.meta.last.index >= at_least;
    };
    if (!will_do()) {
        const Result<void> done = building_ ? go_on_building(bytes_max) : begin_build(use);
        if (done.has_error()) {
            // The first error counts; what cannot be removed now is at the next start.
            static_cast<void>(drop_building());
            return done.error();
        }
    }
    return will_do() ? built_.back() : nullptr;
}

Result<void> SnapshotStore::Impl::begin_build(SnapshotUse use) {
    CAIRN_TRY(remove_unused(0));
    if (built_.size() >= (use == SnapshotUse::kClient ? kBuiltForClientsMax : kBuiltMax)) {
        return Error(Errc::kTooManyRequests,
                     fmt::format("{} older snapshots are still being sent", built_.size()));
    }
    CAIRN_TRY(check_space(engine_->checkpoint_bytes()));
    CAIRN_TRY(files_.make_dirs(snapshots_dir()));
    const std::string dir = snapshots_dir() + "/" + std::to_string(++builds_);
    const Result<void> begun = begin_build_in(dir, use);
    if (begun.has_error()) {
        for (const char* suffix : {"", ".tmp"}) {
            static_cast<void>(files_.remove_all(dir + suffix).has_value());
        }
    }
    return begun;
}

// The engine goes on meanwhile, so what it was at is read from the checkpoint itself.
Result<void> SnapshotStore::Impl::begin_build_in(const std::string& dir, SnapshotUse use) {
    CAIRN_TRY(engine_->checkpoint(dir));
    CAIRN_TRY(std::vector<std::string> names, files_.list(dir));
    if (names.size() > options_.files_max) {
        return Error(Errc::kTooLarge,
                     fmt::format("{}: the engine has {} files, a snapshot has {} at most", dir_,
                                 names.size(), options_.files_max));
    }
    BuiltSnapshot snapshot{.dir = dir, .manifest = {}, .use = use};
    {
        CAIRN_TRY(const auto reader, kind_.open_to_read(dir));
        CAIRN_TRY(AppliedState state, read_applied_state(*reader));
        if (!state.applied.index || !state.conf || state.conf->voters.empty()) {
            return Error(Errc::kInternal, dir + ": nothing was applied yet");
        }
        snapshot.manifest.meta = {state.applied, *std::move(state.conf)};
        snapshot.manifest.revision = state.revision;
    }
    building_.emplace(Building{std::move(snapshot), SnapshotSums(files_, dir, std::move(names))});
    return ok();
}

Result<void> SnapshotStore::Impl::go_on_building(std::uint64_t bytes_max) {
    CAIRN_TRY(building_->sums.read_some(bytes_max));
    CAIRN_TRY(check_what_was_read());
    if (building_->sums.whole()) {
        BuiltSnapshot& snapshot = building_->snapshot;
        snapshot.manifest.files = building_->sums.done();
        CAIRN_TRY(write_manifest(files_, snapshot.dir, snapshot.manifest));
        built_.push_back(std::make_shared<const BuiltSnapshot>(std::move(snapshot)));
        building_.reset();
        reusable_ = true;
    }
    return ok();
}

// Or what has rotted here would get a checksum that says it is sound, and replace what others have.
Result<void> SnapshotStore::Impl::check_what_was_read() {
    const std::vector<ManifestFile>& read = building_->sums.done();
    for (std::size_t& at = building_->checked; at < read.size(); ++at) {
        CAIRN_TRY(kind_.check_file(building_->snapshot.dir + "/" + read[at].name));
    }
    return ok();
}

Result<void> SnapshotStore::Impl::drop_building() {
    if (!building_) {
        return ok();
    }
    const std::string dir = building_->snapshot.dir;
    building_.reset();
    return files_.remove_all(dir);
}

Result<void> SnapshotStore::Impl::drop_built() {
    reusable_ = false;  // also what somebody still reads
    CAIRN_TRY(drop_building());
    return remove_unused(0);
}

Result<void> SnapshotStore::Impl::remove_unused(std::size_t keep) {
    const std::size_t last = built_.size() - std::min(keep, built_.size());
    for (std::size_t i = built_.size(); i-- > 0;) {
        const bool kept = i >= last && reusable_ && built_[i]->use == SnapshotUse::kMember;
        if (!kept && built_[i].use_count() == 1) {
            reusable_ = reusable_ && i + 1 < built_.size();  // it may stay in part
            CAIRN_TRY(files_.remove_all(built_[i]->dir));
            built_.erase(built_.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }
    return ok();
}

// ---- receiving

Result<SnapshotPlace> SnapshotStore::Impl::receive(SnapshotManifest manifest) {
    if (incoming_ && incoming_->finished) {
        return Error(Errc::kTooManyRequests, "a snapshot waits for being installed");
    }
    if (!makes_sense(manifest)) {
        return Error(Errc::kMalformed, "a snapshot without an entry or without voters");
    }
    if (incoming_ && incoming_->writer.manifest() == manifest) {
        return incoming_->writer.place();
    }
    incoming_.reset();
    // Former engines may take the room, and snapshots that nobody needs of a member behind.
    CAIRN_TRY(drop_built());
    CAIRN_TRY(tidy());
    CAIRN_TRY(files_.make_dirs(snapshots_dir()));
    CAIRN_TRY(files_.sync_dir(dir_));
    const std::uint64_t bytes = manifest.bytes();
    auto opened = SnapshotWriter::open(files_, incoming_dir(), std::move(manifest));
    Result<void> fits = ok();
    if (opened.has_value()) {
        fits = check_space(bytes - opened.value().bytes_written());
    }
    if (opened.has_error() || fits.has_error()) {
        const Error error = opened.has_error() ? opened.error() : fits.error();
        if (error.code == Errc::kNoSpace) {
            CAIRN_TRY(drop_received());
        }
        return error;
    }
    incoming_.emplace(Incoming{std::move(opened).value()});
    return incoming_->writer.place();
}

Result<SnapshotPlace> SnapshotStore::Impl::write(SnapshotPlace place, ByteView piece) {
    if (!incoming_ || incoming_->writer.whole() || incoming_->writer.place() != place ||
        piece.empty() ||
        piece.size() > incoming_->writer.manifest().files[place.file].bytes - place.offset) {
        return Error(Errc::kMalformed, "a piece of a snapshot that is not the next one");
    }
    const Result<void> written = incoming_->writer.write(piece);
    if (written.has_error()) {
        if (written.error().code == Errc::kNoSpace) {
            // The log needs what is left more than this does.
            CAIRN_TRY(drop_received());
        } else if (written.error().code != Errc::kCorrupt) {
            incoming_.reset();
        }
        return written.error();
    }
    return incoming_->writer.place();
}

Result<std::optional<raft::SnapshotMeta>> SnapshotStore::Impl::finish_step(
    std::uint64_t bytes_max) {
    if (!incoming_ || !incoming_->writer.whole()) {
        return Error(Errc::kMalformed, "the snapshot is not whole");
    }
    if (const auto sound = verify(bytes_max); sound.has_error()) {
        CAIRN_TRY(drop_received());
        return sound.error();
    }
    return incoming_->finished ? std::optional(incoming_->writer.manifest().meta) : std::nullopt;
}

// Now, while nothing depends on it. Later the member would have to stop, and an earlier start may
// have written what nobody has looked at since.
Result<void> SnapshotStore::Impl::verify(std::uint64_t bytes_max) {
    const SnapshotManifest& manifest = incoming_->writer.manifest();
    auto& sums = incoming_->sums;
    if (!sums) {
        sums.emplace(files_, incoming_dir(), file_names(manifest));
    }
    if (const auto sound = verify_some(*sums, manifest, bytes_max); sound.has_error()) {
        return Error(Errc::kIo, "a snapshot that has arrived: " + to_string(sound.error()));
    }
    if (sums->whole()) {
        CAIRN_TRY(check_space(0));
        incoming_->finished = true;
    }
    return ok();
}

Result<void> SnapshotStore::Impl::drop_received() {
    incoming_.reset();
    return files_.remove_all(incoming_dir());
}

// ---- installing

Result<std::shared_ptr<KvEngine>> SnapshotStore::Impl::install(const raft::SnapshotMeta& snapshot) {
    if (!incoming_ || !incoming_->finished || incoming_->writer.manifest().meta != snapshot) {
        return Error(Errc::kMalformed, "no such snapshot has arrived");
    }
    const SnapshotManifest manifest = incoming_->writer.manifest();
    const std::string name = engine_name(snapshot);
    // The core never installs what is behind the engine.
    CAIRN_ASSERT(name != engine_name_);
    incoming_.reset();
    CAIRN_TRY(files_.remove_all(path_of(name)));  // of an install that failed
    CAIRN_TRY(files_.rename(incoming_dir(), path_of(name)));
    CAIRN_TRY(files_.sync_dir(snapshots_dir()));
    CAIRN_TRY(files_.sync_dir(dir_));
    // Before it is all this member has, it must have opened.
    CAIRN_TRY(auto engine, kind_.open(path_of(name)));
    CAIRN_TRY(check_engine(*engine, manifest, path_of(name)));
    CAIRN_TRY(write_installed(manifest));
    former_.push_back({path_of(engine_name_), engine_});
    engine_ = std::move(engine);
    engine_name_ = name;
    installed_ = snapshot;
    return engine_;
}

// From the rename on, the new engine is the member's.
Result<void> SnapshotStore::Impl::write_installed(const SnapshotManifest& manifest) {
    const std::string path = path_of(kInstalledName);
    const std::string fresh = path + ".tmp";
    CAIRN_TRY(const bool stale, files_.exists(fresh));
    if (stale) {
        CAIRN_TRY(files_.remove(fresh));
    }
    CAIRN_TRY(auto file, files_.open(fresh, OpenMode::kCreate));
    CAIRN_TRY(file->write_at(0, encode_manifest(manifest)));
    CAIRN_TRY(file->sync());
    CAIRN_TRY(files_.rename(fresh, path));
    return files_.sync_dir(dir_);
}

Result<void> SnapshotStore::Impl::tidy() {
    CAIRN_TRY(remove_unused(1));
    for (auto it = former_.begin(); it != former_.end();) {
        if (!it->engine.expired()) {
            ++it;
            continue;
        }
        CAIRN_TRY(files_.remove_all(it->dir));
        it = former_.erase(it);
    }
    return ok();
}

// ---- the face

SnapshotStore::SnapshotStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SnapshotStore::~SnapshotStore() = default;

Result<SnapshotStore::Opened> SnapshotStore::open(FileSystem& files, EngineKind& kind,
                                                  std::string data_dir,
                                                  SnapshotStoreOptions options) {
    auto impl = std::make_unique<Impl>(files, kind, std::move(data_dir), options);
    CAIRN_TRY(impl->open());
    Opened opened;
    opened.engine = impl->engine();
    opened.installed = impl->installed();
    opened.store = std::unique_ptr<SnapshotStore>(new SnapshotStore(std::move(impl)));
    return opened;
}

Result<std::shared_ptr<const BuiltSnapshot>> SnapshotStore::build(Index at_least) {
    while (true) {
        CAIRN_TRY(auto built, build_step(at_least, kWhole));
        if (built != nullptr) {
            return built;
        }
    }
}
Result<std::shared_ptr<const BuiltSnapshot>> SnapshotStore::build_step(Index at_least,
                                                                       std::uint64_t bytes_max,
                                                                       SnapshotUse use) {
    return impl_->build_step(at_least, bytes_max, use);
}
Result<void> SnapshotStore::drop_built() { return impl_->drop_built(); }
Result<SnapshotPlace> SnapshotStore::receive(SnapshotManifest manifest) {
    return impl_->receive(std::move(manifest));
}
Result<SnapshotPlace> SnapshotStore::write(SnapshotPlace place, ByteView piece) {
    return impl_->write(place, piece);
}
std::optional<SnapshotPlace> SnapshotStore::received_to() const { return impl_->received_to(); }
Result<raft::SnapshotMeta> SnapshotStore::finish() {
    CAIRN_TRY(auto meta, finish_step(kWhole));
    CAIRN_ASSERT(meta.has_value());
    return *std::move(meta);
}
Result<std::optional<raft::SnapshotMeta>> SnapshotStore::finish_step(std::uint64_t bytes_max) {
    return impl_->finish_step(bytes_max);
}
Result<void> SnapshotStore::drop_received() { return impl_->drop_received(); }
Result<std::shared_ptr<KvEngine>> SnapshotStore::install(const raft::SnapshotMeta& snapshot) {
    return impl_->install(snapshot);
}
Result<void> SnapshotStore::tidy() { return impl_->tidy(); }

Result<std::optional<raft::PersistBatch>> follow_install(
    const std::optional<raft::SnapshotMeta>& installed, raft::EntryId applied,
    raft::Recovered& recovered) {
    if (!installed) {
        return std::optional<raft::PersistBatch>();
    }
    const raft::EntryId last = installed->last;
    if (recovered.floor.last.index >= last.index) {
        return std::optional<raft::PersistBatch>();
    }
    // Nothing is applied above a snapshot before the log begins anew at it.
    if (applied != last) {
        return Error(Errc::kCorrupt,
                     "the engine began as a snapshot that the log knows nothing of, and went on: "
                     "they are not of one member, or one of them is an old copy");
    }
    raft::PersistBatch batch;
    CAIRN_PROBE("store.log_follows_install");
    batch.floor = *installed;
    batch.restart = true;
    // Who has voted in a term has said so durably before: none was cast in a later one.
    if (recovered.hard_state.term < last.term) {
        recovered.hard_state.term = last.term;
        recovered.hard_state.vote = {};
    }
    recovered.hard_state.commit = std::max(recovered.hard_state.commit, last.index);
    batch.hard_state = recovered.hard_state;
    recovered.floor = *installed;
    recovered.entries.clear();
    return std::optional(std::move(batch));
}

Result<void> check_engine(const KvEngine& engine, const SnapshotManifest& manifest,
                          const std::string& path) {
    CAIRN_TRY(const AppliedState state, read_applied_state(engine));
    if (state.applied != manifest.meta.last || state.conf != manifest.meta.conf ||
        state.revision != manifest.revision) {
        return Error(Errc::kCorrupt, path + ": the snapshot does not hold what its manifest says");
    }
    return ok();
}

}  // namespace cairn::storage
