// The stateless checks: one case for each rule, their order, and the Txn rules against a slow twin.
#include "server/api/validate.h"

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "server/api/write_set.h"

namespace cairn::server::api {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Operations = google::protobuf::RepeatedPtrField<RequestOp>;

constexpr std::size_t kOpsMax = 128;
const std::string kOpenEnd("\0", 1);

// kIo stands for "no error", so that cases read as plain values.
constexpr Errc kFine = Errc::kIo;

Errc outcome(const Result<void>& result) { return result ? kFine : result.error().code; }
Errc check(const TxnRequest& txn, std::size_t ops_max = kOpsMax) {
    return outcome(validate_txn(txn, ops_max));
}

RequestOp put(const std::string& key) {
    RequestOp op;
    op.mutable_request_put()->set_key(key);
    return op;
}
RequestOp range(const std::string& key, bool serializable = false) {
    RequestOp op;
    op.mutable_request_range()->set_key(key);
    op.mutable_request_range()->set_serializable(serializable);
    return op;
}
RequestOp erase(const std::string& key, const std::string& end = "") {
    RequestOp op;
    op.mutable_request_delete_range()->set_key(key);
    op.mutable_request_delete_range()->set_range_end(end);
    return op;
}
RequestOp nested(const std::vector<RequestOp>& success,
                 const std::vector<RequestOp>& failure = {}) {
    RequestOp op;
    for (const auto& item : success) {
        *op.mutable_request_txn()->add_success() = item;
    }
    for (const auto& item : failure) {
        *op.mutable_request_txn()->add_failure() = item;
    }
    op.mutable_request_txn();
    return op;
}
TxnRequest txn(const std::vector<RequestOp>& success, const std::vector<RequestOp>& failure = {}) {
    return nested(success, failure).request_txn();
}

}  // namespace

TEST_CASE("Range: empty key before the sort options", "[api][validate]") {
    RangeRequest request;
    request.set_sort_order(static_cast<RangeRequest::SortOrder>(9));
    REQUIRE(outcome(validate_range(request)) == Errc::kEmptyKey);
    request.set_key("k");
    REQUIRE(outcome(validate_range(request)) == Errc::kInvalidSortOption);
    request.set_sort_order(RangeRequest::DESCEND);
    request.set_sort_target(static_cast<RangeRequest::SortTarget>(5));
    REQUIRE(outcome(validate_range(request)) == Errc::kInvalidSortOption);
    request.set_sort_target(static_cast<RangeRequest::SortTarget>(-1));
    REQUIRE(outcome(validate_range(request)) == Errc::kInvalidSortOption);
    request.set_sort_target(RangeRequest::VALUE);
    REQUIRE(outcome(validate_range(request)) == kFine);
    request.set_range_end("a");  // an end before the key is an empty answer, not an error
    request.set_limit(-1);
    request.set_revision(-7);
    REQUIRE(outcome(validate_range(request)) == kFine);
}

TEST_CASE("Put: key, then value, then lease", "[api][validate]") {
    etcdserverpb::PutRequest request;
    request.set_ignore_value(true);
    request.set_value("v");
    request.set_ignore_lease(true);
    request.set_lease(1);
    REQUIRE(outcome(validate_put(request)) == Errc::kEmptyKey);
    request.set_key("k");
    REQUIRE(outcome(validate_put(request)) == Errc::kValueProvided);
    request.clear_value();
    REQUIRE(outcome(validate_put(request)) == Errc::kLeaseProvided);
    request.clear_lease();
    REQUIRE(outcome(validate_put(request)) == kFine);
    request.set_ignore_value(false);
    request.set_ignore_lease(false);
    request.set_value("v");
    request.set_lease(-5);
    REQUIRE(outcome(validate_put(request)) == kFine);
}

TEST_CASE("DeleteRange: only the key", "[api][validate]") {
    etcdserverpb::DeleteRangeRequest request;
    request.set_range_end("z");
    REQUIRE(outcome(validate_delete_range(request)) == Errc::kEmptyKey);
    request.set_key("zz");
    REQUIRE(outcome(validate_delete_range(request)) == kFine);
}

