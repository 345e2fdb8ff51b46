// cairnd: the server.
#include "server/run.h"
#include "storage/posix_fs.h"

int main(int argc, char** argv) {
    cairn::storage::PosixFs files;
    return cairn::server::run_cairnd(argc, argv, files);
}
