#include "diff/coverage.h"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::diff {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// Classes that a kind of field cannot have.
struct KindExemption {
    FieldDescriptor::CppType type;
    bool repeated;
    Class without;
    const char* reason;
};
constexpr std::array kKindExemptions{
    KindExemption{FieldDescriptor::CPPTYPE_BOOL, false, Class::kBoundary,
                  "a bool is false, true or malformed"},
    KindExemption{FieldDescriptor::CPPTYPE_MESSAGE, false, Class::kBoundary,
                  "a message; its fields have rows of their own"},
    KindExemption{FieldDescriptor::CPPTYPE_MESSAGE, false, Class::kInvalid,
                  "a message; its fields have rows of their own"},
};

struct FieldExemption {
    const char* field;
    Class without;
    const char* reason;
};
constexpr std::array kFieldExemptions{
    FieldExemption{"RangeRequest.sort_target", Class::kInvalid,
                   "not sent: see the list of what is not compared (4)"},
};

// Every error of the table that this suite does not reach, and why.
struct ErrorExemption {
    const char* reason;
    std::vector<std::string> names;
};

const std::vector<ErrorExemption>& error_exemptions() {
    static const std::vector<ErrorExemption> all{
        {"a fault inside of cairn, which etcd has not",
         {"Io", "NoSpace", "Corrupt", "Locked", "NotFound", "InvalidConfig", "UnsupportedVersion",
          "Malformed", "TooLarge", "Protocol", "Connection", "Closed", "Internal", "NotInMemory"}},
        {"needs a cluster that loses its leader, or a member that is overloaded or stops",
         {"NoLeader", "LeaderChanged", "TooManyRequests", "Timeout", "TimeoutLeaderFailure",
          "TimeoutConnectionLost", "TimeoutWaitAppliedIndex", "Stopped", "NotCapable"}},
        {"the caller's own deadline or departure: grpc answers first",
         {"Canceled", "DeadlineExceeded"}},
        {"needs a learner", {"LearnerNotSupported"}},
        {"etcd 3.6 has it", {"InvalidClientApiVersion"}},
        {"of the peer port", {"ClusterIdMismatch"}},
        {"of the service Maintenance",
         {"InvalidArgument", "NotLeader", "BadLeaderTransferee", "TimeoutLeaderTransfer",
          "InvalidDowngradeTarget", "WrongDowngradeVersionFormat", "DowngradeInProcess",
          "NoInflightDowngrade", "ClusterVersionUnavailable"}},
        {"of the service Lease", {"LeaseExists", "LeaseTtlTooLarge"}},
        {"of the service Watch", {"WatchCanceled"}},
        {"of the service Cluster",
         {"Unhealthy", "MemberExists", "PeerUrlExists", "MemberNotEnoughStarted", "MemberBadUrls",
          "MemberNotFound", "MemberNotLearner", "LearnerNotReady", "TooManyLearners"}},
        {"of the service Auth, or of KV once authentication is on, which cairn has not yet",
         {"RootUserNotExist", "RootRoleNotExist", "UserAlreadyExist", "UserEmpty", "UserNotFound",
          "RoleAlreadyExist", "RoleNotFound", "RoleEmpty", "AuthFailed", "PermissionNotGiven",
          "PermissionDenied", "RoleNotGranted", "PermissionNotGranted", "AuthNotEnabled",
          "InvalidAuthToken", "InvalidAuthManagement", "AuthOldRevision"}},
    };
    return all;
}

const char* error_exemption(const std::string& name) {
    for (const auto& exemption : error_exemptions()) {
        const auto& names = exemption.names;
        if (std::find(names.begin(), names.end(), name) != names.end()) {
            return exemption.reason;
        }
    }
    return nullptr;
}

// All messages that a request of the service is made of, beginning with the requests themselves.
void collect(const Descriptor* type, std::vector<const Descriptor*>& all) {
    if (std::find(all.begin(), all.end(), type) != all.end()) {
        return;
    }
    all.push_back(type);
    for (int i = 0; i < type->field_count(); ++i) {
        if (type->field(i)->message_type() != nullptr) {
            collect(type->field(i)->message_type(), all);
        }
    }
}

std::vector<const Descriptor*> request_types() {
    std::vector<const Descriptor*> all;
    const auto* service = etcdserverpb::RangeRequest::descriptor()->file()->FindServiceByName("KV");
    for (int i = 0; i < service->method_count(); ++i) {
        collect(service->method(i)->input_type(), all);
    }
    return all;
}

