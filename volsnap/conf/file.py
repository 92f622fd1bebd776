"""The options of a file backend; each ``dest`` is a field of the driver's ``FileSettings``."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "directory",
        default="$state_path/backend",
        help="The directory that holds the volumes and snapshots as sparse raw files. On XFS or "
        "btrfs a snapshot shares blocks with its volume (reflink) and is cut in an instant; "
        "elsewhere it is a copy of the written data. It is made on first use; later it is known "
        "by the marker file in it, and without that marker nothing is taken for absent.",
    ),
    cfg.StrOpt(
        "mount_point",
        default="",
        help="The mount point of the file system that holds the directory. Set it whenever that "
        "is not the root file system: then nothing is ever made while it is not mounted.",
    ),
    cfg.FloatOpt(
        "deadline_s",
        default=30.0,
        min=1.0,
        help="Seconds in which the file system has to answer a call, or make progress with a "
        "copy; after that the backend counts as unavailable.",
    ),
    cfg.FloatOpt(
        "reserved_percent",
        default=5.0,
        min=0.0,
        max=90.0,
        help="Percent of the file system that new volumes and snapshots leave free, so that "
        "volumes in use can still be written.",
    ),
]
