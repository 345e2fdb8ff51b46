#include "storage/state_machine.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include <google/protobuf/io/coded_stream.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "proto/cairn/command.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "raft/conf_change.h"
#include "storage/alarm_store.h"
#include "storage/command.h"
#include "storage/conf_codec.h"
#include "storage/member_store.h"
#include "storage/mvcc/garbage.h"
#include "storage/mvcc/key_counts.h"
#include "storage/mvcc/overlay.h"
#include "storage/mvcc/txn_eval.h"
#include "storage/mvcc/write_txn.h"
#include "storage/schema.h"

namespace cairn::storage {
namespace {

// A store that was never compacted: below every revision anybody can compact at (etcd has -1, too).
constexpr std::int64_t kNeverCompacted = -1;
constexpr std::int64_t kFirstRevision = 1;

// Nested messages a request may have: what server/api lets in (128 levels of Txn take two each), so
// that no command in the log is too deep to be applied. Protobuf's own limit is 100.
constexpr int kMessageDepthMax = 300;

// Errors up to here are the engine's or the format's: the member stops. All others are what a
// command came to.
constexpr auto kLastFinalError = Errc::kInternal;

bool is_final(Errc code) { return code <= kLastFinalError; }

// What the replicated part of the store is at, besides the keys.
struct Marks {
    raft::EntryId applied;
    // In effect after `applied`; shared, since every apply copies the marks.
    std::shared_ptr<const raft::ConfState> conf = std::make_shared<raft::ConfState>();
    std::int64_t revision = kFirstRevision;
    std::int64_t compacted = kNeverCompacted;
    bool nospace = false;
    bool corrupt = false;

    [[nodiscard]] mvcc::ReadBounds bounds() const {
        return {revision, std::max<std::int64_t>(compacted, 0)};
    }
};

Result<void> load_alarms(const EngineReader& reader, Marks& marks) {
    CAIRN_TRY(const auto alarms, list_alarms(reader));
    const auto raised = [&alarms](etcdserverpb::AlarmType type) {
        return std::any_of(alarms.begin(), alarms.end(),
                           [type](const auto& alarm) { return alarm.alarm() == type; });
    };
    marks.nospace = raised(etcdserverpb::NOSPACE);
    marks.corrupt = raised(etcdserverpb::CORRUPT);
    return ok();
}

Result<Marks> load_marks(const EngineReader& reader, const raft::ConfState& old_conf) {
    Marks marks;
    CAIRN_TRY(AppliedState state, read_applied_state(reader));
    marks.applied = state.applied;
    if (!state.conf && marks.applied.index && old_conf.voters.empty()) {
        return Error(Errc::kCorrupt, "engine: neither it nor the log says its configuration");
    }
    marks.conf = std::make_shared<raft::ConfState>(state.conf ? *std::move(state.conf) : old_conf);
    marks.revision = state.revision;
    CAIRN_TRY(const auto compacted, reader.get(ColumnFamily::kMeta, schema::kMetaCompacted));
    if (compacted) {
        CAIRN_TRY(marks.compacted, schema::decode_i64(*compacted));
    }
    CAIRN_TRY(load_alarms(reader, marks));
    return marks;
}

Result<Index> flushed_of(const KvEngine& engine) {
    CAIRN_TRY(const auto bytes, engine.get_flushed(schema::kMetaApplied));
    if (!bytes) {
        return Index{};
    }
    CAIRN_TRY(const raft::EntryId applied, schema::decode_applied(*bytes));
    return applied.index;
}

void put_meta(mvcc::Overlay& overlay, ByteView key, std::string value) {
    overlay.put(ColumnFamily::kMeta, std::string(key), std::move(value));
}

// One apply call: works on its own marks and overlay, so that nothing is half done on an error.
class ApplyRun {
  public:
    ApplyRun(const EngineReader& reader, const Marks& marks, const StateMachineOptions& options)
        : overlay_(reader), marks_(marks), options_(options) {}

