#include <iterator>
#include <limits>
#include <utility>

#include "diff/build.h"
#include "diff/cases.h"
#include "diff/vary.h"

namespace cairn::diff {
namespace {

constexpr int kOpsMax = 128;

void append(std::vector<Step>& steps, std::vector<Step> more) {
    std::move(more.begin(), more.end(), std::back_inserter(steps));
}

Step everything() { return step_of(range(kOpenEnd, kOpenEnd)); }

// Every kind of operand, also such as the target does not look at, and none.
std::vector<Compare> operands(const Compare& base) {
    std::vector<Compare> all{base};
    for (const std::int64_t value :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, kNow - 4, kNow,
          std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
        for (const auto set : {&Compare::set_version, &Compare::set_create_revision,
                               &Compare::set_mod_revision, &Compare::set_lease}) {
            auto compare = base;
            (compare.*set)(value);
            all.push_back(compare);
        }
    }
    for (const auto* value : {"", "2", "9", "x"}) {
        auto compare = base;
        compare.set_value(value);
        all.push_back(compare);
    }
    return all;
}

// Every target with every result. One past the last enumerator as well: etcd has an answer to
// that, too.
std::vector<Compare> guards(const std::string& key, const std::string& end) {
    std::vector<Compare> all;
    for (int target = 0; target <= Compare::LEASE + 1; ++target) {
        for (int result = 0; result <= Compare::NOT_EQUAL + 1; ++result) {
            all.push_back(guard(key, static_cast<Compare::CompareTarget>(target),
                                static_cast<Compare::CompareResult>(result), end));
        }
    }
    return all;
}

std::vector<Step> compares() {
    const std::vector<std::pair<std::string, std::string>> intervals{
        {"k/2", ""}, {"none", ""}, {"k/", "k0"},      {"m/", "m0"},
        {"x", "y"},  {"y", "x"},   {"k/4", kOpenEnd}, {"e", ""}};
    std::vector<Step> steps;
    for (const auto& [key, end] : intervals) {
        for (const auto& base : guards(key, end)) {
            for (const auto& compare : operands(base)) {
                steps.push_back(Txn().when(compare).step());
            }
        }
    }
    return steps;
}

// Guards and operations with every value of every field of theirs.
std::vector<Step> fields_within() {
    std::vector<Step> steps;
    for (const auto& compare : variations(is_version("k/2", 3))) {
        const auto& when = dynamic_cast<const Compare&>(*compare);
        append(steps, {Txn().when(when).then(range("k/2")).step(),
                       Txn().when(when).then(put("w", "w")).step()});
    }
    for (const auto& request : variations(range("k/", "k0"))) {
        steps.push_back(Txn().then(dynamic_cast<const RangeRequest&>(*request)).step());
        steps.push_back(
            Txn().then(put("w", "w")).then(dynamic_cast<const RangeRequest&>(*request)).step());
    }
    for (const auto& request : variations(put("k/2", "v"))) {
        append(steps, {Txn().then(dynamic_cast<const PutRequest&>(*request)).step(), everything()});
    }
    for (const auto& request : variations(erase("k/2", "k/4"))) {
        append(steps, {step_of(put("k/2", "again")),
                       Txn().then(dynamic_cast<const DeleteRangeRequest&>(*request)).step(),
                       everything()});
    }
    return steps;
}

std::vector<Step> operations() {
    const auto with_prev = [] {
        auto request = put("k/2", "prev");
        request.set_prev_kv(true);
        return request;
    }();
    const auto keep_value = [](const std::string& key) {
        PutRequest request;
        request.set_key(key);
        request.set_ignore_value(true);
        return request;
    };
    auto leased = put("k/2", "x");
    leased.set_lease(5);
    auto leased_kept = keep_value("none");
    leased_kept.set_lease(5);
    std::vector<Step> steps{
        Txn().step(), Txn().then_nothing().step(), Txn().otherwise_nothing().step(),
        Txn().then(put("a", "1")).then_nothing().step(), Txn().when(is_version("a", 0)).step(),
        Txn().when(Compare()).then(put("a", "1")).step(), Txn().then(range("")).step(),
        Txn().then(put("", "1")).step(), Txn().otherwise(erase("")).step(),
        Txn().then(TxnRequest()).step(), Txn().then(RangeRequest()).otherwise(PutRequest()).step(),
        Txn().then(DeleteRangeRequest()).step(), Txn().otherwise(PutRequest()).step(),
        // What an operation sees of those before it, and what its header says.
        Txn().then(range("k/", "k0")).then(put("k/9", "1")).then(range("k/", "k0")).step(),
        Txn().then(with_prev).then(range("k/2")).then(erase("k/3")).then(range("k/3")).step(),
        Txn()
            .then(erase("none"))
            .then(range("k/1"))
            .then(put("k/1", "2"))
            .then(erase("none"))
            .step(),
        Txn().then(erase("none")).step(),
        Txn().then(erase("k/1", "k/4")).then(erase("k/2", kOpenEnd)).then(range("k/", "k0")).step(),
        everything()};
    append(steps, sample_data());
    append(steps,
           {// Which error comes first.
            Txn().then(keep_value("none")).step(), Txn().then(keep_value("k/2")).step(),
            Txn().then(leased).step(), Txn().then(leased_kept).step(), step_of(leased_kept),
            Txn().then(range("k/1", "", kNow + 1)).then(leased).step(),
            Txn().then(range("k/1", "", kNow + 1)).then(put("k/1", "no")).step(),
            Txn().then(put("k/1", "no")).then(range("k/1", "", kNow + 1)).step(),
            Txn().then(put("k/1", "no")).then(range("k/1", "", kNow)).step(),
            Txn().when(is_version("k/1", 77)).then(leased).otherwise(range("k/1")).step(),
            Txn().when(is_version("k/1", 77)).then(range("k/1", "", kNow + 9)).step(),
            Txn().then(put("", "1")).then(put("b", "1")).then(put("b", "1")).step(), everything()});
    return steps;
}

std::vector<Step> duplicates() {
    std::vector<Step> steps;
    const auto b = put("b", "1");
    for (const auto& txn : {
             Txn().then(b).then(b),
             Txn().then(b).otherwise(b),
             Txn().then(erase("b")).then(b),
             Txn().then(b).then(erase("b")),
             Txn().then(b).then(erase("a", "c")),
             Txn().then(b).then(erase("c", "a")),
             Txn().then(b).then(erase("a", "b")),
             Txn().then(b).then(erase("b", "b")),
             Txn().then(erase("a", "c")).then(erase("b")),
             Txn().then(b).then(Txn().then(b)),
             Txn().then(Txn().then(b)).then(b),
             Txn().then(Txn().then(b).otherwise(b)),
             Txn().then(Txn().then(b)).then(Txn().then(b)),
             Txn().then(Txn().then(b)).then(Txn().otherwise(b)),
             Txn().then(Txn().then(b)).then(Txn().then(erase("b"))),
             Txn().then(Txn().then(erase("b"))).then(Txn().then(b)),
             Txn().then(Txn().then(erase("a", "c"))).then(b),
             Txn().then(erase("a", "c")).then(Txn().then(b)),
             Txn().then(Txn().then(Txn().then(b))).then(Txn().then(Txn().otherwise(b))),
             Txn().otherwise(b).otherwise(b),
             Txn().then(erase("c", kOpenEnd)).then(b),
             Txn().then(erase("a", kOpenEnd)).then(b),  // withheld, by (2)
         }) {
        append(steps, {txn.step(), everything(), step_of(put("b", "0"))});
    }
    return steps;
}

// `levels` transactions, one in the other.
Txn nest(int levels) {
    Txn txn;
    txn.then(put("n", "1"));
    for (int i = 1; i < levels; ++i) {
        txn = Txn().then(txn);
    }
    return txn;
}

template <class Add>
Step many(int count, const Add& add) {
    Txn txn;
    for (int i = 0; i < count; ++i) {
        add(txn, i);
    }
    return txn.step();
}

std::vector<Step> limits() {
    std::vector<Step> steps;
    for (const int count : {kOpsMax - 1, kOpsMax, kOpsMax + 1}) {
        append(
            steps,
            {many(count, [](Txn& txn, int i) { txn.when(is_version("l" + std::to_string(i), 0)); }),
             many(count, [](Txn& txn, int i) { txn.then(put("l" + std::to_string(i), "1")); }),
             many(count, [](Txn& txn, int i) { txn.otherwise(range("l" + std::to_string(i))); }),
             many(count, [](Txn& txn, int) { txn.then(put("", "1")); }),
             many(count, [](Txn& txn, int) { txn.then(put("l", "1")); }),
             many(count - 1,
                  [](Txn& txn, int i) {
                      txn.then(range("l"));
                      if (i == 0) {
                          txn.then(Txn().then(range("m")));
                      }
                  }),
             many(count - 2,
                  [](Txn& txn, int i) {
                      txn.then(range("l"));
                      if (i == 0) {
                          txn.then(Txn().then(range("m")));
                      }
                  }),
             everything()});
    }
    for (const int levels : {1, 2, 10, 30}) {
        append(steps, {nest(levels).step(), everything()});
    }
    return steps;
}

std::vector<Step> nesting() {
    const auto outer = put("o", "1");
    std::vector<Step> steps;
    for (const std::int64_t version : {0, 1, 2}) {
        append(
            steps,
            {// A nested guard does not see what the outer transaction wrote.
             Txn()
                 .then(outer)
                 .then(
                     Txn().when(is_version("o", version)).then(range("o")).otherwise(put("p", "1")))
                 .then(range("o", "q"))
                 .step(),
             Txn()
                 .when(is_version("o", version))
                 .then(Txn().when(is_version("p", 1)).then(erase("p")).otherwise(put("p", "2")))
                 .otherwise(Txn().then(erase("o")).then(Txn().then(range("a", kOpenEnd))))
                 .step(),
             Txn()
                 .then(Txn().when(is_version("o", version)).otherwise(range("o")))
                 .then(Txn().then(range("o")))
                 .step(),
             Txn().then(Txn().then(range("o", "", kNow + 1))).then(put("no", "1")).step(),
             Txn().then(Txn().then(erase("none"))).then(range("o")).step(), everything()});
    }
    return steps;
}

}  // namespace

std::vector<Case> txn_cases() {
    std::vector<Case> cases;
    for (auto& [name, steps] : std::vector<std::pair<std::string, std::vector<Step>>>{
             {"compares", compares()},
             {"fields within a txn", fields_within()},
             {"operations", operations()},
             {"duplicate keys", duplicates()},
             {"limits of a txn", limits()},
             {"nested txns", nesting()}}) {
        Case it{.name = name, .steps = sample_data()};
        append(it.steps, steps);
        cases.push_back(std::move(it));
    }
    return cases;
}

}  // namespace cairn::diff