TEST_CASE("Alarm: what etcd would crash on is refused", "[api][validate]") {
    etcdserverpb::AlarmRequest request;
    REQUIRE(outcome(validate_alarm(request)) == kFine);
    request.set_alarm(static_cast<etcdserverpb::AlarmType>(9));
    REQUIRE(outcome(validate_alarm(request)) == kFine);  // GET of a kind that is never raised
    request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
    REQUIRE(outcome(validate_alarm(request)) == Errc::kInvalidArgument);
    request.set_alarm(etcdserverpb::NOSPACE);
    REQUIRE(outcome(validate_alarm(request)) == kFine);
    request.set_action(static_cast<etcdserverpb::AlarmRequest::AlarmAction>(3));
    REQUIRE(outcome(validate_alarm(request)) == Errc::kInvalidArgument);
}

TEST_CASE("Txn: each operation and compare of both branches is checked", "[api][validate][txn]") {
    REQUIRE(check({}) == kFine);
    TxnRequest request;
    request.add_compare()->set_key("");
    REQUIRE(check(request) == Errc::kEmptyKey);
    REQUIRE(check(txn({RequestOp{}})) == Errc::kKeyNotFound);
    REQUIRE(check(txn({}, {RequestOp{}})) == Errc::kKeyNotFound);
    REQUIRE(check(txn({}, {put("")})) == Errc::kEmptyKey);
    REQUIRE(check(txn({range("")})) == Errc::kEmptyKey);
    REQUIRE(check(txn({erase("", "z")})) == Errc::kEmptyKey);
    REQUIRE(check(txn({nested({}, {put("")})})) == Errc::kEmptyKey);
    RequestOp bad_sort = range("k");
    bad_sort.mutable_request_range()->set_sort_target(static_cast<RangeRequest::SortTarget>(9));
    REQUIRE(check(txn({bad_sort})) == Errc::kInvalidSortOption);
    RequestOp bad_put = put("k");
    bad_put.mutable_request_put()->set_ignore_lease(true);
    bad_put.mutable_request_put()->set_lease(3);
    REQUIRE(check(txn({bad_put})) == Errc::kLeaseProvided);
}

TEST_CASE("Txn: the first error in etcd's order wins", "[api][validate][txn]") {
    // Too many operations, then compares, then success, then failure, then duplicates.
    TxnRequest request = txn({put("a"), put("a"), RequestOp{}}, {put("")});
    request.add_compare();
    REQUIRE(check(request, 2) == Errc::kTooManyOps);
    REQUIRE(check(request) == Errc::kEmptyKey);
    request.mutable_compare(0)->set_key("c");
    REQUIRE(check(request) == Errc::kKeyNotFound);
    *request.mutable_success(2) = put("b");
    REQUIRE(check(request) == Errc::kEmptyKey);
    *request.mutable_failure(0) = put("b");
    REQUIRE(check(request) == Errc::kDuplicateKey);
    *request.mutable_success(1) = put("c");
    REQUIRE(check(request) == kFine);
}

TEST_CASE("Txn: the operation limit counts the longest list", "[api][validate][txn]") {
    const auto many = [](std::size_t count) {
        std::vector<RequestOp> ops;
        for (std::size_t i = 0; i < count; ++i) {
            ops.push_back(range("k"));
        }
        return ops;
    };
    REQUIRE(check(txn(many(128), many(128))) == kFine);
    REQUIRE(check(txn(many(129))) == Errc::kTooManyOps);
    REQUIRE(check(txn({}, many(129))) == Errc::kTooManyOps);
    TxnRequest compares;
    for (int i = 0; i < 129; ++i) {
        compares.add_compare()->set_key("k");
    }
    REQUIRE(check(compares) == Errc::kTooManyOps);
    compares.mutable_compare()->RemoveLast();
    REQUIRE(check(compares) == kFine);

    // A nested Txn gets what its parent's longest list leaves; siblings do not add up.
    REQUIRE(check(txn({nested(many(127)), range("k")})) == Errc::kTooManyOps);
    REQUIRE(check(txn({nested(many(126)), nested(many(126))})) == kFine);
    REQUIRE(check(txn({nested(many(126)), nested({nested(many(125))})})) == kFine);
    REQUIRE(check(txn({nested(many(126)), nested({nested(many(126))})})) == Errc::kTooManyOps);
}

