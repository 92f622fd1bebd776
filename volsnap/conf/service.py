"""What every service of volsnap shares: who it is, where it keeps its files, how it works through the journal."""

import socket

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt("state_path", default="/var/lib/volsnap", help="Folder for what volsnap keeps."),
    cfg.StrOpt(
        "host",
        default=socket.gethostname(),
        sample_default="this machine's name",
        help="Name of this host. Two volume services with the same name share one backend's work: when one dies, "
        "the other goes on.",
    ),
    cfg.ListOpt(
        "enabled_backends",
        default=["file"],
        help="Names of the configuration sections that each describe one storage backend.",
    ),
    cfg.StrOpt("storage_availability_zone", default="nova", help="The zone of this host's backends."),
    cfg.FloatOpt(
        "create_ack_timeout",
        default=5.0,
        min=0,
        help="A snapshot request is answered when its point in time is cut, but after this many seconds at the latest.",
    ),
    cfg.FloatOpt(
        "operation_deadline",
        default=60.0,
        min=1,
        help="After this many seconds without an answer from the storage the user is told that the request failed; "
        "the service goes on until it knows what became of it.",
    ),
    cfg.FloatOpt(
        "lease_seconds",
        default=10.0,
        min=1,
        help="Work that a dead service held is taken over after this many seconds.",
    ),
    cfg.FloatOpt(
        "poll_interval",
        default=2.0,
        min=0.1,
        help="How often a service looks for work it was not woken for, in seconds.",
    ),
    cfg.FloatOpt(
        "maintain_interval",
        default=5.0,
        min=0.5,
        help="How often a backend is cared for (COW areas, trash, capacity report), in seconds.",
    ),
    cfg.FloatOpt(
        "service_down_time",
        default=60.0,
        min=1,
        help="A service that has not reported for this many seconds counts as down.",
    ),
    cfg.IntOpt("cut_threads", default=16, min=1, help="Short operations that a backend runs at once."),
    cfg.IntOpt(
        "copy_threads",
        default=2,
        min=1,
        help="Long operations (copies, merges) that a backend runs at once.",
    ),
    cfg.StrOpt("default_volume_type", default="__DEFAULT__", help="Type of a volume that names none."),
    cfg.BoolOpt("debug", default=False, help="Log what is of use to developers only."),
]
