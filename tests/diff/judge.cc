#include "diff/judge.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include "diff/ties.h"
#include "diff/vary.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"

namespace cairn::diff {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using google::protobuf::FieldDescriptor;
using google::protobuf::RepeatedPtrField;
using google::protobuf::util::MessageDifferencer;
using Operations = RepeatedPtrField<RequestOp>;

// Sets every uint64 field of this name, at any depth, to 1 where it is `own`: its presence still
// counts, and so does a value that is not the server's own.
bool blur(Message& message, std::string_view name, std::uint64_t own) {
    const auto* reflection = message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    bool used = false;
    for (const auto* field : fields) {
        if (field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
            if (field->name() == name && reflection->GetUInt64(message, field) == own) {
                reflection->SetUInt64(&message, field, 1);
                used = true;
            }
        } else if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
            continue;
        } else if (field->is_repeated()) {
            for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
                used |= blur(*reflection->MutableRepeatedMessage(&message, field, i), name, own);
            }
        } else {
            used |= blur(*reflection->MutableMessage(&message, field), name, own);
        }
    }
    return used;
}

bool blur_both(Exchange& exchange, std::string_view name, std::uint64_t Identity::*own) {
    bool used = false;
    for (Answer* answer : {&exchange.etcd, &exchange.cairn}) {
        used |= answer->response != nullptr && blur(*answer->response, name, answer->server.*own);
    }
    return used;
}

// Where a text begins with `prefix` and goes on.
bool cut_text(Exchange& exchange, std::string_view prefix, std::string_view instead) {
    bool used = false;
    for (Answer* answer : {&exchange.etcd, &exchange.cairn}) {
        if (answer->text.starts_with(prefix) && answer->text != prefix) {
            answer->text = instead;
            used = true;
        }
    }
    return used;
}

bool cut_decode_error(Exchange& exchange) {
    constexpr std::string_view kPrefix = "grpc: error unmarshalling request: ";
    // Not the prefix alone: a text without any particulars is another one.
    return cut_text(exchange, kPrefix, "grpc: error unmarshalling request: ...");
}

bool cut_decompression_error(Exchange& exchange) {
    bool used = false;
    for (const std::string_view prefix :
         {"grpc: failed to decompress the message: ", "grpc: failed to read decompressed data: ",
          "grpc: failed to decompress the received message: ",
          "grpc: received message after decompression larger than max "}) {
        used |= cut_text(exchange, prefix, "grpc: decompression");
    }
    return used;
}

bool erase_from(std::string& text, std::string_view what) {
    const auto at = text.find(what);
    if (at != std::string::npos) {
        text.erase(at, what.size());
    }
    return at != std::string::npos;
}

bool unpack_answer(Exchange& exchange) {
    return erase_from(exchange.etcd.envelope, " grpc-encoding=gzip") &&
           erase_from(exchange.etcd.envelope, "compressed ");
}