TEST_CASE("Txn: nesting ends where the operations do", "[api][validate][txn]") {
    RequestOp op = range("k");
    for (int depth = 1; depth < 128; ++depth) {
        op = nested({op});
    }
    REQUIRE(check(txn({op})) == kFine);
    REQUIRE(check(txn({nested({op})})) == Errc::kTooManyOps);
}

TEST_CASE("Txn: keys given twice", "[api][validate][txn]") {
    REQUIRE(check(txn({put("a"), put("a")})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({}, {put("a"), put("a")})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({put("a")}, {put("a")})) == kFine);
    REQUIRE(check(txn({put("a"), erase("a")})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({erase("a"), put("a")})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({erase("a", "c"), put("b")})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({erase("a", "c"), put("c")})) == kFine);
    REQUIRE(check(txn({erase("c", "a"), put("b")})) == kFine);  // an empty interval
    REQUIRE(check(txn({erase("c", "c"), put("c")})) == kFine);
    REQUIRE(check(txn({erase("a"), erase("a"), erase("a", "z")})) == kFine);
    REQUIRE(check(txn({range("a"), put("a"), range("a")})) == kFine);
    REQUIRE(check(txn({put("a"), put(std::string("a\0", 2)), put("A")})) == kFine);
}

TEST_CASE("Txn: an open end covers everything above, unlike in etcd", "[api][validate][txn]") {
    REQUIRE(check(txn({erase("b", kOpenEnd), put("c")})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({put("\xff"), erase("b", kOpenEnd)})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({erase(kOpenEnd, kOpenEnd), put("c")})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({erase("b", kOpenEnd), put("a")})) == kFine);
    // Two zero bytes are an ordinary, low end.
    REQUIRE(check(txn({erase("b", std::string("\0\0", 2)), put("c")})) == kFine);
}

TEST_CASE("Txn: nested lists are joined in, siblings in order", "[api][validate][txn]") {
    REQUIRE(check(txn({nested({put("a")}), put("a")})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({put("a"), nested({}, {put("a")})})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({nested({put("a")}, {put("a")})})) == kFine);
    REQUIRE(check(txn({nested({put("a")}), nested({}, {put("a")})})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({erase("a"), nested({put("a")})})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({nested({put("a")}), erase("a")})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({put("a"), nested({erase("a")})})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({nested({erase("a")}, {put("a")})})) == kFine);
    // As in etcd, only the later put is found between siblings.
    REQUIRE(check(txn({nested({put("a")}), nested({erase("a")})})) == kFine);
    REQUIRE(check(txn({nested({erase("a")}), nested({put("a")})})) == Errc::kDuplicateKey);
    REQUIRE(check(txn({nested({nested({erase("a", "c")})}), nested({put("b")})})) ==
            Errc::kDuplicateKey);
}

TEST_CASE("Txn: what only reads, and what may be stale", "[api][validate][txn]") {
    REQUIRE(is_read_only(txn({range("a")}, {range("b")})));
    REQUIRE(is_read_only({}));
    REQUIRE_FALSE(is_read_only(txn({range("a"), put("b")})));
    REQUIRE_FALSE(is_read_only(txn({}, {erase("b")})));
    REQUIRE_FALSE(is_read_only(txn({nested({range("a")})})));  // counts as a write in etcd, too
    REQUIRE(is_serializable(txn({range("a", true)}, {range("b", true)})));
    REQUIRE_FALSE(is_serializable(txn({range("a", true)}, {range("b", false)})));
    REQUIRE_FALSE(is_serializable(txn({})));
}