    Result<void> apply(const raft::Entry& entry) {
        CAIRN_ASSERT(entry.id.index == marks_.applied.index + 1);
        CAIRN_ASSERT(entry.id.term >= marks_.applied.term);
        if (entry.kind == raft::EntryKind::kCommand) {
            CAIRN_TRY(apply_command(entry.payload, CommandPlace::kCommandEntry));
        } else if (entry.kind == raft::EntryKind::kConfig) {
            CAIRN_TRY(apply_config(entry.payload));
        } else if (entry.kind != raft::EntryKind::kNoop && !CAIRN_MUTANT(unknown_entry_skipped)) {
            return Error(
                Errc::kUnsupportedVersion,
                "entry of unknown kind " + std::to_string(static_cast<unsigned>(entry.kind)));
        }
        marks_.applied = entry.id;
        return ok();
    }

    // The batch to write; afterwards marks() and take_output() hold.
    const WriteBatch& finish(const Marks& before) {
        put_meta(overlay_, schema::kMetaApplied,
                 schema::encode_applied(CAIRN_MUTANT(applied_index_lags) ? before.applied
                                                                         : marks_.applied));
        if (marks_.conf != before.conf) {
            put_meta(overlay_, schema::kMetaConf, encode_conf(*marks_.conf));
        }
        if (marks_.revision != before.revision) {
            put_meta(overlay_, schema::kMetaRevision, schema::encode_i64(marks_.revision));
        }
        if (marks_.compacted != before.compacted && !CAIRN_MUTANT(compaction_forgotten)) {
            put_meta(overlay_, schema::kMetaCompacted, schema::encode_i64(marks_.compacted));
        }
        output_.applied = marks_.applied;
        output_.revision = marks_.revision;
        output_.compacted = marks_.bounds().compacted;
        return overlay_.batch();
    }
    [[nodiscard]] const Marks& marks() const { return marks_; }
    Result<ApplyOutput> take_output() {
        if (members_changed_) {
            CAIRN_TRY(output_.members, load_membership(overlay_));
        }
        return std::move(output_);
    }

  private:
    enum class CommandPlace : std::uint8_t { kCommandEntry, kConfigEntry };

    Result<void> apply_config(const Bytes& payload) {
        CAIRN_TRY(const raft::ConfChange change, raft::decode_conf_change(payload));
        members_changed_ = true;
        // The core has looked at it before it was committed.
        CAIRN_TRY(raft::ConfState conf, raft::apply_conf_change(*marks_.conf, change));
        marks_.conf = std::make_shared<raft::ConfState>(std::move(conf));
        switch (change.kind) {
            case raft::ConfChangeKind::kBootstrapVoter:
                return apply_bootstrap_member(overlay_, change);
            case raft::ConfChangeKind::kLeaveJoint: return ok();
            case raft::ConfChangeKind::kAddVoter:
            case raft::ConfChangeKind::kAddLearner:
            case raft::ConfChangeKind::kRemove:
            case raft::ConfChangeKind::kUpdate: break;
        }
        return apply_command(change.context, CommandPlace::kConfigEntry);
    }

    Result<void> apply_command(const Bytes& payload, CommandPlace place) {
        CAIRN_TRY(const Command command, decode_command(payload));
        const std::size_t savepoint = overlay_.savepoint();
        ApplyResult result;
        result.id = command.id;
        std::string body;
        const Result<void> done = execute(command, place, result, body);
        if (!done) {
            if (is_final(done.error().code)) {
                return done.error();
            }
            if (!CAIRN_MUTANT(failed_txn_half_done)) {
                overlay_.rollback(savepoint);
            }
            result.error = done.error().code;
            result.wait_collected = 0;
            body.clear();
        }
        // Answers about members carry none in etcd.
        result.revision = place == CommandPlace::kConfigEntry ? 0 : marks_.revision;
        if (command.id.member == options_.member &&
            (command.id.boot == options_.boot || CAIRN_MUTANT(answer_of_another_boot))) {
            result.body = Bytes::copy_of(body);
            output_.results.push_back(std::move(result));
        }
        return ok();
    }

