"""Who may read the messages that say why a request failed later."""

from volsnap.policies import base

GET_ALL = "message:get_all"
GET = "message:get"
DELETE = "message:delete"

RULES = (
    base.rule(GET_ALL, base.READER, "List messages.", ("GET", "/messages")),
    base.rule(GET, base.READER, "Show a message.", ("GET", "/messages/{message_id}")),
    base.rule(DELETE, base.MEMBER, "Delete a message.", ("DELETE", "/messages/{message_id}")),
)
