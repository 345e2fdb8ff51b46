#include <ostream>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/go_syntax.h"
#include "client/ctl/json.h"
#include "client/ctl/print.h"
#include "client/ctl/protobuf.h"
#include "client/ctl/style.h"

namespace cairn::client::ctl {
namespace {

std::string shown(const Context& context, std::string_view bytes) {
    if (!context.hex) {
        return std::string(bytes);
    }
    std::string text;
    for (const char byte : bytes) {
        text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    }
    return text;
}

void print_pair(const Context& context, const KeyValue& kv, bool value_only) {
    if (!value_only) {
        const bool colours = context.streams.terminal.colours_out;
        context.streams.out << painted(colours, Paint::kCyan, shown(context, kv.key)) << "\n";
    }
    context.streams.out << shown(context, kv.value) << "\n";
}

void print_pair_fields(const Context& context, const KeyValue& kv, std::string_view prefix) {
    context.streams.out << fmt::format(
        "\"{0}Key\" : {1}\n\"{0}CreateRevision\" : {2}\n\"{0}ModRevision\" : {3}\n"
        "\"{0}Version\" : {4}\n\"{0}Value\" : {5}\n\"{0}Lease\" : {6}\n",
        prefix, quote_go(kv.key), kv.create_revision, kv.mod_revision, kv.version,
        quote_go(kv.value), kv.lease);
}

std::string pair_json(const KeyValue& kv) {
    return JsonObject()
        .bytes("key", kv.key)
        .signed_number("create_revision", kv.create_revision)
        .signed_number("mod_revision", kv.mod_revision)
        .signed_number("version", kv.version)
        .bytes("value", kv.value)
        .signed_number("lease", kv.lease)
        .take();
}

void add_pairs(JsonObject& object, std::string_view name, const std::vector<KeyValue>& kvs) {
    JsonArray array;
    for (const KeyValue& kv : kvs) {
        array.add(pair_json(kv));
    }
    if (!array.empty()) {
        object.raw(name, array.take());
    }
}

JsonObject with_header(const ResponseHeader& header) {
    JsonObject object;
    object.raw("header", header_json(header, false));
    return object;
}

std::string json_of(const GetResponse& response) {
    JsonObject object = with_header(response.header);
    add_pairs(object, "kvs", response.kvs);
    return object.flag("more", response.more).signed_number("count", response.count).take();
}

std::string json_of(const PutResponse& response) {
    JsonObject object = with_header(response.header);
    if (response.prev_kv) {
        object.raw("prev_kv", pair_json(*response.prev_kv));
    }
    return object.take();
}

std::string json_of(const DeleteResponse& response) {
    JsonObject object = with_header(response.header);
    object.signed_number("deleted", response.deleted);
    add_pairs(object, "prev_kvs", response.prev_kvs);
    return object.take();
}

std::string json_of(const TxnResponse& response);

// Go's encoder shows the oneof's wrapper, hence two levels.
std::string json_of(const OpResponse& response) {
    JsonObject inner;
    if (const auto* get = std::get_if<GetResponse>(&response)) {
        inner.raw("response_range", json_of(*get));
    } else if (const auto* put = std::get_if<PutResponse>(&response)) {
        inner.raw("response_put", json_of(*put));
    } else if (const auto* del = std::get_if<DeleteResponse>(&response)) {
        inner.raw("response_delete_range", json_of(*del));
    } else {
        inner.raw("response_txn", json_of(*std::get<std::shared_ptr<const TxnResponse>>(response)));
    }
    return JsonObject().raw("Response", inner.take()).take();
}

std::string json_of(const TxnResponse& response) {
    JsonObject object = with_header(response.header);
    object.flag("succeeded", response.succeeded);
    JsonArray array;
    for (const OpResponse& op : response.responses) {
        array.add(json_of(op));
    }
    if (!array.empty()) {
        object.raw("responses", array.take());
    }
    return object.take();
}

void print_op(const Context& context, const OpResponse& response) {
    if (const auto* get = std::get_if<GetResponse>(&response)) {
        print_get(context, *get, false);
    } else if (const auto* put = std::get_if<PutResponse>(&response)) {
        print_put(context, *put);
    } else if (const auto* del = std::get_if<DeleteResponse>(&response)) {
        print_del(context, *del);
    } else {
        print_txn(context, *std::get<std::shared_ptr<const TxnResponse>>(response));
    }
}

}  // namespace

void print_get(const Context& context, const GetResponse& response, bool value_only) {
    std::ostream& out = context.streams.out;
    switch (context.output) {
        case Output::kJson: out << json_of(response) << "\n"; return;
        case Output::kProtobuf: out << protobuf_of(response); return;
        case Output::kFields:
            print_header_fields(context, response.header);
            for (const KeyValue& kv : response.kvs) {
                print_pair_fields(context, kv, "");
            }
            out << fmt::format("\"More\" : {}\n\"Count\" : {}\n", response.more, response.count);
            return;
        case Output::kSimple:
            for (const KeyValue& kv : response.kvs) {
                print_pair(context, kv, value_only);
            }
            return;
        case Output::kTable: CAIRN_UNREACHABLE();
    }
}

void print_put(const Context& context, const PutResponse& response) {
    std::ostream& out = context.streams.out;
    switch (context.output) {
        case Output::kJson: out << json_of(response) << "\n"; return;
        case Output::kProtobuf: out << protobuf_of(response); return;
        case Output::kFields:
            print_header_fields(context, response.header);
            if (response.prev_kv) {
                print_pair_fields(context, *response.prev_kv, "Prev");
            }
            return;
        case Output::kSimple:
            out << painted(context.streams.terminal.colours_out, Paint::kGreen, "OK") << "\n";
            if (response.prev_kv) {
                print_pair(context, *response.prev_kv, false);
            }
            return;
        case Output::kTable: CAIRN_UNREACHABLE();
    }
}

void print_del(const Context& context, const DeleteResponse& response) {
    std::ostream& out = context.streams.out;
    switch (context.output) {
        case Output::kJson: out << json_of(response) << "\n"; return;
        case Output::kProtobuf: out << protobuf_of(response); return;
        case Output::kFields:
            print_header_fields(context, response.header);
            out << fmt::format("\"Deleted\" : {}\n", response.deleted);
            for (const KeyValue& kv : response.prev_kvs) {
                print_pair_fields(context, kv, "Prev");
            }
            return;
        case Output::kSimple:
            out << response.deleted << "\n";
            for (const KeyValue& kv : response.prev_kvs) {
                print_pair(context, kv, false);
            }
            return;
        case Output::kTable: CAIRN_UNREACHABLE();
    }
}

void print_txn(const Context& context, const TxnResponse& response) {
    std::ostream& out = context.streams.out;
    if (context.output == Output::kJson) {
        out << json_of(response) << "\n";
        return;
    }
    if (context.output == Output::kProtobuf) {
        out << protobuf_of(response);
        return;
    }
    const bool simple = context.output == Output::kSimple;
    if (simple) {
        const bool colours = context.streams.terminal.colours_out;
        out << (response.succeeded ? painted(colours, Paint::kGreen, "SUCCESS")
                                   : painted(colours, Paint::kRed, "FAILURE"))
            << "\n";
    } else {
        print_header_fields(context, response.header);
        out << fmt::format("\"Succeeded\" : {}\n", response.succeeded);
    }
    for (const OpResponse& op : response.responses) {
        out << (simple ? "\n" : "");
        print_op(context, op);
    }
}

}  // namespace cairn::client::ctl