    Result<void> execute(const Command& command, CommandPlace place, ApplyResult& result,
                         std::string& body) {
        const ByteView bytes = command.request.view();
        // A member changes with the configuration or not at all, and nothing else does.
        if (is_member_change(command.kind) != (place == CommandPlace::kConfigEntry)) {
            return Errc::kMalformedRequest;
        }
        switch (command.kind) {
            case command::PUT:
            case command::DELETE_RANGE:
            case command::TXN: return execute_write(command.kind, bytes, marks_.bounds(), body);
            case command::BOUNDED: return execute_bounded(bytes, body);
            case command::COMPACT: return execute_compact(bytes, result);
            case command::ALARM: return execute_alarm(bytes, body);
            case command::MEMBER_ATTRIBUTES: return execute_member_attributes(bytes);
            case command::MEMBER_ADD:
            case command::MEMBER_REMOVE:
            case command::MEMBER_UPDATE:
            case command::MEMBER_PROMOTE: return execute_member_change(command, body);
            case command::UNKNOWN:
            case command::CommandKind_INT_MIN_SENTINEL_DO_NOT_USE_:
            case command::CommandKind_INT_MAX_SENTINEL_DO_NOT_USE_: break;
        }
        CAIRN_UNREACHABLE();  // decode_command refuses what it does not know
    }

    // A request that does not parse was never let in by a member of this cluster. It is refused
    // alike everywhere rather than stopping every member for ever.
    template <class Request>
    static Result<Request> parse(ByteView bytes) {
        Request request;
        google::protobuf::io::CodedInputStream input(
            reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
        input.SetRecursionLimit(kMessageDepthMax);
        if (!request.ParseFromCodedStream(&input) || !input.ConsumedEntireMessage()) {
            return Errc::kMalformedRequest;
        }
        return request;
    }

    Result<void> execute_bounded(ByteView bytes, std::string& body) {
        CAIRN_TRY(const auto bounded, decode_bounded(bytes));
        mvcc::ReadBounds bounds = marks_.bounds();
        bounds.answer_bytes_max = bounded.answer_bytes_max;
        return execute_write(bounded.kind, bounded.request, bounds, body);
    }

    Result<void> execute_write(command::CommandKind kind, ByteView bytes,
                               const mvcc::ReadBounds& bounds, std::string& body) {
        mvcc::WriteTxn txn(overlay_, bounds);
        if (kind == command::PUT) {
            CAIRN_TRY(execute_put(bytes, txn, body));
        } else if (kind == command::DELETE_RANGE) {
            CAIRN_TRY(execute_delete_range(bytes, txn, body));
        } else {
            CAIRN_TRY(execute_txn(bytes, txn, body));
        }
        if (body.size() > bounds.answer_bytes_max) {
            return Errc::kMessageTooLarge;
        }
        if (auto events = txn.take_events()) {
            marks_.revision =
                CAIRN_MUTANT(revision_by_event)
                    ? marks_.revision + static_cast<std::int64_t>(events->events.size())
                    : events->revision;
            output_.events.push_back(std::move(events));
        }
        return ok();
    }

    Result<void> execute_put(ByteView bytes, mvcc::WriteTxn& txn, std::string& body) {
        CAIRN_TRY(const auto request, parse<etcdserverpb::PutRequest>(bytes));
        CAIRN_TRY(refuse_when_corrupt());
        if (marks_.nospace) {
            return Errc::kNoSpaceQuota;
        }
        return txn.put(request, body);
    }

    Result<void> execute_delete_range(ByteView bytes, mvcc::WriteTxn& txn, std::string& body) {
        CAIRN_TRY(const auto request, parse<etcdserverpb::DeleteRangeRequest>(bytes));
        CAIRN_TRY(refuse_when_corrupt());
        if (marks_.nospace && CAIRN_MUTANT(nospace_stops_deletes)) {
            return Errc::kNoSpaceQuota;
        }
        return txn.delete_range(request, body);
    }

    Result<void> execute_txn(ByteView bytes, mvcc::WriteTxn& txn, std::string& body) {
        CAIRN_TRY(const auto request, parse<etcdserverpb::TxnRequest>(bytes));
        CAIRN_TRY(refuse_when_corrupt());
        if (marks_.nospace && mvcc::contains_put(request)) {
            return Errc::kNoSpaceQuota;
        }
        return mvcc::run_txn(txn, request, body);
    }

    Result<void> execute_compact(ByteView bytes, ApplyResult& result) {
        CAIRN_TRY(const auto request, parse<etcdserverpb::CompactionRequest>(bytes));
        CAIRN_TRY(refuse_when_corrupt());
        if (request.revision() <= marks_.compacted) {
            return Errc::kCompacted;
        }
        if (request.revision() > marks_.revision) {
            return Errc::kFutureRev;
        }
        marks_.compacted = request.revision();
        if (request.physical()) {
            result.wait_collected = request.revision();
        }
        return ok();
    }

    Result<void> execute_alarm(ByteView bytes, std::string& body) {
        CAIRN_TRY(const auto request, parse<etcdserverpb::AlarmRequest>(bytes));
        etcdserverpb::AlarmResponse response;
        CAIRN_TRY(apply_alarm(overlay_, request, response));
        response.AppendToString(&body);
        return load_alarms(overlay_, marks_);
    }

    Result<void> execute_member_attributes(ByteView bytes) {
        CAIRN_TRY(const auto info, parse<command::MemberInfo>(bytes));
        CAIRN_TRY(apply_member_attributes(overlay_, info));
        members_changed_ = true;
        return ok();
    }

    Result<void> execute_member_change(const Command& command, std::string& body) {
        CAIRN_TRY(const auto info, parse<command::MemberInfo>(command.request.view()));
        return apply_member_change(overlay_, command.kind, info, body);
    }

    // etcd: under a CORRUPT alarm every write is DataLoss, reads go on.
    [[nodiscard]] Result<void> refuse_when_corrupt() const {
        if (marks_.corrupt) {
            return Errc::kCorruptCluster;
        }
        return ok();
    }

    mvcc::Overlay overlay_;
    Marks marks_;
    const StateMachineOptions& options_;
    ApplyOutput output_;
    bool members_changed_ = false;
};

}  // namespace

Result<AppliedState> read_applied_state(const EngineReader& reader) {
    CAIRN_TRY(schema::read_format(reader));
    AppliedState state;
    CAIRN_TRY(const auto applied, reader.get(ColumnFamily::kMeta, schema::kMetaApplied));
    if (applied) {
        CAIRN_TRY(state.applied, schema::decode_applied(*applied));
    }
    CAIRN_TRY(const auto conf, reader.get(ColumnFamily::kMeta, schema::kMetaConf));
    if (conf) {
        CAIRN_TRY(state.conf, decode_conf(*conf));
    }
    CAIRN_TRY(const auto revision, reader.get(ColumnFamily::kMeta, schema::kMetaRevision));
    if (revision) {
        CAIRN_TRY(state.revision, schema::decode_i64(*revision));
    }
    return state;
}

class StateMachine::Impl {
  public:
    explicit Impl(StateMachineOptions options) : options_(options) {}

