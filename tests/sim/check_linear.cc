#include "sim/check_linear.h"

#include <algorithm>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "proto/etcd/rpc_kv.pb.h"
#include "sim/model.h"
#include "storage/command.h"

namespace cairn::sim {
namespace {

// A place in the order of everything: 2r for the write that made revision r, 2r + 1 for whatever
// else saw it. None: without a place (not answered, refused before it ran).
using Position = std::optional<std::int64_t>;

Position position(std::int64_t revision, bool mutated) { return revision * 2 + (mutated ? 0 : 1); }

class Checker {
  public:
    Checker(std::span<const HistoryOp> history, std::span<const LoggedCommand> log)
        : history_(history), log_(log), positions_(history.size()) {}

    std::optional<std::string> run() {
        for (std::size_t at = 0; at < history_.size(); ++at) {
            if (history_[at].kind == OpKind::kWrite) {
                by_tag_[history_[at].tag] = at;
            }
        }
        replay();
        for (std::size_t at = 0; at < history_.size() && !wrong_; ++at) {
            check_answer(at);
        }
        check_real_time();
        return wrong_;
    }

  private:
    void fail(std::string what) {
        if (!wrong_) {
            wrong_ = std::move(what);
        }
    }
    void replay();
    void check_logged(std::size_t at, const Model::Outcome& expected);
    void check_answer(std::size_t at);
    void check_read(std::size_t at);
    void check_read_txn(const HistoryOp& op);
    void check_refused_read(const HistoryOp& op, std::int64_t wanted);
    void check_not_compacted(const HistoryOp& op, std::int64_t wanted);
    void check_real_time();

    // One that took effect.
    struct Compaction {
        std::int64_t revision{};   // of the store, then
        std::int64_t compacted{};  // up to where
        std::size_t op{};
    };

