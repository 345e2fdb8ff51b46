#include "diff/plants.h"

#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::diff {
namespace {

using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::TxnResponse;

// The answer to a Range by itself, or null.
RangeResponse* range_answer(const Step& step, const Answer& answer) {
    return step.call == Call::kRange && answer.response != nullptr
               ? &dynamic_cast<RangeResponse&>(*answer.response)
               : nullptr;
}

const RangeRequest& range_request(const Step& step) {
    return dynamic_cast<const RangeRequest&>(*step.request);
}

TxnResponse* txn_answer(const Step& step, const Answer& answer) {
    return step.call == Call::kTxn && answer.response != nullptr
               ? &dynamic_cast<TxnResponse&>(*answer.response)
               : nullptr;
}

void count_only_what_is_returned(const Step& step, Answer& answer) {
    auto* response = range_answer(step, answer);
    if (response != nullptr && response->more()) {
        response->set_count(response->kvs_size());
    }
}

void forget_prev_kv_in_txn(const Step& step, Answer& answer) {
    auto* response = txn_answer(step, answer);
    for (int i = 0; response != nullptr && i < response->responses_size(); ++i) {
        if (response->responses(i).response_put().has_prev_kv()) {
            response->mutable_responses(i)->mutable_response_put()->clear_prev_kv();
        }
    }
}

void forget_more_of_one(const Step& step, Answer& answer) {
    auto* response = range_answer(step, answer);
    if (response != nullptr && response->count() == response->kvs_size() + 1) {
        response->set_more(false);
    }
}

void swap_the_last_of_descending(const Step& step, Answer& answer) {
    auto* response = range_answer(step, answer);
    if (response != nullptr && response->kvs_size() >= 3 &&
        range_request(step).sort_order() == RangeRequest::DESCEND &&
        range_request(step).sort_target() == RangeRequest::KEY) {
        response->mutable_kvs()->SwapElements(response->kvs_size() - 2, response->kvs_size() - 1);
    }
}

void say_compacted_without_prefix(const Step& step, Answer& answer) {
    if (step.call == Call::kTxn && answer.text.ends_with("required revision has been compacted")) {
        answer.text = "mvcc: required revision has been compacted";
    }
}

void exhaust_where_too_large(const Step& /*step*/, Answer& answer) {
    if (answer.text == "etcdserver: request is too large") {
        answer.code = wire::GrpcCode::kResourceExhausted;
    }
}

void count_versions_of_the_past_from_zero(const Step& step, Answer& answer) {
    auto* response = range_answer(step, answer);
    if (response != nullptr && range_request(step).revision() != 0) {
        for (auto& kv : *response->mutable_kvs()) {
            kv.set_version(kv.version() - 1);
        }
    }
}

void create_deleted_keys_late(const Step& step, Answer& answer) {
    if (step.call == Call::kDeleteRange && answer.response != nullptr) {
        for (auto& kv : *dynamic_cast<DeleteRangeResponse&>(*answer.response).mutable_prev_kvs()) {
            kv.set_create_revision(kv.mod_revision());
        }
    }
}

// As if a nested answer carried the revision before the transaction.
void date_nested_ranges_back(const Step& step, Answer& answer) {
    auto* response = txn_answer(step, answer);
    for (int i = 0; response != nullptr && i < response->responses_size(); ++i) {
        auto& result = *response->mutable_responses(i);
        if (i > 0 && result.has_response_range() && response->responses(i - 1).has_response_put()) {
            auto& header = *result.mutable_response_range()->mutable_header();
            header.set_revision(header.revision() - 1);
        }
    }
}

void keep_values_of_sorted_keys(const Step& step, Answer& answer) {
    auto* response = range_answer(step, answer);
    if (response != nullptr && response->kvs_size() > 0 && range_request(step).keys_only() &&
        range_request(step).sort_target() == RangeRequest::VALUE) {
        response->mutable_kvs(0)->set_value("x");
    }
}

void drop_nested_header(const Step& step, Answer& answer) {
    auto* response = txn_answer(step, answer);
    for (int i = 0; response != nullptr && i < response->responses_size(); ++i) {
        auto& result = *response->mutable_responses(i);
        if (result.has_response_txn()) {
            result.mutable_response_txn()->clear_header();
        }
    }
}

void fail_empty_intervals(const Step& step, Answer& answer) {
    auto* response = txn_answer(step, answer);
    if (response == nullptr) {
        return;
    }
    const auto& request = dynamic_cast<const etcdserverpb::TxnRequest&>(*step.request);
    if (request.compare_size() == 1 && response->succeeded() &&
        !request.compare(0).range_end().empty() &&
        request.compare(0).range_end() <= request.compare(0).key()) {
        response->set_succeeded(false);
    }
}

void name_another_member(const Step& step, Answer& answer) {
    if (step.call == Call::kCompact && answer.response != nullptr) {
        auto& header =
            *dynamic_cast<etcdserverpb::CompactionResponse&>(*answer.response).mutable_header();
        header.set_member_id(header.member_id() + 1);
    }
}

void say_headers_before_an_error(const Step& /*step*/, Answer& answer) {
    if (answer.text == "etcdserver: duplicate key given in txn request") {
        answer.envelope = "[:status=200 content-type=application/grpc][grpc-message grpc-status]";
    }
}

}  // namespace

const std::vector<PlantedFault>& planted_faults() {
    static const std::vector<PlantedFault> all{
        {"count is cut by the limit", count_only_what_is_returned},
        {"a put in a txn forgets prev_kv", forget_prev_kv_in_txn},
        {"more is lost when one key is left", forget_more_of_one},
        {"the end of a descending range is out of order", swap_the_last_of_descending},
        {"the text of one error in a txn lacks its prefix", say_compacted_without_prefix},
        {"the code of a request too large is another", exhaust_where_too_large},
        {"version is too low at an older revision", count_versions_of_the_past_from_zero},
        {"create_revision of deleted pairs is their mod_revision", create_deleted_keys_late},
        {"header.revision of a range after a put in a txn is too low", date_nested_ranges_back},
        {"a value stays in keys_only sorted by value", keep_values_of_sorted_keys},
        {"the empty header of a nested txn is missing", drop_nested_header},
        {"a guard on an empty interval fails", fail_empty_intervals},
        {"the header of a compaction names another member", name_another_member},
        {"an error has headers of its own", say_headers_before_an_error},
    };
    return all;
}

}  // namespace cairn::diff