TEST_CASE("Txn: which answers may be long", "[api][validate][txn]") {
    const auto is_long = [](const RequestOp& op) {
        TxnRequest txn;
        *txn.add_failure() = put("other");
        *txn.add_failure() = op;
        TxnRequest outer;
        *outer.add_success()->mutable_request_txn() = txn;
        CHECK(may_answer_long(outer) == may_answer_long(txn));
        return may_answer_long(txn);
    };
    CHECK_FALSE(is_long(put("a")));
    RequestOp with_previous = put("a");
    with_previous.mutable_request_put()->set_prev_kv(true);
    CHECK(is_long(with_previous));
    RequestOp removal;
    removal.mutable_request_delete_range()->set_range_end("z");
    CHECK_FALSE(is_long(removal));
    removal.mutable_request_delete_range()->set_prev_kv(true);
    CHECK(is_long(removal));
    RequestOp read = range("a");
    CHECK(is_long(read));
    read.mutable_request_range()->set_keys_only(true);
    CHECK_FALSE(is_long(read));
    read.mutable_request_range()->set_range_end("b");
    CHECK(is_long(read));
    read.mutable_request_range()->set_count_only(true);
    CHECK_FALSE(is_long(read));
    CHECK_FALSE(may_answer_long({}));
}

TEST_CASE("the size limit is that of etcd's log entry", "[api][validate]") {
    const RequestLimits limits;
    // Put of a 3-byte key: the largest value that etcd takes is 1572837 bytes, or one more.
    etcdserverpb::PutRequest request;
    request.set_key("abc");
    request.set_value(std::string(1'572'837, 'v'));
    REQUIRE(outcome(validate_request_size(request.ByteSizeLong(), limits)) == kFine);
    request.mutable_value()->push_back('v');
    REQUIRE(outcome(validate_request_size(request.ByteSizeLong(), limits)) ==
            Errc::kRequestTooLarge);
    REQUIRE(outcome(validate_request_size(100, {.txn_ops_max = 1, .request_bytes_max = 115})) ==
            Errc::kRequestTooLarge);
    REQUIRE(outcome(validate_request_size(100, {.txn_ops_max = 1, .request_bytes_max = 116})) ==
            kFine);
}

namespace {

// The twin: keys are "a".."h"; a list's writes as plain vectors, every pair compared.
struct SlowSet {
    std::vector<std::string> puts;
    std::vector<std::pair<std::string, std::string>> deletes;
};

bool slow_covers(const std::pair<std::string, std::string>& interval, const std::string& key) {
    const auto& [begin, end] = interval;
    if (end.empty()) {
        return key == begin;
    }
    return key >= begin && (end == kOpenEnd || key < end);
}

bool slow_meets(const SlowSet& set, const std::string& key) {
    for (const auto& other : set.puts) {
        if (other == key) {
            return true;
        }
    }
    for (const auto& interval : set.deletes) {
        if (slow_covers(interval, key)) {
            return true;
        }
    }
    return false;
}

bool slow_collect(const Operations& ops, SlowSet& set) {
    for (const auto& op : ops) {
        if (op.has_request_delete_range()) {
            set.deletes.emplace_back(op.request_delete_range().key(),
                                     op.request_delete_range().range_end());
        }
    }
    for (const auto& op : ops) {
        if (!op.has_request_txn()) {
            continue;
        }
        SlowSet both;
        for (const auto* branch : {&op.request_txn().success(), &op.request_txn().failure()}) {
            SlowSet writes;
            if (!slow_collect(*branch, writes)) {
                return false;
            }
            for (const auto& key : writes.puts) {
                if (slow_meets(set, key)) {
                    return false;
                }
            }
            both.puts.insert(both.puts.end(), writes.puts.begin(), writes.puts.end());
            both.deletes.insert(both.deletes.end(), writes.deletes.begin(), writes.deletes.end());
        }
        set.puts.insert(set.puts.end(), both.puts.begin(), both.puts.end());
        set.deletes.insert(set.deletes.end(), both.deletes.begin(), both.deletes.end());
    }
    for (const auto& op : ops) {
        if (op.has_request_put()) {
            if (slow_meets(set, op.request_put().key())) {
                return false;
            }
            set.puts.push_back(op.request_put().key());
        }
    }
    return true;
}

std::string random_key(Prng& prng) { return {static_cast<char>('a' + prng.below(12))}; }

RequestOp random_operation(Prng& prng, int depth) {
    switch (prng.below(depth > 0 ? 5 : 4)) {
        case 0: return range(random_key(prng));
        case 1: return put(random_key(prng));
        case 2: return erase(random_key(prng));
        case 3: return erase(random_key(prng), prng.below(6) == 0 ? kOpenEnd : random_key(prng));
        default: break;
    }
    std::vector<RequestOp> success;
    std::vector<RequestOp> failure;
    for (auto* branch : {&success, &failure}) {
        for (auto count = prng.below(3); count > 0; --count) {
            branch->push_back(random_operation(prng, depth - 1));
        }
    }
    return nested(success, failure);
}

}  // namespace

