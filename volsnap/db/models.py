"""The tables, as SQLAlchemy Core knows them; the migrations under ``migrations/`` create them.

Conventions, each of which the queries rely on:

* A deleted thing has no row. There are no soft-deleted rows to filter, to index around or to purge.
* Times are text, ``YYYY-MM-DDTHH:MM:SS.ffffff`` in UTC: they sort as they read, index the same on every engine and
  go into an answer without conversion. Times that only machines compare (leases) are seconds since the epoch.
* ``metadata`` columns hold one canonical JSON object of strings (sorted keys, no spaces), see ``db/metadata.py``.
* Sizes here are GiB (``size_gib``); below ``volume/`` they are bytes.
"""

import sqlalchemy as sa

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

_ID = sa.String(36)
_TIME = sa.String(26)
_NAME = sa.String(255)

volume_types = sa.Table(
    "volume_types",
    METADATA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("name", _NAME, nullable=False, unique=True),
    sa.Column("description", _NAME),
    sa.Column("is_public", sa.Boolean, nullable=False, default=True),
    sa.Column("extra_specs", sa.Text, nullable=False, default="{}"),
    sa.Column("qos_specs_id", _ID),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("updated_at", _TIME),
)

volumes = sa.Table(
    "volumes",
    METADATA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("project_id", _NAME, nullable=False),
    sa.Column("user_id", _NAME, nullable=False),
    #: The status to go back to when the present action ends without a change. Stands before ``status`` because
    #: MariaDB assigns in the order of the columns and would copy the new status otherwise.
    sa.Column("previous_status", sa.String(32)),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("size_gib", sa.BigInteger, nullable=False),
    sa.Column("name", _NAME),
    sa.Column("description", _NAME),
    sa.Column("metadata", sa.Text, nullable=False, default="{}"),
    sa.Column("admin_metadata", sa.Text, nullable=False, default="{}"),
    sa.Column("image_metadata", sa.Text, nullable=False, default="{}"),
    sa.Column("availability_zone", _NAME, nullable=False),
    sa.Column("volume_type_id", _ID, sa.ForeignKey("volume_types.id")),
    sa.Column("snapshot_id", _ID),
    sa.Column("source_volid", _ID),
    sa.Column("group_id", _ID),
    sa.Column("bootable", sa.Boolean, nullable=False, default=False),
    sa.Column("multiattach", sa.Boolean, nullable=False, default=False),
    sa.Column("encrypted", sa.Boolean, nullable=False, default=False),
    sa.Column("consumes_quota", sa.Boolean, nullable=False, default=True),
    #: ``host@backend`` of the service that owns it; None until one is chosen.
    sa.Column("backend", _NAME),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("updated_at", _TIME),
    sa.Index(None, "project_id", "created_at", "id"),
    sa.Index(None, "created_at", "id"),
    sa.Index(None, "project_id", "name"),
    sa.Index(None, "backend"),
)

snapshots = sa.Table(
    "snapshots",
    METADATA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("project_id", _NAME, nullable=False),
    sa.Column("user_id", _NAME, nullable=False),
    sa.Column("volume_id", _ID, sa.ForeignKey("volumes.id"), nullable=False),
    sa.Column("previous_status", sa.String(32)),  # before status, as above
    sa.Column("status", sa.String(32), nullable=False),
    #: The volume's size when the snapshot was cut.
    sa.Column("size_gib", sa.BigInteger, nullable=False),
    sa.Column("name", _NAME),
    sa.Column("description", _NAME),
    sa.Column("metadata", sa.Text, nullable=False, default="{}"),
    sa.Column("progress", sa.String(4), nullable=False, default="0%"),
    sa.Column("volume_type_id", _ID),
    sa.Column("group_snapshot_id", _ID),
    sa.Column("consumes_quota", sa.Boolean, nullable=False, default=True),
    sa.Column("backend", _NAME, nullable=False),
    #: When the point in time was cut; None until it is.
    sa.Column("cut_at", _TIME),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("updated_at", _TIME),
    sa.Index(None, "project_id", "created_at", "id"),
    sa.Index(None, "created_at", "id"),
    sa.Index(None, "volume_id", "created_at", "id"),
    sa.Index(None, "project_id", "name"),
    sa.Index(None, "backend"),
)

#: The journal: one row per piece of unfinished work, deleted in the transaction that writes its result.
operations = sa.Table(
    "operations",
    METADATA,
    #: Grows with every row: operations on one resource run in this order.
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("backend", _NAME, nullable=False),
    #: What the operation changes, for itself alone.
    sa.Column("resource_id", _ID, nullable=False),
    #: What it only reads, beside others who read it.
    sa.Column("source_id", _ID),
    sa.Column("params", sa.Text, nullable=False, default="{}"),
    sa.Column("project_id", _NAME, nullable=False),
    sa.Column("user_id", _NAME, nullable=False),
    sa.Column("request_id", _NAME, nullable=False),
    #: How often it was claimed; the fence that keeps a worker who lost its lease from writing a result.
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("lease_owner", _NAME),
    sa.Column("lease_expires", sa.Double, nullable=False, default=0.0),
    sa.Column("not_before", sa.Double, nullable=False, default=0.0),
    #: When the user is told that it failed, though the work may go on; 0 until storage left an answer open.
    sa.Column("deadline", sa.Double, nullable=False, default=0.0),
    sa.Column("progress", sa.Integer, nullable=False, default=0),
    sa.Column("error", sa.Text),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Index(None, "backend", "id"),
    sa.Index(None, "resource_id"),
    sa.Index(None, "source_id"),
    sa.Index(None, "lease_owner"),
    sqlite_autoincrement=True,
)

messages = sa.Table(
    "messages",
    METADATA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("project_id", _NAME, nullable=False),
    sa.Column("request_id", _NAME, nullable=False),
    sa.Column("resource_type", sa.String(32), nullable=False),
    sa.Column("resource_uuid", _ID),
    sa.Column("action_id", sa.String(8), nullable=False),
    sa.Column("detail_id", sa.String(8), nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    #: The whole sentence for the user; None: the standard one of the action and detail.
    sa.Column("text", sa.Text),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("expires_at", _TIME, nullable=False),
    sa.Index(None, "project_id", "created_at", "id"),
    sa.Index(None, "resource_uuid"),
)

services = sa.Table(
    "services",
    METADATA,
    sa.Column("binary", sa.String(64), primary_key=True),
    #: ``host`` or ``host@backend``.
    sa.Column("host", _NAME, primary_key=True),
    sa.Column("availability_zone", _NAME, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False, default=False),
    sa.Column("disabled_reason", _NAME),
    sa.Column("frozen", sa.Boolean, nullable=False, default=False),
    #: Capacity and capabilities as the service last reported them, a JSON object.
    sa.Column("stats", sa.Text, nullable=False, default="{}"),
    #: The last heartbeat.
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("updated_at", _TIME),
)

#: One row per project that ever wrote: the row to lock while its usage is counted.
projects = sa.Table("projects", METADATA, sa.Column("id", _NAME, primary_key=True))

quotas = sa.Table(
    "quotas",
    METADATA,
    sa.Column("project_id", _NAME, primary_key=True),
    sa.Column("resource", _NAME, primary_key=True),
    sa.Column("hard_limit", sa.BigInteger, nullable=False),
)

quota_classes = sa.Table(
    "quota_classes",
    METADATA,
    sa.Column("class_name", _NAME, primary_key=True),
    sa.Column("resource", _NAME, primary_key=True),
    sa.Column("hard_limit", sa.BigInteger, nullable=False),
)
