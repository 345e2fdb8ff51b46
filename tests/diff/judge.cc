#include "diff/judge.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include "diff/vary.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"

namespace cairn::diff {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;
using google::protobuf::FieldDescriptor;
using google::protobuf::RepeatedPtrField;
using google::protobuf::util::MessageDifferencer;
using mvccpb::KeyValue;
using Operations = RepeatedPtrField<RequestOp>;

constexpr std::string_view kDecodeError = "grpc: error unmarshalling request: ";
// Up to here etcd's sort is an insertion sort, which keeps the order of equal elements.
constexpr std::int64_t kStableSortMax = 12;

// Sets every uint64 field of this name, at any depth, to 1 where it is set: its presence still
// counts.
bool blur(Message& message, std::string_view name) {
    const auto* reflection = message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    bool used = false;
    for (const auto* field : fields) {
        if (field->name() == name && field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
            reflection->SetUInt64(&message, field, 1);
            used = true;
        } else if (field->is_repeated()) {
            for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
                used |= blur(*reflection->MutableRepeatedMessage(&message, field, i), name);
            }
        } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
            used |= blur(*reflection->MutableMessage(&message, field), name);
        }
    }
    return used;
}

bool blur_both(Exchange& exchange, std::string_view name) {
    bool used = false;
    for (Answer* answer : {&exchange.etcd, &exchange.cairn}) {
        used |= answer->response != nullptr && blur(*answer->response, name);
    }
    return used;
}

bool cut_decode_error(Exchange& exchange) {
    bool used = false;
    for (Answer* answer : {&exchange.etcd, &exchange.cairn}) {
        if (answer->text.starts_with(kDecodeError) && answer->text != kDecodeError) {
            answer->text = kDecodeError;
            used = true;
        }
    }
    return used;
}

// Two pairs that the sort finds equal, as far as the answer tells: with keys_only, by value, all
// are.
bool tie(const RangeRequest& request, const KeyValue& a, const KeyValue& b) {
    switch (static_cast<int>(request.sort_target())) {
        case RangeRequest::VERSION: return a.version() == b.version();
        case RangeRequest::CREATE: return a.create_revision() == b.create_revision();
        case RangeRequest::MOD: return a.mod_revision() == b.mod_revision();
        case RangeRequest::VALUE: return a.value() == b.value();
        default: return false;
    }
}

// Nothing but what such pairs have in common.
KeyValue what_ties(const RangeRequest& request, const KeyValue& kv) {
    KeyValue rest;
    switch (static_cast<int>(request.sort_target())) {
        case RangeRequest::VERSION: rest.set_version(kv.version()); break;
        case RangeRequest::CREATE: rest.set_create_revision(kv.create_revision()); break;
        case RangeRequest::MOD: rest.set_mod_revision(kv.mod_revision()); break;
        default: rest.set_value(kv.value()); break;
    }
    return rest;
}

bool settle_ties(const RangeRequest& request, RangeResponse& response) {
    if (request.sort_target() == RangeRequest::KEY || response.count() <= kStableSortMax) {
        return false;
    }
    bool used = false;
    auto& kvs = *response.mutable_kvs();
    for (auto first = kvs.begin(); first != kvs.end();) {
        const auto end = std::find_if_not(
            first, kvs.end(), [&](const KeyValue& kv) { return tie(request, *first, kv); });
        std::sort(first, end,
                  [](const KeyValue& a, const KeyValue& b) { return a.key() < b.key(); });
        used |= end - first > 1;
        if (response.more() && end == kvs.end()) {
            // Which of these the limit kept is as arbitrary as their order.
            used = true;
            const KeyValue shared = what_ties(request, *first);
            std::fill(first, end, shared);
        }
        first = end;
    }
    return used;
}

