#include "programs.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <span>

#include "catch.h"

#include "storage/command.h"
#include "storage/mvcc/record.h"

namespace cairn::storage::test {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::TxnRequest;

constexpr NodeId kMember{3};
constexpr std::uint64_t kBoot = 33;

// What the model says one command must come to.
struct Expected {
    std::optional<Errc> error;
    std::string body;
    std::int64_t revision{};
};

template <class Outcome>
Expected expect(const Outcome& outcome, const Model& model) {
    return {outcome.error, outcome.error ? "" : outcome.response.SerializeAsString(),
            model.revision()};
}

bool same_pair(const mvcc::KeyValue& kv, const mvccpb::KeyValue& expected) {
    return kv.key.view() == expected.key() && kv.value.view() == expected.value() &&
           kv.create_revision == expected.create_revision() &&
           kv.mod_revision == expected.mod_revision() && kv.version == expected.version() &&
           kv.lease == expected.lease();
}

}  // namespace

std::uint64_t seed_or(std::uint64_t fallback) {
    const char* given = std::getenv("CAIRN_SEED");
    return given == nullptr ? fallback : std::strtoull(given, nullptr, 0);
}

Program::Program(Host& host, std::uint64_t seed) : host_(host), prng_(seed) {
    open();
    auto twin = StateMachine::open(std::make_shared<MemEngine>(), {kMember, kBoot});
    REQUIRE(twin.has_value());
    twin_ = std::move(twin.value());
}

Program::~Program() = default;

void Program::open() {
    auto opened = StateMachine::open(host_.shared(), {kMember, kBoot});
    REQUIRE(opened.has_value());
    machine_ = std::move(opened.value());
}

void Program::run(int steps) {
    for (int i = 0; i < steps; ++i) {
        step();
    }
}

void Program::step() {
    const std::uint64_t dice = prng_.below(100);
    if (dice < 45) {
        apply_some();
    } else if (dice < 80) {
        read_some();
    } else if (dice < 85) {
        read_txn();
    } else if (dice < 95) {
        REQUIRE(machine_->collect_garbage(prng_.below(20)).has_value());
    } else if (dice < 98) {
        REQUIRE(host_.engine().flush().has_value());
        REQUIRE(machine_->flushed_applied().value() == Index{log_.size()});
    } else {
        crash_and_replay();
    }
}

std::string Program::key() {
    static const std::array<std::string, 14> kKeys = {"a",
                                                      std::string("a\0", 2),
                                                      std::string("a\0\0", 3),
                                                      std::string("a\0\1", 3),
                                                      "aa",
                                                      std::string("a\1", 2),
                                                      "a\xff",
                                                      "b",
                                                      "b/1",
                                                      "b/2",
                                                      std::string("\0", 1),
                                                      "\xff\xff",
                                                      "\xff",
                                                      std::string("\0\xff\0", 3)};
    return kKeys[prng_.below(kKeys.size())];
}

std::string Program::end_of(const std::string& key) {
    switch (prng_.below(5)) {
        case 0: return "";
        case 1: return std::string(1, '\0');
        case 2: return key + '\xff';
        default: return this->key();
    }
}

std::string Program::value() {
    const char fill = static_cast<char>('a' + prng_.below(3));
    switch (prng_.below(6)) {
        case 0: return "";
        case 1: return std::string(mvcc::kInlineValueBytesMax, fill);
        case 2: return std::string(mvcc::kInlineValueBytesMax + 1, fill);
        case 3: return std::string(1000 + prng_.below(5), fill);
        default: return std::string(1 + prng_.below(3), fill);
    }
}

std::int64_t Program::revision_around() {
    if (prng_.chance(1, 2)) {
        return 0;
    }
    const auto low = static_cast<std::uint64_t>(std::max<std::int64_t>(model_.compacted() - 1, 0));
    const auto high = static_cast<std::uint64_t>(model_.revision() + 2);
    return static_cast<std::int64_t>(prng_.between(low, high)) - (prng_.chance(1, 20) ? 3 : 0);
}

