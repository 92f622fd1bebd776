"""Who may see volume types."""

from volsnap.policies import base

GET = "volume_extension:type_get"
GET_ALL = "volume_extension:type_get_all"
ACCESS = "volume_extension:volume_type_access"
EXTRA_SPECS = "volume_extension:access_types_extra_specs"
READ_SENSITIVE = "volume_extension:types_extra_specs:read_sensitive"
QOS_SPECS_ID = "volume_extension:access_types_qos_specs_id"
EXTRA_SPECS_INDEX = "volume_extension:types_extra_specs:index"
EXTRA_SPECS_SHOW = "volume_extension:types_extra_specs:show"
ENCRYPTION_GET = "volume_extension:volume_type_encryption:get"

_ONE = "/types/{type_id}"
_SHOWN = (("GET", "/types"), ("GET", _ONE))

RULES = (
    base.rule(GET, base.READER, "Show a volume type.", ("GET", _ONE), ("GET", "/types/default")),
    base.rule(GET_ALL, base.READER, "List volume types.", ("GET", "/types")),
    base.rule(ACCESS, base.MEMBER, "See whether a type is public.", *_SHOWN),
    base.rule(EXTRA_SPECS, base.READER, "See a type's extra specs beside it.", *_SHOWN),
    base.rule(
        READ_SENSITIVE,
        base.ADMIN,
        "See the extra specs that tell about the backend.",
        *_SHOWN,
        ("GET", f"{_ONE}/extra_specs"),
    ),
    base.rule(QOS_SPECS_ID, base.ADMIN, "See a type's QoS specification.", *_SHOWN),
    base.rule(EXTRA_SPECS_INDEX, base.READER, "List a type's extra specs.", ("GET", f"{_ONE}/extra_specs")),
    base.rule(
        EXTRA_SPECS_SHOW,
        base.READER,
        "Show one of a type's extra specs.",
        ("GET", f"{_ONE}/extra_specs/{{key}}"),
    ),
    base.rule(ENCRYPTION_GET, base.ADMIN, "See how a type encrypts.", ("GET", f"{_ONE}/encryption")),
)
