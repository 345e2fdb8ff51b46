#include "process/rebuild_log.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>

namespace cairn::process {
namespace {

using etcdserverpb::RangeResponse;
using sim::HistoryOp;
using sim::OpKind;
using sim::OpOutcome;

template <class Message>
Message parse(const std::string& bytes) {
    Message message;
    message.ParseFromString(bytes);
    return message;
}

// What the answer says, not what was true.
bool says_changed(const HistoryOp& op) {
    if (op.command == command::PUT) {
        return true;
    }
    if (op.command == command::DELETE_RANGE) {
        return parse<etcdserverpb::DeleteRangeResponse>(op.body).deleted() > 0;
    }
    const auto response = parse<etcdserverpb::TxnResponse>(op.body);
    return std::any_of(response.responses().begin(), response.responses().end(),
                       [](const auto& it) {
                           return it.has_response_put() || it.response_delete_range().deleted() > 0;
                       });
}

std::set<std::string> keys_of(const RangeResponse& state) {
    std::set<std::string> keys;
    for (const auto& kv : state.kvs()) {
        keys.insert(kv.key());
    }
    return keys;
}

class Rebuilder {
  public:
    Rebuilder(std::span<const HistoryOp> history, std::span<const RangeResponse> states);
    RebuiltLog run();

  private:
    const HistoryOp* writer_of(std::int64_t revision);
    const HistoryOp* remover_of(std::int64_t revision);
    void append(const HistoryOp& op) {
        log_.commands.push_back({op.tag, op.command, Bytes::copy_of(op.request)});
    }
    const HistoryOp* unexplained(std::int64_t revision, std::string_view what) {
        log_.wrong = fmt::format("revision {}: {}", revision, what);
        return nullptr;
    }
    [[nodiscard]] const RangeResponse& state(std::int64_t revision) const {
        return states_[static_cast<std::size_t>(revision - 1)];
    }

    std::span<const RangeResponse> states_;
    std::map<std::uint64_t, const HistoryOp*> writes_;
    std::multimap<std::int64_t, const HistoryOp*> changed_nothing_;  // by the answer's revision
    std::map<std::int64_t, const HistoryOp*> removals_;              // acknowledged, likewise
    std::vector<const HistoryOp*> open_removals_;                    // by the time of invocation
    RebuiltLog log_;
};

Rebuilder::Rebuilder(std::span<const HistoryOp> history, std::span<const RangeResponse> states)
    : states_(states) {
    for (const auto& op : history) {
        if (op.kind != OpKind::kWrite) {
            continue;
        }
        writes_[op.tag] = &op;
        if (op.outcome == OpOutcome::kDone && !says_changed(op)) {
            changed_nothing_.emplace(op.revision, &op);
        } else if (op.outcome == OpOutcome::kDone && op.command == command::DELETE_RANGE) {
            removals_[op.revision] = &op;
        } else if (op.outcome == OpOutcome::kOpen && op.command == command::DELETE_RANGE) {
            open_removals_.push_back(&op);
        }
    }
    std::sort(open_removals_.begin(), open_removals_.end(),
              [](const HistoryOp* a, const HistoryOp* b) { return a->invoked < b->invoked; });
}

RebuiltLog Rebuilder::run() {
    const auto newest = static_cast<std::int64_t>(states_.size());
    for (std::int64_t revision = 1; revision <= newest; ++revision) {
        if (revision > 1) {
            const HistoryOp* writer = writer_of(revision);
            if (writer == nullptr) {
                break;
            }
            append(*writer);
        }
        const auto [begin, end] = changed_nothing_.equal_range(revision);
        std::for_each(begin, end, [&](const auto& item) { append(*item.second); });
    }
    return std::move(log_);
}

const HistoryOp* Rebuilder::writer_of(std::int64_t revision) {
    std::set<std::optional<std::uint64_t>> tags;
    for (const auto& kv : state(revision).kvs()) {
        if (kv.mod_revision() == revision) {
            tags.insert(tag_of(kv.value()));
        }
    }
    if (tags.empty()) {
        return remover_of(revision);
    }
    if (tags.size() > 1 || !tags.begin()->has_value()) {
        return unexplained(revision, "not the values of one write");
    }
    const auto found = writes_.find(**tags.begin());
    return found != writes_.end() ? found->second
                                  : unexplained(revision, "a value that nobody wrote");
}

// A removal leaves no tag. An acknowledged one knows its revision; of those without an answer the
// oldest of that key is taken: if any choice agrees with real time, that one does.
const HistoryOp* Rebuilder::remover_of(std::int64_t revision) {
    if (const auto found = removals_.find(revision); found != removals_.end()) {
        return found->second;
    }
    const auto kept = keys_of(state(revision));
    for (const auto& key : keys_of(state(revision - 1))) {
        if (kept.contains(key)) {
            continue;
        }
        const auto open =
            std::find_if(open_removals_.begin(), open_removals_.end(), [&](const HistoryOp* op) {
                return parse<etcdserverpb::DeleteRangeRequest>(op->request).key() == key;
            });
        if (open == open_removals_.end()) {
            return unexplained(revision, "nobody removed " + key);
        }
        const HistoryOp* op = *open;
        open_removals_.erase(open);
        return op;
    }
    return unexplained(revision, "nothing changed");
}

}  // namespace

std::string tagged_value(std::uint64_t tag, std::string_view padding) {
    return fmt::format("{};{}", tag, padding);
}

std::optional<std::uint64_t> tag_of(std::string_view value) {
    std::uint64_t tag = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), tag);
    if (error != std::errc() || end == value.data() + value.size() || *end != ';') {
        return std::nullopt;
    }
    return tag;
}

RebuiltLog rebuild_log(std::span<const HistoryOp> history, std::span<const RangeResponse> states) {
    return Rebuilder(history, states).run();
}

}  // namespace cairn::process