PutRequest Program::random_put() {
    PutRequest request;
    request.set_key(key());
    request.set_value(value());
    request.set_prev_kv(prng_.chance(1, 2));
    request.set_lease(prng_.chance(1, 20) ? 5 : 0);
    request.set_ignore_value(prng_.chance(1, 12));
    request.set_ignore_lease(prng_.chance(1, 12));
    return request;
}

DeleteRangeRequest Program::random_delete() {
    DeleteRangeRequest request;
    request.set_key(key());
    // Whole-store deletes are rare, or there would be nothing to look at.
    request.set_range_end(prng_.chance(1, 6) ? end_of(request.key()) : "");
    request.set_prev_kv(prng_.chance(1, 2));
    return request;
}

RangeRequest Program::random_range() {
    RangeRequest request;
    request.set_key(prng_.chance(1, 3) ? std::string(1, '\0') : key());
    request.set_range_end(end_of(request.key()));
    request.set_revision(revision_around());
    request.set_limit(prng_.chance(1, 2) ? 0 : static_cast<std::int64_t>(prng_.below(8)) - 1);
    request.set_sort_order(static_cast<RangeRequest::SortOrder>(prng_.below(3)));
    request.set_sort_target(static_cast<RangeRequest::SortTarget>(prng_.below(5)));
    request.set_keys_only(prng_.chance(1, 4));
    request.set_count_only(prng_.chance(1, 8));
    if (prng_.chance(1, 4)) {
        request.set_min_mod_revision(revision_around());
        request.set_max_mod_revision(revision_around());
    }
    if (prng_.chance(1, 4)) {
        request.set_min_create_revision(revision_around());
        request.set_max_create_revision(revision_around());
    }
    return request;
}

Compare Program::random_guard() {
    Compare guard;
    guard.set_key(key());
    guard.set_range_end(prng_.chance(1, 4) ? end_of(guard.key()) : "");
    guard.set_target(static_cast<Compare::CompareTarget>(prng_.below(6)));
    guard.set_result(static_cast<Compare::CompareResult>(prng_.below(5)));
    const auto operand = static_cast<std::int64_t>(
        prng_.below(prng_.chance(1, 2) ? 3 : static_cast<std::uint64_t>(model_.revision()) + 1));
    // Sometimes of another kind than the target, or missing.
    switch (prng_.below(6)) {
        case 0: guard.set_version(operand); break;
        case 1: guard.set_create_revision(operand); break;
        case 2: guard.set_mod_revision(operand); break;
        case 3: guard.set_lease(operand); break;
        case 4: guard.set_value(value()); break;
        default: break;
    }
    return guard;
}

TxnRequest Program::random_txn(int depth, bool reads_only) {
    TxnRequest request;
    for (std::uint64_t i = prng_.below(3); i > 0; --i) {
        *request.add_compare() = random_guard();
    }
    const auto fill = [&](const std::function<etcdserverpb::RequestOp*()>& add) {
        for (std::uint64_t i = prng_.below(4); i > 0; --i) {
            const std::uint64_t dice = prng_.below(10);
            if (depth > 0 && dice < 2) {
                *add()->mutable_request_txn() = random_txn(depth - 1, reads_only);
            } else if (reads_only || dice < 5) {
                *add()->mutable_request_range() = random_range();
            } else if (dice < 8) {
                *add()->mutable_request_put() = random_put();
            } else {
                *add()->mutable_request_delete_range() = random_delete();
            }
        }
    };
    fill([&] { return request.add_success(); });
    fill([&] { return request.add_failure(); });
    return request;
}

