#include "diff/random_steps.h"

#include <array>

namespace cairn::diff {
namespace {

constexpr std::size_t kOperationsMax = 5;
constexpr int kDepthMax = 3;
constexpr std::int64_t kRevisionsBack = 40;

}  // namespace

std::string RandomSteps::key() {
    static const std::array<std::string, 16> keys{std::string(1, '\0'),
                                                  "a",
                                                  "aa",
                                                  "ab",
                                                  "b",
                                                  std::string("b\0", 2),
                                                  "ba",
                                                  "c",
                                                  "d/1",
                                                  "d/2",
                                                  "d/3",
                                                  "d/3/1",
                                                  "e",
                                                  "e\xff",
                                                  "\xff",
                                                  "\xff\xff"};
    return prng_.chance(1, 200) ? "" : keys.at(prng_.below(keys.size()));
}

std::string RandomSteps::end() {
    switch (prng_.below(6)) {
        case 0:
        case 1: return "";
        case 2: return kOpenEnd;
        case 3: return "d0";
        default: return key();
    }
}

// Mostly a recent one, at times about the compacted one, to come, or none at all.
std::int64_t RandomSteps::revision() {
    const auto back = static_cast<std::int64_t>(prng_.below(kRevisionsBack));
    switch (prng_.below(12)) {
        case 0: return kFloor + back % 5 - 2;
        case 1: return kNow + back % 3;
        case 2: return back - 3;
        default: return kNow - back;
    }
}

RangeRequest RandomSteps::random_range() {
    RangeRequest request = range(key(), end());
    if (prng_.chance(1, 3)) {
        request.set_revision(revision());
    }
    if (prng_.chance(1, 3)) {
        request.set_limit(static_cast<std::int64_t>(prng_.below(6)));
    }
    if (prng_.chance(1, 3)) {
        request.set_sort_order(static_cast<RangeRequest::SortOrder>(prng_.below(3)));
        request.set_sort_target(static_cast<RangeRequest::SortTarget>(prng_.below(5)));
    }
    request.set_serializable(prng_.chance(1, 4));
    request.set_keys_only(prng_.chance(1, 6));
    request.set_count_only(prng_.chance(1, 10));
    for (const auto set :
         {&RangeRequest::set_min_mod_revision, &RangeRequest::set_max_mod_revision,
          &RangeRequest::set_min_create_revision, &RangeRequest::set_max_create_revision}) {
        if (prng_.chance(1, 10)) {
            (request.*set)(revision());
        }
    }
    return request;
}

PutRequest RandomSteps::random_put() {
    PutRequest request = put(key(), std::to_string(prng_.below(12)));
    request.set_prev_kv(prng_.chance(1, 3));
    if (prng_.chance(1, 10)) {
        request.set_ignore_value(true);
        if (!prng_.chance(1, 10)) {
            request.clear_value();
        }
    }
    request.set_ignore_lease(prng_.chance(1, 12));
    if (prng_.chance(1, 60)) {
        request.set_lease(static_cast<std::int64_t>(prng_.below(3)));
    }
    return request;
}

DeleteRangeRequest RandomSteps::random_erase() {
    DeleteRangeRequest request = erase(key(), prng_.chance(2, 3) ? "" : end());
    request.set_prev_kv(prng_.chance(1, 2));
    return request;
}

Compare RandomSteps::random_guard() {
    Compare compare =
        guard(key(), static_cast<Compare::CompareTarget>(prng_.below(5)),
              static_cast<Compare::CompareResult>(prng_.below(4)), prng_.chance(1, 3) ? end() : "");
    // The operand of the target, but for one in eight.
    switch (prng_.chance(1, 8) ? static_cast<int>(prng_.below(6))
                               : static_cast<int>(compare.target())) {
        case Compare::VERSION:
            compare.set_version(static_cast<std::int64_t>(prng_.below(5)));
            break;
        case Compare::CREATE: compare.set_create_revision(revision()); break;
        case Compare::MOD: compare.set_mod_revision(revision()); break;
        case Compare::VALUE: compare.set_value(std::to_string(prng_.below(12))); break;
        case Compare::LEASE: compare.set_lease(static_cast<std::int64_t>(prng_.below(2))); break;
        default: break;
    }
    return compare;
}

void RandomSteps::fill(etcdserverpb::RequestOp& op, int depth) {
    switch (prng_.below(depth < kDepthMax ? 9 : 8)) {
        case 0:
        case 1:
        case 2: *op.mutable_request_range() = random_range(); break;
        case 3:
        case 4:
        case 5:
        case 6: *op.mutable_request_put() = random_put(); break;
        case 7: *op.mutable_request_delete_range() = random_erase(); break;
        default: *op.mutable_request_txn() = random_txn(depth + 1); break;
    }
}

TxnRequest RandomSteps::random_txn(int depth) {
    TxnRequest request;
    const auto guards = prng_.below(3);
    for (std::uint64_t i = 0; i < guards; ++i) {
        *request.add_compare() = random_guard();
    }
    for (auto* branch : {request.mutable_success(), request.mutable_failure()}) {
        const auto operations = prng_.below(kOperationsMax);
        for (std::uint64_t i = 0; i < operations; ++i) {
            fill(*branch->Add(), depth);
        }
    }
    return request;
}

Step RandomSteps::next() {
    const auto choice = prng_.below(100);
    if (choice < 33) {
        return step_of(random_range());
    }
    if (choice < 63) {
        return step_of(random_put());
    }
    if (choice < 71) {
        return step_of(random_erase());
    }
    if (choice < 98) {
        return step_of(random_txn(1));
    }
    // Mostly far enough back to leave the next reads something.
    const auto far = kNow - kRevisionsBack - static_cast<std::int64_t>(prng_.below(kRevisionsBack));
    return compact(prng_.chance(3, 4) ? far : revision(), prng_.chance(1, 2));
}

}  // namespace cairn::diff
