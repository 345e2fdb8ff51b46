#include <iterator>
#include <utility>

#include "diff/build.h"
#include "diff/cases.h"
#include "diff/vary.h"
#include "proto/etcd/rpc_maintenance.pb.h"

namespace cairn::diff {
namespace {

using etcdserverpb::AlarmRequest;
using etcdserverpb::AlarmType;
using etcdserverpb::CompactionRequest;

// What etcd's log entry may hold: a value of this size fits with a key of one byte; the byte where
// it ends depends on the random number of the request.
constexpr std::size_t kLargestValue = 1'572'835;
constexpr std::size_t kOverGrpcLimit = 2U * 1024U * 1024U;

void append(std::vector<Step>& steps, std::vector<Step> more) {
    std::move(more.begin(), more.end(), std::back_inserter(steps));
}

Step everything() { return step_of(range(kOpenEnd, kOpenEnd)); }

// Each combination of the options, on a key that is there, one that is not, one that was deleted.
std::vector<Step> put_options() {
    std::vector<Step> steps;
    for (const auto* key : {"k/2", "new", "k/6", ""}) {
        for (unsigned bits = 0; bits < 32; ++bits) {
            PutRequest request;
            request.set_key(key);
            request.set_value((bits & 1U) != 0 ? "v" : "");
            request.set_lease((bits & 2U) != 0 ? 77 : 0);
            request.set_prev_kv((bits & 4U) != 0);
            request.set_ignore_value((bits & 8U) != 0);
            request.set_ignore_lease((bits & 16U) != 0);
            append(steps, {step_of(request), step_of(range(request.key().empty() ? "k/2" : key)),
                           Txn().then(request).then(range("k/2")).step()});
        }
    }
    return steps;
}

std::vector<Step> put_values() {
    std::vector<Step> steps;
    auto base = put("k/2", "v");
    base.set_prev_kv(true);
    for (const auto& request : variations(base)) {
        append(steps, {step_of(request), everything()});
    }
    return steps;
}

std::vector<Step> deletes() {
    std::vector<Step> steps;
    std::vector<std::shared_ptr<Message>> requests = variations(erase("k/2", "k/4"));
    for (const auto& request : {erase("k/2"), erase("k/4", "k/2"), erase("k/4", "k/4"),
                                erase("none"), erase("k/3", kOpenEnd), erase(kOpenEnd, kOpenEnd),
                                erase("k/1", kOpenEnd + kOpenEnd), erase("")}) {
        requests.push_back(std::make_shared<DeleteRangeRequest>(request));
    }
    for (const auto& request : requests) {
        append(steps, {step_of(put("k/2", "again")), step_of(put("k/3", "again")), step_of(request),
                       everything()});
    }
    return steps;
}

std::vector<Step> reads_about_the_floor() {
    std::vector<Step> steps;
    for (std::int64_t distance = -2; distance <= 2; ++distance) {
        append(steps, {step_of(range("k/", "k0", kFloor + distance)),
                       Txn().then(range("k/", "k0", kFloor + distance)).step(),
                       Txn().then(put("c", "1")).then(range("k/2", "", kFloor + distance)).step(),
                       everything()});
    }
    return steps;
}

std::vector<Step> compactions() {
    std::vector<Step> steps = sample_data();
    append(steps, {compact(kNow + 1), compact(0), compact(-1), compact(kNow - 9)});
    append(steps, reads_about_the_floor());
    append(steps, {compact(kFloor), compact(kFloor - 1), compact(kFloor + 2, true)});
    append(steps, reads_about_the_floor());
    // A deletion exactly at the compacted revision, then nothing above it.
    append(steps, {step_of(erase("k/3")), compact(kNow), everything(), step_of(range("k/3")),
                   compact(kNow), compact(kNow + 1, true)});
    append(steps, reads_about_the_floor());
    CompactionRequest base;
    base.set_revision(kNow - 2);
    for (const auto& request : variations(base)) {
        append(steps, {step_of(put("k/1", "c")), step_of(put("k/2", "c")), step_of(put("k/3", "c")),
                       step_of(request)});
    }
    append(steps, reads_about_the_floor());
    return steps;
}

std::vector<Step> sizes() {
    std::vector<Step> steps{step_of(erase(kOpenEnd, kOpenEnd))};
    for (const std::size_t size : {kLargestValue - 20, kLargestValue + 8, kLargestValue + 20,
                                   kOverGrpcLimit - 40, kOverGrpcLimit + 40}) {
        const auto large = put("s", std::string(size, 'x'));
        append(steps, {step_of(large), step_of(range("s")), Txn().then(large).step(),
                       Txn().when(is_version("s", 1)).then(range("s")).otherwise(large).step(),
                       step_of(range(std::string(size, 'x'))), step_of(range("s"))});
    }
    append(steps, {step_of(erase("s"))});
    return steps;
}

Step alarm(AlarmRequest::AlarmAction action, AlarmType type) {
    AlarmRequest request;
    request.set_action(action);
    request.set_alarm(type);
    return step_of(request);
}

std::vector<Step> under_alarm(AlarmType type) {
    std::vector<Step> steps = sample_data();
    append(steps,
           {alarm(AlarmRequest::ACTIVATE, type),
            alarm(AlarmRequest::GET, etcdserverpb::NONE),
            alarm(AlarmRequest::GET, etcdserverpb::NOSPACE),
            alarm(AlarmRequest::GET, etcdserverpb::CORRUPT),
            step_of(put("k/1", "no")),
            step_of(range("k/1")),
            Txn().then(put("k/1", "no")).step(),
            Txn().when(is_version("k/1", 99)).then(put("k/1", "no")).otherwise(range("k/1")).step(),
            Txn().then(erase("k/1")).step(),
            Txn().then(range("k/1")).step(),
            Txn().step(),
            Txn().then(Txn().when(is_version("k/1", 99)).then(put("k/1", "no"))).step(),
            step_of(put("", "no")),
            step_of(erase("k/2")),
            step_of(erase("k/2")),
            compact(kNow + 5),
            compact(kNow - 1),
            alarm(AlarmRequest::DEACTIVATE, type),
            alarm(AlarmRequest::GET, etcdserverpb::NONE),
            step_of(put("k/1", "yes")),
            everything()});
    return steps;
}

}  // namespace

std::vector<Case> write_cases() {
    std::vector<Case> cases;
    for (auto& [name, steps] :
         std::vector<std::pair<std::string, std::vector<Step>>>{{"put options", put_options()},
                                                                {"put values", put_values()},
                                                                {"deletes", deletes()}}) {
        Case it{.name = name, .steps = sample_data()};
        append(it.steps, steps);
        cases.push_back(std::move(it));
    }
    cases.push_back({.name = "compactions", .steps = compactions()});
    cases.push_back({.name = "sizes", .steps = sizes()});
    cases.push_back({.name = "alarm NOSPACE", .steps = under_alarm(etcdserverpb::NOSPACE)});
    cases.push_back({.name = "alarm CORRUPT", .steps = under_alarm(etcdserverpb::CORRUPT)});
    return cases;
}

std::vector<Case> scripted_cases() {
    auto cases = range_cases();
    for (auto* more : {&write_cases, &txn_cases, &wire_cases}) {
        auto next = more();
        std::move(next.begin(), next.end(), std::back_inserter(cases));
    }
    return cases;
}

}  // namespace cairn::diff