raft::Entry Program::make_entry(command::CommandKind kind,
                                const google::protobuf::MessageLite& request) {
    Command command;
    command.kind = kind;
    command.id = {kMember, kBoot, ++sequence_};
    command.decided_in = Term{1};
    command.request = Bytes::copy_of(request.SerializeAsString());
    log_.push_back(
        {{Term{1}, Index{log_.size() + 1}}, raft::EntryKind::kCommand, encode_command(command)});
    return log_.back();
}

void Program::apply_some() {
    std::vector<raft::Entry> entries;
    std::vector<Expected> expected;
    for (std::uint64_t i = 1 + prng_.below(6); i > 0; --i) {
        const std::uint64_t dice = prng_.below(20);
        if (dice < 9) {
            const PutRequest request = random_put();
            entries.push_back(make_entry(command::PUT, request));
            expected.push_back(expect(model_.put(request), model_));
        } else if (dice < 12) {
            const DeleteRangeRequest request = random_delete();
            entries.push_back(make_entry(command::DELETE_RANGE, request));
            expected.push_back(expect(model_.delete_range(request), model_));
        } else if (dice < 18) {
            const TxnRequest request = random_txn(2, false);
            entries.push_back(make_entry(command::TXN, request));
            expected.push_back(expect(model_.txn(request), model_));
        } else if (dice < 19) {
            etcdserverpb::CompactionRequest request;
            request.set_revision(revision_around());
            entries.push_back(make_entry(command::COMPACT, request));
            expected.push_back({model_.compact(request.revision()), "", model_.revision()});
        } else {
            log_.push_back({{Term{1}, Index{log_.size() + 1}}, raft::EntryKind::kNoop, {}});
            entries.push_back(log_.back());
        }
    }
    const auto output = machine_->apply(entries);
    REQUIRE(output.has_value());
    REQUIRE(twin_->apply(entries).has_value());
    REQUIRE(output.value().results.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const ApplyResult& result = output.value().results[i];
        REQUIRE(result.error == expected[i].error);
        REQUIRE(result.body.view() == expected[i].body);
        REQUIRE(result.revision == expected[i].revision);
    }
    REQUIRE(output.value().revision == model_.revision());
    REQUIRE(output.value().compacted == model_.compacted());
    check_events(output.value());
}

void Program::check_events(const ApplyOutput& output) const {
    for (const auto& batch : output.events) {
        const auto& changes = model_.changes().at(batch->revision);
        REQUIRE(batch->events.size() == changes.size());
        for (std::size_t i = 0; i < changes.size(); ++i) {
            const mvcc::Event& event = batch->events[i];
            REQUIRE((event.kind == mvcc::EventKind::kDelete) == changes[i].deleted);
            REQUIRE(same_pair(event.kv, changes[i].kv));
            REQUIRE(event.prev_kv.version == changes[i].prev.version());
            REQUIRE((event.prev_kv.version == 0 || same_pair(event.prev_kv, changes[i].prev)));
        }
    }
}

void Program::read_some() {
    const RangeRequest request = random_range();
    const auto expected = model_.range(request);
    std::string body;
    const auto done = machine_->view()->range(request, body);
    REQUIRE((done ? std::nullopt : std::optional<Errc>(done.error().code)) == expected.error);
    REQUIRE(body == (expected.error ? "" : expected.response.SerializeAsString()));
}

void Program::read_txn() {
    const TxnRequest request = random_txn(2, true);
    const auto expected = model_.txn(request);
    std::string body;
    const auto done = machine_->view()->read_txn(request, body);
    REQUIRE((done ? std::nullopt : std::optional<Errc>(done.error().code)) == expected.error);
    REQUIRE(body == (expected.error ? "" : expected.response.SerializeAsString()));
}