std::string row_of(const FieldDescriptor& field) {
    return field.containing_type()->name() + "." + field.name();
}

const char* field_exemption(const FieldDescriptor& field, Class without) {
    for (const auto& exemption : kKindExemptions) {
        if (exemption.type == field.cpp_type() && exemption.repeated == field.is_repeated() &&
            exemption.without == without) {
            return exemption.reason;
        }
    }
    for (const auto& exemption : kFieldExemptions) {
        if (row_of(field) == exemption.field && exemption.without == without) {
            return exemption.reason;
        }
    }
    return nullptr;
}

// "..." stands for any words.
bool fits(const std::string& pattern, const std::string& text) {
    const auto dots = pattern.find("...");
    return dots != std::string::npos && text.starts_with(pattern.substr(0, dots));
}

std::vector<std::string> split_row(const std::string& line) {
    std::vector<std::string> words;
    std::size_t begin = 0;
    while (words.size() < 3) {
        const auto end = line.find(' ', begin);
        words.push_back(line.substr(begin, end - begin));
        begin = end + 1;
    }
    words.push_back(line.substr(begin));
    return words;
}

}  // namespace

Coverage::Coverage(const std::string& error_table) {
    for (const auto* type : request_types()) {
        for (int i = 0; i < type->field_count(); ++i) {
            fields_[row_of(*type->field(i))] = {};
        }
    }
    const auto* range = etcdserverpb::RangeRequest::descriptor();
    for (int a = 0; a < range->field_count(); ++a) {
        for (int b = a + 1; b < range->field_count(); ++b) {
            pairs_[{range->field(a)->name(), range->field(b)->name()}] = 0;
        }
    }
    std::ifstream file(error_table);
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line[0] != '#') {
            const auto words = split_row(line);
            error_rows_.push_back({.name = words[0], .code = words[2], .text = words[3]});
        }
    }
    if (error_rows_.empty()) {
        throw process::Failure{"no error table at " + error_table};
    }
}

void Coverage::observe(const Exchange& exchange) {
    const Step& step = exchange.step;
    if (step.call == Call::kRestart) {
        return;
    }
    // What etcd grants and cairn refuses, by the list, has its row as well.
    observe_error(step, exchange.etcd.response == nullptr ? exchange.etcd : exchange.cairn);
    const bool is_kv = step.call <= Call::kCompact;
    if (!is_kv || !step.trailing.empty() || step.odd != nullptr) {
        return;
    }
    observe(*step.request);
    if (step.call == Call::kRange && exchange.etcd.response != nullptr) {
        observe_pairs(*step.request);
    }
}

void Coverage::observe(const Message& request) {
    const auto* type = request.GetDescriptor();
    const auto* reflection = request.GetReflection();
    for (int i = 0; i < type->field_count(); ++i) {
        const auto* field = type->field(i);
        ++fields_[row_of(*field)][static_cast<std::size_t>(classify(request, *field))];
        if (field->is_repeated()) {
            for (int j = 0; j < reflection->FieldSize(request, field); ++j) {
                observe(reflection->GetRepeatedMessage(request, field, j));
            }
        } else if (field->message_type() != nullptr && reflection->HasField(request, field)) {
            observe(reflection->GetMessage(request, field));
        }
    }
}

// Only of requests that were granted: an error hides what the options do together.
void Coverage::observe_pairs(const Message& range) {
    std::vector<const FieldDescriptor*> set;
    range.GetReflection()->ListFields(range, &set);
    for (std::size_t a = 0; a < set.size(); ++a) {
        for (std::size_t b = a + 1; b < set.size(); ++b) {
            ++pairs_[{set[a]->name(), set[b]->name()}];
        }
    }
}

// The row with just this text, or else those whose pattern fits.
void Coverage::observe_error(const Step& step, const Answer& answer) {
    if (answer.response != nullptr) {
        return;
    }
    const auto name = wire::grpc_code_name(answer.code);
    const auto exact = std::find_if(error_rows_.begin(), error_rows_.end(), [&](const Error& row) {
        return row.code == name && row.text == answer.text;
    });
    if (exact != error_rows_.end()) {
        ++errors_[exact->name];
        return;
    }
    bool known = false;
    for (const auto& row : error_rows_) {
        if (row.code == name && fits(row.text, answer.text)) {
            ++errors_[row.name];
            known = true;
        }
    }
    if (!known && step.odd == nullptr) {  // grpc-go has more to say to calls that are odd
        strangers_.insert(fmt::format("{} {}", name, answer.text));
    }
}