bool settle_ties(const TxnRequest& request, TxnResponse& response) {
    const Operations& operations = response.succeeded() ? request.success() : request.failure();
    bool used = false;
    for (int i = 0; i < std::min(operations.size(), response.responses_size()); ++i) {
        auto& result = *response.mutable_responses(i);
        if (operations[i].has_request_range() && result.has_response_range()) {
            used |= settle_ties(operations[i].request_range(), *result.mutable_response_range());
        } else if (operations[i].has_request_txn() && result.has_response_txn()) {
            used |= settle_ties(operations[i].request_txn(), *result.mutable_response_txn());
        }
    }
    return used;
}

bool settle_ties(Exchange& exchange) {
    bool used = false;
    for (Answer* answer : {&exchange.etcd, &exchange.cairn}) {
        if (answer->response == nullptr) {
            continue;
        }
        if (exchange.step.call == Call::kRange) {
            used |= settle_ties(dynamic_cast<const RangeRequest&>(*exchange.step.request),
                                dynamic_cast<RangeResponse&>(*answer->response));
        } else if (exchange.step.call == Call::kTxn) {
            used |= settle_ties(dynamic_cast<const TxnRequest&>(*exchange.step.request),
                                dynamic_cast<TxnResponse&>(*answer->response));
        }
    }
    return used;
}

// Calls `visit` with every operation, also of nested transactions.
template <class Visit>
void each_operation(const TxnRequest& request, const Visit& visit) {
    for (const Operations* branch : {&request.success(), &request.failure()}) {
        for (const RequestOp& op : *branch) {
            visit(op);
            if (op.has_request_txn()) {
                each_operation(op.request_txn(), visit);
            }
        }
    }
}

bool sorts_by_unknown(const Step& step) {
    const auto unknown = [](const RangeRequest& range) {
        return !RangeRequest::SortOrder_IsValid(range.sort_order()) ||
               !RangeRequest::SortTarget_IsValid(range.sort_target());
    };
    if (step.call == Call::kRange) {
        return unknown(dynamic_cast<const RangeRequest&>(*step.request));
    }
    bool found = false;
    if (step.call == Call::kTxn) {
        each_operation(dynamic_cast<const TxnRequest&>(*step.request),
                       [&](const RequestOp& op) { found |= unknown(op.request_range()); });
    }
    return found;
}

bool puts_below_open_delete(const Step& step) {
    if (step.call != Call::kTxn) {
        return false;
    }
    std::optional<std::string> first_deleted;
    std::string last_put;
    each_operation(dynamic_cast<const TxnRequest&>(*step.request), [&](const RequestOp& op) {
        const auto& erase = op.request_delete_range();
        if (erase.range_end() == std::string(1, '\0')) {
            first_deleted = std::min(first_deleted.value_or(erase.key()), erase.key());
        }
        last_put = std::max(last_put, op.request_put().key());
    });
    return first_deleted.has_value() && !last_put.empty() && last_put >= *first_deleted;
}

bool only_reads(const TxnRequest& request) {
    bool reads = true;
    for (const Operations* branch : {&request.success(), &request.failure()}) {
        for (const RequestOp& op : *branch) {
            reads &= op.has_request_range();
        }
    }
    return reads;
}

bool reads_to_an_explicit_empty_end(const Step& step) {
    const bool passes_the_log =
        step.call != Call::kRange &&
        (step.call != Call::kTxn || !only_reads(dynamic_cast<const TxnRequest&>(*step.request)));
    return !passes_the_log && has_explicit_empty(*step.request, "range_end");
}

// cairn refuses for a put in a nested transaction what etcd lets in.
bool align_nested_put_without_space(Exchange& exchange) {
    if (exchange.step.call != Call::kTxn || exchange.etcd.response == nullptr ||
        exchange.cairn.text != "etcdserver: mvcc: database space exceeded") {
        return false;
    }
    bool outer_put = false;
    const auto& request = dynamic_cast<const TxnRequest&>(*exchange.step.request);
    for (const Operations* branch : {&request.success(), &request.failure()}) {
        for (const RequestOp& op : *branch) {
            outer_put |= op.has_request_put();
        }
    }
    if (outer_put) {
        return false;
    }
    exchange.etcd = exchange.cairn.copy();
    return true;
}

