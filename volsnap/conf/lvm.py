"""Options of the LVM driver; ``dest`` is the field of ``LvmSettings``, the name is Cinder's where Cinder has one."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "volume_group",
        default="volsnap-volumes",
        help="Name of the LVM volume group that holds the volumes and their snapshots.",
    ),
    cfg.StrOpt(
        "lvm_type",
        default="thin",
        choices=[
            ("thin", "Volumes in a thin pool: snapshots, clones and reverts copy nothing."),
            ("thick", "Plain volumes; a snapshot has a COW area that is watched and extended."),
            ("default", "Cinder's word for thick."),
        ],
        help="How volumes are laid out.",
    ),
    cfg.StrOpt(
        "lvm_thin_pool",
        default="",
        help="Name of the thin pool in the volume group; empty: <volume_group>-pool, as in Cinder. "
        "It is made at the first start when it is missing.",
    ),
    cfg.IntOpt(
        "lvm_thin_pool_percent",
        default=95,
        min=1,
        max=100,
        help="Share of the volume group's free space, in percent, that a new thin pool gets. "
        "The rest lets its metadata grow.",
    ),
    cfg.FloatOpt(
        "lvm_max_over_subscription_ratio",
        default=20.0,
        min=1.0,
        help="How many times the size of the thin pool volumes may promise in all; the next is refused.",
    ),
    cfg.IntOpt(
        "lvm_warn_percent",
        default=70,
        min=1,
        max=100,
        help="Fill of the thin pool (data or metadata), in percent, from which on the log warns.",
    ),
    cfg.IntOpt(
        "lvm_refuse_percent",
        default=85,
        min=1,
        max=100,
        help="Fill of the thin pool (data or metadata), in percent, from which on new volumes and "
        "snapshots are refused, so that the volumes that are there can still be written.",
    ),
    cfg.IntOpt(
        "lvm_cow_percent",
        default=20,
        min=1,
        max=110,
        help="Size of a thick snapshot's COW area when it is made, in percent of the volume.",
    ),
    cfg.IntOpt(
        "lvm_cow_min_mib",
        default=256,
        min=4,
        help="A COW area is never made smaller than this, in MiB, unless the volume cannot fill that.",
    ),
    cfg.IntOpt(
        "lvm_cow_extend_percent",
        default=50,
        min=5,
        max=95,
        help="Fill of a COW area, in percent, at which it is doubled. It has to last until the next "
        "round of care, a few seconds, at the highest speed a volume is written.",
    ),
    cfg.StrOpt(
        "lvm_config",
        default="",
        help="More for the --config of every LVM command, in LVM's own syntax, for example a device "
        'filter that saves scanning: devices{global_filter=["a|^/dev/sdb$|","r|.*|"]}',
    ),
    cfg.FloatOpt(
        "lvm_deadline_s",
        default=60.0,
        min=1.0,
        help="Seconds after which an LVM command is killed and the operation is looked into again.",
    ),
]