std::string Coverage::table() const {
    std::string text = fmt::format("{:34}", "requests by field");
    for (const char* name : kClassNames) {
        text += fmt::format("{:>10}", name);
    }
    for (const auto* type : request_types()) {
        for (int i = 0; i < type->field_count(); ++i) {
            const auto& field = *type->field(i);
            text += fmt::format("\n{:34}", row_of(field));
            for (std::size_t c = 0; c < kClassNames.size(); ++c) {
                const bool exempt = field_exemption(field, static_cast<Class>(c)) != nullptr;
                text += exempt ? fmt::format("{:>10}", "-")
                               : fmt::format("{:10}", fields_.at(row_of(field))[c]);
            }
        }
    }
    text += "\n- : not to be had:\n";
    for (const auto& it : kKindExemptions) {
        text += fmt::format("    {} {}: {}\n", FieldDescriptor::CppTypeName(it.type),
                            kClassNames.at(static_cast<std::size_t>(it.without)), it.reason);
    }
    for (const auto& it : kFieldExemptions) {
        text += fmt::format("    {} {}: {}\n", it.field,
                            kClassNames.at(static_cast<std::size_t>(it.without)), it.reason);
    }
    return text + pair_table() + error_table();
}

std::string Coverage::pair_table() const {
    std::string text = "pairs of Range options, of requests that were granted:";
    std::string first;
    for (const auto& [pair, hits] : pairs_) {
        if (pair.first != first) {
            first = pair.first;
            text += fmt::format("\n    {} with", first);
        }
        text += fmt::format(" {} {},", pair.second, hits);
    }
    return text + "\n";
}

std::string Coverage::error_table() const {
    std::string text = "errors:\n";
    for (const auto& row : error_rows_) {
        if (error_exemption(row.name) == nullptr) {
            const auto found = errors_.find(row.name);
            text += fmt::format("{:9}x {}\n", found == errors_.end() ? 0 : found->second, row.name);
        }
    }
    for (const auto& exemption : error_exemptions()) {
        text += fmt::format("  exempt: {}:\n   ", exemption.reason);
        for (const auto& name : exemption.names) {
            text += " " + name;
        }
        text += "\n";
    }
    return text;
}

void Coverage::field_holes(std::vector<std::string>& holes) const {
    const auto check = [&](const FieldDescriptor& field, std::size_t c) {
        const bool exempt = field_exemption(field, static_cast<Class>(c)) != nullptr;
        if (exempt == (fields_.at(row_of(field)).at(c) > 0)) {
            holes.push_back(fmt::format("{} {}: {}", row_of(field), kClassNames.at(c),
                                        exempt ? "exempt, but hit" : "never sent"));
        }
    };
    for (const auto* type : request_types()) {
        for (int i = 0; i < type->field_count(); ++i) {
            for (std::size_t c = 0; c < kClassNames.size(); ++c) {
                check(*type->field(i), c);
            }
        }
    }
    for (const auto& exemption : kFieldExemptions) {
        if (!fields_.contains(exemption.field)) {
            holes.push_back(fmt::format("{}: exempt, but no field", exemption.field));
        }
    }
}

void Coverage::error_holes(std::vector<std::string>& holes) const {
    for (const auto& row : error_rows_) {
        const bool exempt = error_exemption(row.name) != nullptr;
        if (exempt == errors_.contains(row.name)) {
            holes.push_back(
                fmt::format("error {}: {}", row.name, exempt ? "exempt, but seen" : "never seen"));
        }
    }
    for (const auto& stranger : strangers_) {
        holes.push_back("an error that is not in the table: " + stranger);
    }
    for (const auto& exemption : error_exemptions()) {
        for (const auto& name : exemption.names) {
            const auto is_row = [&name](const Error& row) { return row.name == name; };
            if (std::none_of(error_rows_.begin(), error_rows_.end(), is_row)) {
                holes.push_back(fmt::format("error {}: exempt, but not in the table", name));
            }
        }
    }
}

std::vector<std::string> Coverage::holes() const {
    std::vector<std::string> holes;
    field_holes(holes);
    for (const auto& [pair, hits] : pairs_) {
        if (hits == 0) {
            holes.push_back(fmt::format("Range options {} + {}: never granted together", pair.first,
                                        pair.second));
        }
    }
    error_holes(holes);
    return holes;
}

}  // namespace cairn::diff