struct Entry {
    std::string_view name;
    std::string_view reason;
    bool (*apply)(Exchange& exchange);      // makes the answers comparable; true: it changed one
    bool (*withhold)(const Step& request);  // or: such a request is not sent
};

// THE LIST. Numbers are those of docs/compatibility.md. What no entry names is compared to the bit.
constexpr std::array kEntries{
    Entry{"cluster_id", "a hash of the peer URLs, whose ports differ",
          [](Exchange& exchange) { return blur_both(exchange, "cluster_id"); }, nullptr},
    Entry{"member_id", "a hash of the peer URLs, whose ports differ",
          [](Exchange& exchange) { return blur_both(exchange, "member_id"); }, nullptr},
    Entry{"raft_term", "counts each server's own elections",
          [](Exchange& exchange) { return blur_both(exchange, "raft_term"); }, nullptr},
    Entry{"words of a decoding error", "what follows grpc-go's prefix is the decoder's own text",
          cut_decode_error, nullptr},
    Entry{"ties in a sort of more than 12 keys",
          "(1) etcd's sort leaves them in any order, and the limit picks any of them", settle_ties,
          nullptr},
    Entry{"put beside a delete with the open end", "(2) etcd lets it in and may crash on it",
          nullptr, puts_below_open_delete},
    Entry{"put in a nested txn under NOSPACE", "(9) etcd looks for puts at the top alone",
          align_nested_put_without_space, nullptr},
    Entry{"a read with a range_end that is there, and empty",
          "(10) etcd's decoder makes it the open end, unless the request passes its log", nullptr,
          reads_to_an_explicit_empty_end},
    Entry{"field of another wire type",
          "(11) etcd's decoder refuses it; protobuf's own take it for an unknown field", nullptr,
          [](const Step& step) { return has_wrong_wire_type(*step.request); }},
    Entry{"unknown sort_target or sort_order",
          "(4) etcd 3.5 crashes on the first, sorts by nothing on the second; cairn refuses as 3.6",
          nullptr, sorts_by_unknown},
};

std::string describe_end(const Answer& answer) {
    return fmt::format("{} \"{}\"", wire::grpc_code_name(answer.code), answer.text);
}

}  // namespace

std::optional<std::string> Judge::difference(const Exchange& exchange) {
    Exchange copy{
        .step = exchange.step, .etcd = exchange.etcd.copy(), .cairn = exchange.cairn.copy()};
    for (const Entry& entry : kEntries) {
        if (entry.apply != nullptr && entry.apply(copy)) {
            ++uses_[std::string(entry.name)];
        }
    }
    const Answer& etcd = copy.etcd;
    const Answer& cairn = copy.cairn;
    if (etcd.code != cairn.code || etcd.text != cairn.text) {
        return fmt::format("  etcd ends with {}, cairn with {}\n", describe_end(etcd),
                           describe_end(cairn));
    }
    if (etcd.response == nullptr) {
        return std::nullopt;
    }
    MessageDifferencer differencer;
    std::string text;
    differencer.ReportDifferencesToString(&text);
    if (differencer.Compare(*etcd.response, *cairn.response)) {
        return std::nullopt;
    }
    return text;
}

bool Judge::is_withheld(const Step& step) {
    for (const Entry& entry : kEntries) {
        if (step.request != nullptr && entry.withhold != nullptr && entry.withhold(step)) {
            ++uses_[std::string(entry.name)];
            return true;
        }
    }
    return false;
}

std::string Judge::report() const {
    std::string text = "not compared:\n";
    for (const Entry& entry : kEntries) {
        const auto found = uses_.find(std::string(entry.name));
        text +=
            fmt::format("{:9}x {}{}: {}\n", found == uses_.end() ? 0 : found->second,
                        entry.withhold == nullptr ? "" : "not sent: ", entry.name, entry.reason);
    }
    return text;
}

bool Judge::has_idle_entry() const {
    return std::any_of(kEntries.begin(), kEntries.end(), [this](const Entry& entry) {
        return !uses_.contains(std::string(entry.name));
    });
}

}  // namespace cairn::diff
