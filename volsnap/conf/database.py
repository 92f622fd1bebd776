"""Where the rows live."""

from oslo_config import cfg

GROUP = "database"
OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "connection",
        default="sqlite:///$state_path/volsnap.sqlite",
        secret=True,
        help="URL of the database: sqlite:///PATH, postgresql+psycopg://USER:PASSWORD@HOST/NAME or "
        "mysql+pymysql://USER:PASSWORD@HOST/NAME.",
    ),
    cfg.FloatOpt(
        "start_timeout",
        default=60.0,
        min=0,
        help="How long a starting service waits for the database to answer, in seconds.",
    ),
]
