"""These tests run where LVM was asked for, which is in the guest; elsewhere they are not collected."""

import os

if "lvm" not in os.environ.get("VOLSNAP_TEST_BACKENDS", ""):
    collect_ignore_glob = ["test_*.py"]
