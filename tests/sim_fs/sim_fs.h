// A file system in memory that forgets, tears, fails and fills up on command, the same way each
// time it is told to.
// Owned by one test or simulated node; one thread.
// Never draws a random number of its own accord: crash() is given its generator.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "storage/file_system.h"

namespace cairn::storage {

enum class SimOpKind : std::uint8_t {
    kOpen,
    kRead,
    kWrite,
    kSync,
    kPreallocate,
    kTruncate,
    kSize,
    kList,
    kExists,
    kRename,
    kRemove,
    kMakeDirs,
    kSyncDir,
    kFreeBytes,
    kLock,
};

// One call of the seam, as the hook sees it before it happens.
struct SimOp {
    SimOpKind kind = SimOpKind::kOpen;
    std::uint64_t number{};  // from 1, through the whole life of the SimFs, crashes included
    const std::string& path;
    std::uint64_t offset{};  // read, write
    std::uint64_t bytes{};   // read, write, preallocate, truncate
};

// May fail the call by returning an error. A failed write leaves a prefix of the bytes behind, a
// failed sync drops what it should have saved; other calls have no effect when failed.
using SimHook = std::function<std::optional<Error>(const SimOp&)>;

// How many of the directory changes not yet synced a crash keeps.
enum class SimDirLoss : std::uint8_t {
    kAll,     // none survives
    kNone,    // all survive
    kPrefix,  // of each directory some first ones survive
    kSubset,  // any of them survive, each for itself
};

// How many of the writes not yet synced a crash keeps, for each sector of 512 bytes by itself.
enum class SimWriteLoss : std::uint8_t {
    kAll,
    kNone,
    kSubset,  // any of the sector's versions since the last sync, the synced one included
};

// For tests that enumerate: `versions` writes touched the sector since the last sync; the answer,
// 0 to `versions`, says how many of them took effect.
using SimSectorChoice =
    std::function<std::size_t(const std::string& path, std::uint64_t sector, std::size_t versions)>;

struct SimCrash {
    SimWriteLoss writes = SimWriteLoss::kSubset;
    SimDirLoss dirs = SimDirLoss::kSubset;
    SimSectorChoice choose_sector = nullptr;  // when set, instead of `writes`
};

// What a failed sync leaves in memory (Rebello et al., ATC 2020: file systems differ). The pages
// are clean in both cases: a second sync succeeds and saves nothing.
enum class SimFailedSync : std::uint8_t { kReadsOld, kReadsNew };

inline constexpr std::uint64_t kSimSectorBytes = 512;

class SimFs final : public FileSystem {
  public:
    SimFs();
    SimFs(const SimFs&) = delete;
    SimFs& operator=(const SimFs&) = delete;
    ~SimFs() override;

    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    Result<std::vector<std::string>> list(const std::string& dir) override;
    Result<bool> exists(const std::string& path) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<void> remove_all(const std::string& dir) override;
    Result<void> make_dirs(const std::string& dir) override;
    Result<void> sync_dir(const std::string& dir) override;
    Result<std::uint64_t> free_bytes(const std::string& dir) override;
    Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;

    // The power goes: what was not synced is lost as `how` says, open files and locks are dead,
    // crash_at and every fail_at are over. Directories and files that no name leads to are gone.
    void crash(Prng& prng, const SimCrash& how);
    // The process dies and the machine does not: open files and locks are dead, nothing is lost.
    void kill_process();

    // Calls so far, all kinds.
    [[nodiscard]] std::uint64_t ops() const { return ops_; }
    // The call with this number does not happen, and from it on every call fails with kIo until
    // crash() or kill_process(): a crash between two calls. 0: never.
    void crash_at(std::uint64_t number) { crash_at_ = number; }
    // True when the calls fail because crash_at was reached.
    [[nodiscard]] bool halted() const { return halted_; }
    // The call with this number fails with `code`, once, if crash() or kill_process() is not first.
    void fail_at(std::uint64_t number, Errc code);
    // How many calls have failed so.
    [[nodiscard]] std::uint64_t failures_met() const { return failures_met_; }
    // No call is to fail any more.
    void clear_failures() { failures_.clear(); }
    void set_failed_sync(SimFailedSync mode) { failed_sync_ = mode; }
    // Called before each call, after crash_at and fail_at had their say.
    void set_hook(SimHook hook) { hook_ = std::move(hook); }
    // Sum of the lengths of all files beyond which writes fail with kNoSpace.
    void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }
    [[nodiscard]] std::uint64_t bytes_used() const;
    // Whether a call ever failed for that.
    [[nodiscard]] bool was_full() const { return was_full_; }

    // Rot: one bit of the file's content changes, on disk and in memory. The file must exist and
    // be longer than `offset`.
    void flip_bit(const std::string& path, std::uint64_t offset, unsigned bit);
    // Replaces content on disk and in memory, for hand-made files. Creates a durable file when
    // missing, in a directory that must exist.
    void put_file(const std::string& path, ByteView content);
    // The content as readers see it now, without counting as a call; nothing when there is none.
    [[nodiscard]] std::optional<std::string> content(const std::string& path) const;
    // The content a crash that keeps nothing unsynced would leave under this name.
    [[nodiscard]] std::optional<std::string> durable_content(const std::string& path) const;

  private:
    friend class SimFile;
    friend class SimLock;
    struct Node;
    struct DirChange;
    using NodePtr = std::shared_ptr<Node>;
    enum class View : std::uint8_t { kCurrent, kDurable };

    Result<void> enter(SimOpKind kind, const std::string& path, std::uint64_t offset = 0,
                       std::uint64_t bytes = 0);
    [[nodiscard]] NodePtr find(const std::string& path, View view = View::kCurrent) const;
    Result<NodePtr> find_dir(const std::string& path) const;
    void record(DirChange change);
    static void carry_out(const DirChange& change, View view);
    void crash_dirs(Prng& prng, SimDirLoss loss);
    void forget_handles();

    Result<void> file_write(Node& node, const std::string& path, std::uint64_t offset,
                            ByteView bytes);
    Result<void> file_sync(Node& node, const std::string& path);
    Result<void> file_resize(Node& node, SimOpKind kind, const std::string& path,
                             std::uint64_t length);
    [[nodiscard]] bool fits(const Node& node, std::uint64_t length);

    NodePtr root_;
    std::vector<DirChange> dir_changes_;  // not yet synced, oldest first
    std::set<std::string> locked_;
    std::uint64_t boot_ = 1;  // handles of earlier boots are dead
    std::uint64_t ops_ = 0;
    std::uint64_t crash_at_ = 0;
    bool halted_ = false;
    std::map<std::uint64_t, Errc> failures_;
    std::uint64_t failures_met_ = 0;
    SimFailedSync failed_sync_ = SimFailedSync::kReadsOld;
    SimHook hook_;
    std::uint64_t capacity_ = UINT64_MAX;
    bool was_full_ = false;
};

}  // namespace cairn::storage
