"""Options of the RBD driver. Invariant: each is called as a field of ``RbdSettings``.

Names, and defaults where they are good, are Cinder's; a section of a ``cinder.conf`` can be taken over.
"""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt("rbd_pool", default="rbd", help="The RADOS pool where volumes are stored."),
    cfg.StrOpt("rbd_user", help="The RADOS client name; by default admin."),
    cfg.StrOpt(
        "rbd_ceph_conf",
        default="/etc/ceph/ceph.conf",
        help="The Ceph configuration file; it names the monitors and the keyring.",
    ),
    cfg.StrOpt("rbd_cluster_name", default="ceph", help="The cluster's name, told to the hypervisors."),
    cfg.StrOpt("rbd_secret_uuid", help="The libvirt secret that hypervisors read the client's key from."),
    cfg.IntOpt(
        "rbd_max_clone_depth",
        default=5,
        min=1,
        max=15,
        help="How many clones may hang one on another; the next one is flattened, which copies "
        "its data. The kernel's client opens 16.",
    ),
    cfg.IntOpt(
        "rbd_max_snapshots_per_image",
        default=400,
        min=1,
        max=500,
        help="The most snapshots of one volume; those that wait for their clones count. "
        "The kernel's client maps images with up to 510.",
    ),
    cfg.IntOpt(
        "rbd_refuse_percent",
        default=92,
        min=1,
        max=100,
        help="New volumes and snapshots are refused when the cluster or the pool's quota is that "
        "full. Behind Ceph's own full ratio (95 %) writers just block.",
    ),
    cfg.FloatOpt(
        "rbd_stats_max_age_s",
        default=1.0,
        min=0,
        help="How old the capacity numbers may be that a create is allowed on.",
    ),
    cfg.FloatOpt(
        "rbd_deadline_s",
        default=20.0,
        min=2,
        help="Seconds after which a call that does not copy data is given up; its outcome is then asked for.",
    ),
    cfg.FloatOpt(
        "rbd_purge_wait_s",
        default=2.0,
        min=0,
        help="How long a delete waits for the space to be free; larger volumes go on in the "
        "background, out of the trash.",
    ),
]
