#include <utility>

#include "diff/build.h"
#include "diff/cases.h"
#include "diff/vary.h"

namespace cairn::diff {
namespace {

constexpr int kManyKeys = 30;

void append(std::vector<Step>& steps, std::vector<Step> more) {
    std::move(more.begin(), more.end(), std::back_inserter(steps));
}

// Two options together, each with each of its plain values.
void append_pair(std::vector<Step>& steps, const google::protobuf::FieldDescriptor& a,
                 const google::protobuf::FieldDescriptor& b) {
    for (const auto& set_a : plain_values(a)) {
        for (const auto& set_b : plain_values(b)) {
            auto request = range("k/", "k0");
            set_a(request);
            set_b(request);
            steps.push_back(step_of(request));
        }
    }
}

std::vector<Step> option_pairs() {
    std::vector<Step> steps;
    const auto* type = RangeRequest::descriptor();
    for (int a = 0; a < type->field_count(); ++a) {
        for (int b = a + 1; b < type->field_count(); ++b) {
            append_pair(steps, *type->field(a), *type->field(b));
        }
    }
    return steps;
}

// Every order and target, on this range.
std::vector<RangeRequest> sorts(const RangeRequest& base) {
    std::vector<RangeRequest> all;
    for (int order = 0; order <= RangeRequest::DESCEND; ++order) {
        for (int target = 0; target <= RangeRequest::VALUE; ++target) {
            all.push_back(base);
            all.back().set_sort_order(static_cast<RangeRequest::SortOrder>(order));
            all.back().set_sort_target(static_cast<RangeRequest::SortTarget>(target));
        }
    }
    return all;
}

std::vector<Step> single_options() {
    std::vector<Step> steps;
    for (const auto& base : {range("k/", "k0"), range("k/2"), range("k/6")}) {
        for (const auto& request : variations(base)) {
            steps.push_back(step_of(request));
        }
    }
    return steps;
}

std::vector<Step> intervals() {
    const std::vector<std::string> keys{
        kOpenEnd, "a",  "e",    "k/1",      "k/2", "k/3",  "k/6",
        "k/9",    "k0", "\xff", "\xff\xff", "k",   "k/1a", "k/2" + kOpenEnd};
    auto ends = keys;
    ends.insert(ends.end(), {"", kOpenEnd + kOpenEnd, "l"});
    std::vector<Step> steps;
    for (const auto& key : keys) {
        for (const auto& end : ends) {
            steps.push_back(step_of(range(key, end)));
        }
    }
    return steps;
}

// Every revision there is and some that there are not.
std::vector<Step> revisions() {
    std::vector<Step> steps;
    for (std::int64_t back = -2; back < 24; ++back) {
        for (const auto& request :
             {range("k/", "k0", kNow - back), range("k/2", "", kNow - back),
              range("k/6", "", kNow - back), range(kOpenEnd, kOpenEnd, kFloor + back)}) {
            steps.push_back(step_of(request));
        }
    }
    return steps;
}

// Filters and limits about every value that can matter, with every sort.
std::vector<Step> filters_and_sorts() {
    std::vector<Step> steps;
    for (auto request : sorts(range("k/", "k0"))) {
        for (std::int64_t limit = 0; limit <= 6; ++limit) {
            request.set_limit(limit);
            for (std::int64_t back = 0; back < 12; back += 2) {
                auto filtered = request;
                filtered.set_min_mod_revision(kNow - back);
                steps.push_back(step_of(filtered));
                filtered = request;
                filtered.set_max_create_revision(kNow - back);
                steps.push_back(step_of(filtered));
                filtered.set_revision(kNow - back);
                filtered.set_keys_only(true);
                steps.push_back(step_of(filtered));
            }
        }
    }
    return steps;
}

// More keys than etcd sorts stably, many of them equal in what is sorted by.
std::vector<Step> ties() {
    std::vector<Step> steps{step_of(erase(kOpenEnd, kOpenEnd))};
    for (int i = 0; i < kManyKeys; ++i) {
        steps.push_back(
            step_of(put("t/" + std::to_string(i * 7 % kManyKeys), i % 3 == 0 ? "x" : "y")));
    }
    for (auto request : sorts(range("t/", "t0"))) {
        for (const std::int64_t limit : {0, 5, 12, 29, 30}) {
            request.set_limit(limit);
            request.set_keys_only(false);
            steps.push_back(step_of(request));
            request.set_keys_only(true);
            steps.push_back(step_of(request));
            steps.push_back(Txn().then(put("t/0", "x")).then(request).step());
        }
    }
    return steps;
}

}  // namespace

std::vector<Step> sample_data() {
    std::vector<Step> steps{step_of(erase(kOpenEnd, kOpenEnd))};
    for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{{"k/3", "30"},
                                                                                     {"k/1", "11"},
                                                                                     {"k/2", "2"},
                                                                                     {"k/4", "4"},
                                                                                     {"k/2", "22"},
                                                                                     {"k/5", "5"},
                                                                                     {"k/6", "6"},
                                                                                     {"k/2", "2"},
                                                                                     {"k/4", "44"},
                                                                                     {"e", ""}}) {
        steps.push_back(step_of(put(key, value)));
    }
    append(steps, {step_of(erase("k/5", "k/7")), step_of(put("k/5", "2")), step_of(put("k/1", "9")),
                   Txn().then(put("k/3", "1")).then(put("m/1", "")).then(put("m/2", "x")).step()});
    return steps;
}

std::vector<Case> range_cases() {
    std::vector<Case> cases;
    for (const bool compacted : {false, true}) {
        auto data = sample_data();
        if (compacted) {
            data.push_back(compact(kNow - 6));
        }
        const std::string suffix = compacted ? ", compacted" : "";
        for (auto& [name, steps] : std::vector<std::pair<std::string, std::vector<Step>>>{
                 {"pairs of range options", option_pairs()},
                 {"range options", single_options()},
                 {"intervals", intervals()},
                 {"revisions", revisions()},
                 {"filters and sorts", filters_and_sorts()}}) {
            Case it{.name = name + suffix, .steps = data};
            append(it.steps, steps);
            cases.push_back(std::move(it));
        }
    }
    cases.push_back({.name = "ties in sorts", .steps = ties()});
    return cases;
}

}  // namespace cairn::diff