void Program::crash_and_replay() {
    machine_.reset();
    host_.crash();
    open();
    const std::uint64_t applied = machine_->applied_state().applied.index.value;
    REQUIRE(applied <= log_.size());
    REQUIRE(machine_->flushed_applied().value() == Index{applied});
    std::span<const raft::Entry> rest = std::span(log_).subspan(applied);
    while (!rest.empty()) {
        // Other batch boundaries than the first time.
        const std::size_t count = std::min<std::size_t>(rest.size(), 1 + prng_.below(9));
        REQUIRE(machine_->apply(rest.first(count)).has_value());
        rest = rest.subspan(count);
        if (prng_.chance(1, 4)) {
            REQUIRE(machine_->collect_garbage(prng_.below(10)).has_value());
        }
    }
    REQUIRE(machine_->view()->revision() == model_.revision());
    REQUIRE(machine_->view()->compacted() == model_.compacted());
}

std::uint64_t Program::count(ColumnFamily family) {
    std::uint64_t pairs = 0;
    auto it = host_.engine().iterate(family, {}, {});
    for (; it->valid(); it->next()) {
        ++pairs;
    }
    REQUIRE(it->status().has_value());
    return pairs;
}

void Program::check_collected() {
    while (machine_->has_garbage()) {
        REQUIRE(machine_->collect_garbage(1 + prng_.below(30)).has_value());
    }
    const std::int64_t compacted = model_.compacted();
    std::uint64_t revlog = 0;
    std::uint64_t history = 0;
    std::map<std::string, Model::Change> newest;
    std::map<std::string, Model::Change> newest_at_compacted;
    for (const auto& [revision, changes] : model_.changes()) {
        for (const Model::Change& change : changes) {
            revlog += revision >= compacted ? 1 : 0;
            // Everything above the compacted revision, and at it what was made right there.
            history += revision >= compacted ? 1 : 0;
            newest[change.kv.key()] = change;
            if (revision < compacted) {
                newest_at_compacted[change.kv.key()] = change;
            } else if (revision == compacted) {
                newest_at_compacted.erase(change.kv.key());
            }
        }
    }
    for (const auto& [key, change] : newest_at_compacted) {
        history += change.deleted ? 0U : 1U;
    }
    std::uint64_t keys = 0;
    std::uint64_t latest = 0;
    for (const auto& [key, change] : newest) {
        keys += !change.deleted || change.kv.mod_revision() >= compacted ? 1U : 0U;
        latest +=
            !change.deleted && change.kv.value().size() > mvcc::kInlineValueBytesMax ? 1U : 0U;
    }
    REQUIRE(count(ColumnFamily::kRevlog) == revlog);
    REQUIRE(count(ColumnFamily::kHistory) == history);
    REQUIRE(count(ColumnFamily::kKeys) == keys);
    REQUIRE(count(ColumnFamily::kLatest) == latest);
}

void Program::check_hashes() {
    const auto view = machine_->view();
    const auto twin = twin_->view();
    for (std::int64_t at = std::max<std::int64_t>(model_.compacted(), 1); at <= model_.revision();
         ++at) {
        const auto mine = view->hash_kv(at);
        const auto other = twin->hash_kv(at);
        REQUIRE(mine.has_value());
        REQUIRE(mine.value().hash == other.value().hash);
        REQUIRE(mine.value().compact_revision == model_.compacted());
        REQUIRE(mine.value().hash_revision == at);
    }
    REQUIRE(view->hash_kv(model_.revision() + 1).error().code == Errc::kFutureRev);
    if (model_.compacted() > 1) {
        REQUIRE(view->hash_kv(model_.compacted() - 1).error().code == Errc::kCompacted);
    }
}

std::string Program::dump() {
    std::string text;
    for (std::size_t family = 0; family < kColumnFamilyCount; ++family) {
        auto it = host_.engine().iterate(static_cast<ColumnFamily>(family), {}, {});
        for (; it->valid(); it->next()) {
            text += std::to_string(family) + ":" + std::string(it->key()) + "=" +
                    std::string(it->value()) + "\n";
        }
        REQUIRE(it->status().has_value());
    }
    return text;
}

}  // namespace cairn::storage::test