bool drop_subtype(Exchange& exchange) {
    bool used = false;
    for (const std::string_view subtype : {"+proto", "+json", "+x"}) {
        const std::string type = "content-type=application/grpc" + std::string(subtype);
        if (exchange.etcd.envelope.find(type) != std::string::npos) {
            used |= erase_from(exchange.etcd.envelope, subtype);
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

// Does the test hold for a Range of this request?
template <class Test>
bool any_range(const Step& step, const Test& test) {
    if (step.call == Call::kRange) {
        return test(dynamic_cast<const RangeRequest&>(*step.request));
    }
    bool found = false;
    if (step.call == Call::kTxn) {
        each_operation(dynamic_cast<const TxnRequest&>(*step.request),
                       [&](const RequestOp& op) { found |= test(op.request_range()); });
    }
    return found;
}

bool sorts_by_unknown_target(const Step& step) {
    return any_range(step, [](const RangeRequest& range) {
        return !RangeRequest::SortTarget_IsValid(range.sort_target());
    });
}

bool sorts_in_unknown_order(const Step& step) {
    return any_range(step, [](const RangeRequest& range) {
        return !RangeRequest::SortOrder_IsValid(range.sort_order());
    });
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

bool passes_the_log(const Step& step) {
    return step.call != Call::kRange &&
           (step.call != Call::kTxn || !only_reads(dynamic_cast<const TxnRequest&>(*step.request)));
}

bool reads_to_an_explicit_empty_end(const Step& step) {
    return !passes_the_log(step) && has_explicit_empty(*step.request, "range_end");
}

// What etcd grants and cairn refuses with this text, and for that reason.
bool align_refused(Exchange& exchange, std::string_view text) {
    if (exchange.etcd.response == nullptr || exchange.cairn.text != text) {
        return false;
    }
    exchange.etcd = exchange.cairn.copy();
    return true;
}

bool align_unknown_order(Exchange& exchange) {
    return sorts_in_unknown_order(exchange.step) &&
           align_refused(exchange, "etcdserver: invalid sort option");
}

bool align_nested_put_without_space(Exchange& exchange) {
    if (exchange.step.call != Call::kTxn) {
        return false;
    }
    bool outer_put = false;
    const auto& request = dynamic_cast<const TxnRequest&>(*exchange.step.request);
    for (const Operations* branch : {&request.success(), &request.failure()}) {
        for (const RequestOp& op : *branch) {
            outer_put |= op.has_request_put();
        }
    }
    return !outer_put && align_refused(exchange, "etcdserver: mvcc: database space exceeded");
}

bool drop_empty_message(Exchange& exchange) {
    bool used = false;
    for (Answer* answer : {&exchange.etcd, &exchange.cairn}) {
        used |= answer->text.empty() && erase_from(answer->envelope, "grpc-message ");
    }
    return used;
}

struct Entry {
    std::string_view name;
    std::string_view reason;
    bool (*apply)(Exchange& exchange);      // makes the answers comparable; true: it changed one
    bool (*withhold)(const Step& request);  // or: such a request is not sent
};

// THE LIST. Numbers are those of docs/compatibility.md. What no entry names is compared to the bit.
constexpr std::array kEntries{
    Entry{"cluster_id", "a hash of the peer URLs, whose ports differ: the server's own, however",
          [](Exchange& it) { return blur_both(it, "cluster_id", &Identity::cluster_id); }, nullptr},
    Entry{"member_id", "a hash of the peer URLs, whose ports differ: the server's own, however",
          [](Exchange& it) { return blur_both(it, "member_id", &Identity::member_id); }, nullptr},
    Entry{"raft_term", "counts each server's own elections: the one since its start, however",
          [](Exchange& it) { return blur_both(it, "raft_term", &Identity::raft_term); }, nullptr},
    Entry{"a grpc-message that is empty",
          "grpc-go sends it; gRPC reads one that is absent the same", drop_empty_message, nullptr},
    Entry{"words of a decoding error", "what follows grpc-go's prefix is the decoder's own text",
          cut_decode_error, nullptr},
    Entry{"words of a decompression error", "zlib's are not Go's", cut_decompression_error,
          nullptr},
    Entry{"an answer in gzip", "etcd answers in the request's encoding; cairn never compresses",
          unpack_answer, nullptr},
    Entry{"the subtype of application/grpc",
          "grpc-go repeats the request's; gRPC does not ask it to", drop_subtype, nullptr},
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
    Entry{"unknown sort_target", "(4) etcd 3.5 ends with a panic", nullptr,
          sorts_by_unknown_target},
    Entry{"unknown sort_order", "(4) etcd 3.5 does not sort at all; cairn refuses it as 3.6 does",
          align_unknown_order, nullptr},
    Entry{"unknown sort_order in a txn that writes",
          "(4) the same, and the stores would differ from then on", nullptr,
          [](const Step& step) { return passes_the_log(step) && sorts_in_unknown_order(step); }},
};

std::string describe_end(const Answer& answer) {
    return fmt::format("{} \"{}\"", wire::grpc_code_name(answer.code), answer.text);
}

}  // namespace

std::optional<std::string> Judge::difference(const Exchange& exchange) {
    auto text = compare(exchange.copy());
    const auto& odd = exchange.step.odd;
    if (odd == nullptr || odd->differs == 0) {
        return text;
    }
    return text.has_value()
               ? std::nullopt
               : std::optional(fmt::format("  alike, against row {} of docs/compatibility.md: {}\n",
                                           odd->differs, describe(exchange.etcd)));
}

std::optional<std::string> Judge::compare(Exchange copy) {
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
    if (etcd.envelope != cairn.envelope) {
        return fmt::format("  etcd sent {}\n  cairn sent {}\n", etcd.envelope, cairn.envelope);
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
