// What a power failure leaves of a SimFs.

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "tests/sim_fs/sim_fs.h"
#include "tests/sim_fs/sim_node.h"

namespace cairn::storage {
namespace {

bool touches(const SimChange& change, std::uint64_t begin) {
    return !change.resize && change.offset < begin + kSimSectorBytes &&
           change.offset + change.bytes.size() > begin;
}

// Does to the sector at `begin`, of full length, what the change does to the file.
void apply_to_sector(const SimChange& change, std::uint64_t begin, std::string& sector) {
    if (change.resize) {
        const std::uint64_t keep = change.offset > begin ? change.offset - begin : 0;
        if (keep < sector.size()) {
            std::fill(sector.begin() + static_cast<std::ptrdiff_t>(keep), sector.end(), '\0');
        }
        return;
    }
    const std::uint64_t from = std::max(change.offset, begin);
    const std::uint64_t to = std::min(change.offset + change.bytes.size(), begin + sector.size());
    if (from < to) {
        std::memcpy(sector.data() + (from - begin), change.bytes.data() + (from - change.offset),
                    to - from);
    }
}

// Decides and computes what is left of one file.
class FileCrash {
  public:
    FileCrash(const std::string& path, const std::string& durable,
              const std::vector<SimChange>& changes)
        : path_(path), durable_(durable), changes_(changes) {}

    std::string survive(Prng& prng, const SimCrash& how) {
        std::string content = base(prng, how);
        for (const std::uint64_t sector : touched()) {
            const std::size_t versions = count_versions(sector);
            const std::size_t kept = choose(prng, how, sector, versions);
            CAIRN_ASSERT(kept <= versions);
            const std::uint64_t begin = sector * kSimSectorBytes;
            if (kept > 0 && begin < content.size()) {
                const std::string bytes = version(sector, kept);
                std::memcpy(content.data() + begin, bytes.data(),
                            std::min<std::uint64_t>(bytes.size(), content.size() - begin));
            }
        }
        return content;
    }

  private:
    // The file with the length that survives, and none of the writes.
    std::string base(Prng& prng, const SimCrash& how) const {
        std::size_t kept = changes_.size();
        if (!how.choose_sector && how.writes == SimWriteLoss::kAll) {
            kept = 0;
        } else if (!how.choose_sector && how.writes == SimWriteLoss::kSubset) {
            kept = prng.below(changes_.size() + 1);
        }
        std::string content = durable_;
        for (std::size_t i = 0; i < kept; ++i) {
            const SimChange& change = changes_[i];
            const std::uint64_t end = change.offset + change.bytes.size();
            if (change.resize || end > content.size()) {
                content.resize(end, '\0');
            }
        }
        return content;
    }

    [[nodiscard]] std::vector<std::uint64_t> touched() const {
        std::vector<std::uint64_t> sectors;
        for (const SimChange& change : changes_) {
            const std::uint64_t end = change.offset + change.bytes.size();
            for (std::uint64_t sector = change.offset / kSimSectorBytes;
                 !change.resize && sector * kSimSectorBytes < end; ++sector) {
                sectors.push_back(sector);
            }
        }
        std::sort(sectors.begin(), sectors.end());
        sectors.erase(std::unique(sectors.begin(), sectors.end()), sectors.end());
        return sectors;
    }

    [[nodiscard]] std::size_t count_versions(std::uint64_t sector) const {
        return static_cast<std::size_t>(std::count_if(
            changes_.begin(), changes_.end(),
            [&](const SimChange& change) { return touches(change, sector * kSimSectorBytes); }));
    }

    [[nodiscard]] std::size_t choose(Prng& prng, const SimCrash& how, std::uint64_t sector,
                                     std::size_t versions) const {
        if (how.choose_sector) {
            return how.choose_sector(path_, sector, versions);
        }
        switch (how.writes) {
            case SimWriteLoss::kAll: return 0;
            case SimWriteLoss::kNone: return versions;
            case SimWriteLoss::kSubset: return prng.below(versions + 1);
        }
        return 0;
    }

    // The sector after the first `count` writes that touch it.
    [[nodiscard]] std::string version(std::uint64_t sector, std::size_t count) const {
        const std::uint64_t begin = sector * kSimSectorBytes;
        std::string bytes(kSimSectorBytes, '\0');
        if (begin < durable_.size()) {
            std::memcpy(bytes.data(), durable_.data() + begin,
                        std::min<std::uint64_t>(bytes.size(), durable_.size() - begin));
        }
        for (auto change = changes_.begin(); count > 0; ++change) {
            apply_to_sector(*change, begin, bytes);
            count -= touches(*change, begin) ? 1U : 0U;
        }
        return bytes;
    }

    const std::string& path_;
    const std::string& durable_;
    const std::vector<SimChange>& changes_;
};

}  // namespace

void SimFs::forget_handles() {
    ++boot_;
    locked_.clear();
    halted_ = false;
    crash_at_ = 0;
    failures_.clear();
}

void SimFs::kill_process() { forget_handles(); }

void SimFs::crash_dirs(Prng& prng, SimDirLoss loss) {
    // Directories in the order in which they were first changed: never by address.
    std::vector<std::pair<NodePtr, std::size_t>> budgets;
    const auto group_of = [](const DirChange& change) {
        return change.from_dir != nullptr ? change.from_dir : change.to_dir;
    };
    const auto budget_of = [&](const NodePtr& dir) {
        return std::find_if(budgets.begin(), budgets.end(),
                            [&](const auto& budget) { return budget.first == dir; });
    };
    for (const DirChange& change : dir_changes_) {
        if (const auto found = budget_of(group_of(change)); found != budgets.end()) {
            ++found->second;
        } else {
            budgets.emplace_back(group_of(change), 1);
        }
    }
    for (auto& [dir, count] : budgets) {
        count = loss == SimDirLoss::kPrefix ? prng.below(count + 1) : count;
    }
    for (const DirChange& change : dir_changes_) {
        auto& budget = budget_of(group_of(change))->second;
        const bool kept = loss == SimDirLoss::kNone ||
                          (loss == SimDirLoss::kPrefix && budget > 0) ||
                          (loss == SimDirLoss::kSubset && prng.chance(1, 2));
        if (kept) {
            carry_out(change, View::kDurable);
        }
        budget -= budget > 0 ? 1U : 0U;
    }
    dir_changes_.clear();
}

void SimFs::crash(Prng& prng, const SimCrash& how) {
    forget_handles();
    crash_dirs(prng, how.dirs);
    std::vector<std::pair<std::string, NodePtr>> open{{"", root_}};
    while (!open.empty()) {
        const auto [path, node] = std::move(open.back());
        open.pop_back();
        if (!node->is_dir) {
            node->durable = FileCrash(path, node->durable, node->changes).survive(prng, how);
            node->current = node->durable;
            node->changes.clear();
            continue;
        }
        node->names = node->durable_names;
        for (const auto& [name, child] : node->names) {
            open.emplace_back(path + "/" + name, child);
        }
    }
}

}  // namespace cairn::storage
