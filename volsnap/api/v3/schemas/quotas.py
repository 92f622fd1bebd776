"""Request bodies on quotas. Which resources there are, and what numbers they take, the handler checks."""

from volsnap.api import validation
from volsnap.api.v3.schemas import fields

_LIMITS: fields.Piece = {"type": "object", "minProperties": 1, "maxProperties": 1000}

UPDATE = validation.Versioned((0, fields.wrapped("quota_set", _LIMITS)))
UPDATE_CLASS = validation.Versioned((0, fields.wrapped("quota_class_set", _LIMITS)))