    Result<void> replace(std::shared_ptr<KvEngine> engine, const raft::ConfState& old_conf) {
        CAIRN_TRY(const auto format, schema::read_format(*engine));
        CAIRN_TRY(marks_, load_marks(*engine, old_conf));
        if (format != schema::kFormatVersion) {
            WriteBatch batch;
            schema::stamp_format(batch);
            batch.put(ColumnFamily::kMeta, std::string(schema::kMetaConf),
                      encode_conf(*marks_.conf));
            CAIRN_TRY(engine->write(batch));
        }
        CAIRN_TRY(collector_, mvcc::Collector::open(*engine));
        CAIRN_TRY(members_, load_membership(*engine));
        CAIRN_TRY(counts_, mvcc::KeyCounts::open(
                               {engine->snapshot(), marks_.revision, marks_.bounds().compacted},
                               collector_->reached(), {}));
        {
            const std::lock_guard lock(mutex_);
            engine_.swap(engine);
        }
        publish({});
        return ok();
    }

    [[nodiscard]] const std::shared_ptr<const Membership>& members() const { return members_; }
    [[nodiscard]] const Marks& marks() const { return marks_; }
    [[nodiscard]] std::shared_ptr<KvEngine> engine() const {
        const std::lock_guard lock(mutex_);
        return engine_;
    }

    Result<ApplyOutput> apply(std::span<const raft::Entry> entries) {
        ApplyRun run(*engine_, marks_, options_);
        for (const raft::Entry& entry : entries) {
            CAIRN_TRY(run.apply(entry));
        }
        const WriteBatch& batch = run.finish(marks_);
        CAIRN_TRY(ApplyOutput output, run.take_output());
        CAIRN_TRY(engine_->write(batch));
        marks_ = run.marks();
        if (output.members != nullptr) {
            members_ = output.members;
        }
        publish(output.events);
        if (counts_->wants_record()) {
            CAIRN_TRY(record_counts());
        }
        return output;
    }

