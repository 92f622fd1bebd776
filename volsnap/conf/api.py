"""How the REST API listens, authenticates and answers. Every option is in the default group, under Cinder's name."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "auth_strategy",
        default="noauth",
        choices=[
            ("noauth", "Believe the token, which reads USER:PROJECT or USER:PROJECT:ROLE,ROLE."),
        ],
        help="How a request proves who sent it.",
    ),
    cfg.IntOpt(
        "osapi_max_limit",
        default=1000,
        min=1,
        help="How many items one page of a list holds at most.",
    ),
    cfg.IntOpt(
        "osapi_max_request_body_size",
        default=114688,
        min=1024,
        help="Longest request body in bytes; a longer one is answered with 413.",
    ),
    cfg.HostAddressOpt(
        "osapi_volume_listen",
        default="127.0.0.1",
        help="Address the block storage API listens on; set it to serve other machines.",
    ),
    cfg.PortOpt(
        "osapi_volume_listen_port",
        default=8776,
        help="Port the block storage API listens on.",
    ),
    cfg.IntOpt(
        "osapi_volume_workers",
        default=1,
        min=1,
        help="Number of API processes.",
    ),
    cfg.IntOpt(
        "osapi_volume_threads",
        default=40,
        min=2,
        help="Requests that one API process works on at once; one that waits for its snapshot's cut counts.",
    ),
    cfg.URIOpt(
        "public_endpoint",
        help="URL that links in answers start with; by default the one the client used. Set it behind a proxy.",
    ),
    cfg.StrOpt(
        "project_id_regex",
        default="[0-9a-fA-F-]+",
        help="What a project id in a URL looks like. The caller's own project id is always recognised.",
    ),
]
