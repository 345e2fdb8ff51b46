"""A client that takes next to nothing of a snapshot: its files are not kept for long."""

from __future__ import annotations

import unittest

from cairnd_test import CAIRN, metric
from nodes import CAIRND
from restore_test import EXIT_INTERRUPTED, SAVE_SECONDS, OfLoneMember

DRIP_BYTES = 500  # a second
HANG_SECONDS = 180


class SlowReader(OfLoneMember):
    def test_drops(self) -> None:
        proxy, process = self.begin_held_save(drip=DRIP_BYTES)
        self.wait_until_nothing_is_left(HANG_SECONDS)
        proxy.go_on.set()
        _, error = process.communicate(timeout=SAVE_SECONDS)
        self.assertEqual(process.returncode, EXIT_INTERRUPTED)
        # Newer kernels (6.18) count a window that opens too little for what waits as shut: they may
        # take the reader for dead, after the 20 s of TCP_USER_TIMEOUT.
        if metric(self.lone, "cairn_client_snapshots_stalled_total") == 1:
            self.assertIn("too little of the snapshot was taken in a minute", error)
        else:
            self.assertIn("the server closed the connection", error)


if __name__ == "__main__":
    if not (CAIRND and CAIRN):
        raise SystemExit("CAIRND and CAIRN must name the programs")
    unittest.main()