    [[nodiscard]] std::int64_t collected() const { return collector_->done(); }
    [[nodiscard]] bool has_garbage() const {
        return collector_->has_work(marks_.bounds().compacted);
    }

    Result<std::int64_t> collect_garbage(std::uint64_t budget) {
        if (has_garbage()) {
            const std::int64_t compacted = marks_.bounds().compacted;
            if (counts_->recorded_at() + 1 < compacted) {
                CAIRN_TRY(record_counts());  // it lives on what is removed now
            }
            CAIRN_TRY(collector_->step(*engine_, compacted, budget));
            // An idle member's view would otherwise hold on to what was just removed.
            publish({});
        }
        return collector_->done();
    }

    [[nodiscard]] std::shared_ptr<const mvcc::ReadView> view() const {
        const std::lock_guard lock(mutex_);
        return view_;
    }

  private:
    // After these changes.
    void publish(std::span<const std::shared_ptr<const mvcc::EventBatch>> changes) {
        const std::shared_ptr<const EngineReader> snapshot = engine_->snapshot();
        const mvcc::ReadBounds bounds = marks_.bounds();
        counts_->advance(changes, {snapshot, bounds.revision, bounds.compacted});
        auto view = std::make_shared<const mvcc::ReadView>(
            snapshot, marks_.applied, bounds.revision, bounds.compacted, counts_);
        const std::lock_guard lock(mutex_);
        view_.swap(view);
        // The old view (and its snapshot) goes after the lock.
    }

    Result<void> record_counts() {
        WriteBatch batch;
        batch.put(ColumnFamily::kMeta, std::string(schema::kMetaCounts), counts_->take_record());
        return engine_->write(batch);
    }

    StateMachineOptions options_;
    Marks marks_;
    std::shared_ptr<const Membership> members_;
    std::optional<mvcc::Collector> collector_;  // there since the first engine is
    std::shared_ptr<mvcc::KeyCounts> counts_;   // the views' of one engine
    mutable std::mutex mutex_;                  // guards what follows
    std::shared_ptr<KvEngine> engine_;          // the state thread, which sets it, reads it without
    std::shared_ptr<const mvcc::ReadView> view_;
};

StateMachine::StateMachine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StateMachine::~StateMachine() = default;

Result<std::unique_ptr<StateMachine>> StateMachine::open(std::shared_ptr<KvEngine> engine,
                                                         StateMachineOptions options,
                                                         const raft::ConfState& old_conf) {
    auto impl = std::make_unique<Impl>(options);
    CAIRN_TRY(impl->replace(std::move(engine), old_conf));
    return std::unique_ptr<StateMachine>(new StateMachine(std::move(impl)));
}

Result<void> StateMachine::replace(std::shared_ptr<KvEngine> engine) {
    return impl_->replace(std::move(engine), {});
}

AppliedState StateMachine::applied_state() const {
    const Marks& marks = impl_->marks();
    return {.applied = marks.applied,
            .conf = *marks.conf,
            .revision = marks.revision,
            .members = impl_->members()};
}

Result<Index> StateMachine::flushed_applied() const { return flushed_of(*impl_->engine()); }

Result<Index> StateMachine::flush() const {
    const std::shared_ptr<KvEngine> engine = impl_->engine();
    CAIRN_TRY(engine->flush());
    return flushed_of(*engine);
}

std::shared_ptr<KvEngine> StateMachine::engine() const { return impl_->engine(); }

Result<ApplyOutput> StateMachine::apply(std::span<const raft::Entry> entries) {
    CAIRN_ASSERT(!entries.empty());
    return impl_->apply(entries);
}

Result<std::int64_t> StateMachine::collect_garbage(std::uint64_t budget) {
    return impl_->collect_garbage(budget);
}

std::int64_t StateMachine::collected() const { return impl_->collected(); }
bool StateMachine::has_garbage() const { return impl_->has_garbage(); }

std::shared_ptr<const mvcc::ReadView> StateMachine::view() const { return impl_->view(); }

}  // namespace cairn::storage