    std::span<const HistoryOp> history_;
    std::span<const LoggedCommand> log_;
    Model model_;
    std::map<std::uint64_t, std::size_t> by_tag_;
    std::vector<Position> positions_;
    std::vector<Compaction> compactions_;
    std::vector<bool> logged_ = std::vector<bool>(history_.size());
    std::optional<std::string> wrong_;
};

void Checker::replay() {
    for (const LoggedCommand& command : log_) {
        const Model::Outcome expected = model_.apply(command.kind, command.request.view());
        const auto place = by_tag_.find(command.tag);
        if (place == by_tag_.end()) {
            return fail(fmt::format("the log has a command {} that nobody invoked", command.tag));
        }
        if (command.kind == command::COMPACT && !expected.error) {
            compactions_.push_back(Compaction{.revision = expected.revision,
                                              .compacted = model_.compacted(),
                                              .op = place->second});
        }
        check_logged(place->second, expected);
        if (wrong_) {
            return;
        }
    }
}

void Checker::check_logged(std::size_t at, const Model::Outcome& expected) {
    const HistoryOp& op = history_[at];
    if (logged_[at]) {
        return fail(fmt::format("write {} took effect twice", op.tag));
    }
    logged_[at] = true;
    positions_[at] = position(expected.revision, expected.mutated);
    if (op.outcome == OpOutcome::kNotApplied) {
        return fail(fmt::format("write {} took effect after NotApplied was answered", op.tag));
    }
    if (op.outcome != OpOutcome::kDone) {
        return;
    }
    // Answers about members carry no revision.
    const bool about_members = storage::is_member_change(op.command);
    const std::int64_t revision = about_members ? 0 : expected.revision;
    if (op.error != expected.error || op.revision != revision) {
        return fail(fmt::format("write {} answered error {} at revision {}, expected {} at {}",
                                op.tag, op.error ? errc_name(*op.error) : "none", op.revision,
                                expected.error ? errc_name(*expected.error) : "none", revision));
    }
    if (!op.error && !about_members && op.body != expected.body &&
        Model::canonical(op.command, op.body) != expected.body) {
        fail(fmt::format("write {} at revision {} answered another body than the model", op.tag,
                         op.revision));
    }
}

void Checker::check_answer(std::size_t at) {
    const HistoryOp& op = history_[at];
    if (op.outcome != OpOutcome::kDone || op.kind == OpKind::kLook) {
        return;
    }
    if (op.kind != OpKind::kWrite) {
        return check_read(at);
    }
    if (!logged_[at]) {
        fail(fmt::format("acknowledged write {} is lost", op.tag));
    }
}

void Checker::check_read(std::size_t at) {
    const HistoryOp& op = history_[at];
    if (op.revision < 1 || op.revision > model_.revision()) {
        return fail(fmt::format("read {} at revision {} that never was", op.tag, op.revision));
    }
    if (op.kind == OpKind::kLinearRead) {
        positions_[at] = position(op.revision, false);
    }
    if (op.command == command::TXN) {
        return check_read_txn(op);
    }
    etcdserverpb::RangeRequest request;
    request.ParseFromString(op.request);
    if (op.error) {
        return check_refused_read(op, request.revision());
    }
    if (request.revision() > op.revision) {
        return fail(fmt::format("read {} saw a future revision", op.tag));
    }
    check_not_compacted(op, request.revision());
    if (Model::canonical_range(op.body) != model_.range(request, op.revision).SerializeAsString()) {
        return fail(fmt::format("read {} at revision {} did not see the state of that revision",
                                op.tag, op.revision));
    }
}

// Its Ranges ask for no revision, so that nothing may be refused.
void Checker::check_read_txn(const HistoryOp& op) {
    etcdserverpb::TxnRequest request;
    request.ParseFromString(op.request);
    if (op.error) {
        return fail(fmt::format("read {} failed at revision {} with {}", op.tag, op.revision,
                                errc_name(*op.error)));
    }
    if (Model::canonical(command::TXN, op.body) !=
        model_.read_txn(request, op.revision).SerializeAsString()) {
        fail(fmt::format("read {} at revision {} did not see the state of that revision", op.tag,
                         op.revision));
    }
}

// A revision is refused when the store that was asked has not got there, or has compacted it: by a
// compaction that can have been in effect.
void Checker::check_refused_read(const HistoryOp& op, std::int64_t wanted) {
    const bool compacted =
        std::any_of(compactions_.begin(), compactions_.end(), [&](const Compaction& compaction) {
            return compaction.compacted > wanted && compaction.revision <= op.revision &&
                   history_[compaction.op].invoked < op.returned;
        });
    const bool fair = (*op.error == Errc::kCompacted && wanted > 0 && compacted) ||
                      (*op.error == Errc::kFutureRev && wanted > op.revision);
    if (!fair) {
        fail(fmt::format("read {} of revision {} failed at revision {} with {}", op.tag, wanted,
                         op.revision, errc_name(*op.error)));
    }
}

// And is not answered once a compaction is in effect: in the past of what the read saw, or, for a
// linearizable one, in the past of its call.
void Checker::check_not_compacted(const HistoryOp& op, std::int64_t wanted) {
    for (const Compaction& compaction : compactions_) {
        const HistoryOp& call = history_[compaction.op];
        const bool before = op.kind == OpKind::kLinearRead && call.outcome == OpOutcome::kDone &&
                            call.returned < op.invoked;
        if (wanted > 0 && compaction.compacted > wanted &&
            (compaction.revision < op.revision || before)) {
            return fail(fmt::format("read {} saw revision {} at {}, compacted up to {} before",
                                    op.tag, wanted, op.revision, compaction.compacted));
        }
    }
}

// One sweep over time: who has returned so far sets the floor for whoever is invoked next.
void Checker::check_real_time() {
    struct Moment {
        Time time{};
        bool returns = false;  // invocations first: at the same instant two ops are concurrent
        std::size_t op{};
    };
    std::vector<Moment> moments;
    for (std::size_t at = 0; at < history_.size(); ++at) {
        if (!positions_[at]) {
            continue;
        }
        moments.push_back(Moment{.time = history_[at].invoked, .returns = false, .op = at});
        if (history_[at].outcome == OpOutcome::kDone) {
            moments.push_back(Moment{.time = history_[at].returned, .returns = true, .op = at});
        }
    }
    std::stable_sort(moments.begin(), moments.end(), [](const Moment& a, const Moment& b) {
        return a.time != b.time ? a.time < b.time : !a.returns && b.returns;
    });
    std::int64_t floor = 0;
    std::uint64_t floor_tag = 0;
    for (const Moment& moment : moments) {
        const std::int64_t place = *positions_[moment.op];
        const HistoryOp& op = history_[moment.op];
        if (!moment.returns && (place < floor || (place == floor && place % 2 == 0))) {
            return fail(fmt::format(
                "{} {} stands at {}{}, but {} had returned from {}{} before it was invoked",
                op.kind == OpKind::kWrite ? "write" : "read", op.tag, place / 2,
                place % 2 == 0 ? "" : "+", floor_tag, floor / 2, floor % 2 == 0 ? "" : "+"));
        }
        if (moment.returns && place > floor) {
            floor = place;
            floor_tag = op.tag;
        }
    }
}

}  // namespace

std::optional<std::string> check_linear(std::span<const HistoryOp> history,
                                        std::span<const LoggedCommand> log) {
    return Checker(history, log).run();
}

}  // namespace cairn::sim
