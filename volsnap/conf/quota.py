"""Limits of projects that have no limits of their own."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt("quota_volumes", default=10, min=-1, help="Volumes of a project; -1: no limit."),
    cfg.IntOpt("quota_snapshots", default=10, min=-1, help="Snapshots of a project; -1: no limit."),
    cfg.IntOpt(
        "quota_gigabytes",
        default=1000,
        min=-1,
        help="GiB of a project's volumes and snapshots together; -1: no limit.",
    ),
    cfg.IntOpt(
        "per_volume_size_limit",
        default=-1,
        min=-1,
        help="GiB of one volume at the most; -1: no limit.",
    ),
    cfg.IntOpt("quota_backups", default=10, min=-1, help="Backups of a project; -1: no limit."),
    cfg.IntOpt(
        "quota_backup_gigabytes",
        default=1000,
        min=-1,
        help="GiB of a project's backups; -1: no limit.",
    ),
    cfg.IntOpt("quota_groups", default=10, min=-1, help="Groups of a project; -1: no limit."),
    cfg.BoolOpt(
        "no_snapshot_gb_quota",
        default=False,
        help="Snapshots do not count against the gigabytes of a project.",
    ),
]