TEST_CASE("Txn: the duplicate check equals its slow twin", "[api][validate][txn]") {
    const char* given = std::getenv("CAIRN_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 20260903;
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    int refused = 0;
    constexpr int kRounds = 20'000;
    for (int round = 0; round < kRounds; ++round) {
        TxnRequest request;
        for (auto count = 1 + prng.below(4); count > 0; --count) {
            *request.add_success() = random_operation(prng, 3);
        }
        SlowSet set;
        const bool expected = slow_collect(request.success(), set);
        INFO(request.ShortDebugString());
        REQUIRE((check(request) == kFine) == expected);
        refused += expected ? 0 : 1;
    }
    // The generator must visit both answers often.
    REQUIRE(refused > kRounds / 10);
    REQUIRE(refused < kRounds * 9 / 10);
}

TEST_CASE("Txn: a request full of nested writes is checked in little time",
          "[api][validate][txn]") {
    // A binary tree of 2^14 branches, each putting its own key: joins must not copy whole sets.
    int next_key = 0;
    const std::function<RequestOp(int)> tree = [&](int depth) {
        if (depth == 0) {
            return put("k" + std::to_string(next_key++));
        }
        return nested({tree(depth - 1)}, {tree(depth - 1)});
    };
    const TxnRequest request = txn({tree(14)});
    REQUIRE(request.ByteSizeLong() < 1'572'864);
    REQUIRE(check(request) == kFine);
}

TEST_CASE("DeleteSet joins what touches and finds what it holds", "[api][validate]") {
    DeleteSet set;
    set.add("c", "e");
    set.add("a", "c");
    set.add("x", "");
    set.add("g", "i");
    for (const char* inside : {"a", "b", "c", "d", "dzz", "g", "h", "x"}) {
        CHECK(set.contains(inside));
    }
    for (const char* outside : {"", "A", "e", "f", "i", "w", "xx", "y"}) {
        CHECK_FALSE(set.contains(outside));
    }
    CHECK(set.contains_any({"e", "hh"}));
    CHECK(set.contains_any({"0", "1", "2", "3", "4", "x"}));
    CHECK(set.contains_any({"0", "1", "2", "3", "4", "gg"}));
    CHECK_FALSE(set.contains_any({"0", "1", "2", "3", "4", "5", "e", "i"}));
    DeleteSet other;
    other.add("d", "h");
    other.add("y", kOpenEnd);
    other.add("p", "q");
    set.merge(std::move(other));
    CHECK(set.contains("f"));
    CHECK(set.contains("zzz"));
    CHECK_FALSE(set.contains("xx"));
    CHECK(set.contains("p1"));
}

}  // namespace cairn::server::api
