"""Bodies of the metadata resources of volumes and snapshots."""

from volsnap.api import validation
from volsnap.api.v3.schemas import fields

ITEMS = validation.Versioned((0, fields.wrapped("metadata", fields.METADATA)))
ITEM = validation.Versioned((0, fields.wrapped("meta", {**fields.METADATA, "minProperties": 1, "maxProperties": 1})))
