"""The options every verb accepts, and the ``OS_*`` variable each one stands for.

Invariant: an option ``--os-foo-bar`` is the variable ``OS_FOO_BAR``; the few that differ say so in
``VARIABLES``.
"""

from volsnap.cli import verbs

GLOBAL_OPTIONS = (
    verbs.Argument(("--debug",), "show requests and answers on stderr, without secrets", kind=verbs.FLAG),
    verbs.Argument(("--os-cloud",), "use this entry of clouds.yaml", metavar="CLOUD"),
    verbs.Argument(
        ("--os-endpoint", "--endpoint-override"),
        "URL of the service (default http://127.0.0.1:8776/v3)",
        metavar="URL",
    ),
    verbs.Argument(
        ("--os-volume-api-version",),
        "microversion to speak (default 3.71), or latest",
        metavar="3.X",
    ),
    verbs.Argument(("--os-auth-type",), "noauth (default), admin_token, password, token, …", metavar="TYPE"),
    verbs.Argument(("--os-auth-url",), "URL of Keystone", metavar="URL"),
    verbs.Argument(("--os-username",), "user name", metavar="NAME"),
    verbs.Argument(("--os-user-id",), "user id", metavar="ID"),
    verbs.Argument(
        ("--os-password",),
        "password; OS_PASSWORD keeps it out of the process list",
        metavar="PASSWORD",
    ),
    verbs.Argument(("--os-project-id", "--os-tenant-id"), "project to work in, by id", metavar="ID"),
    verbs.Argument(("--os-project-name", "--os-tenant-name"), "project to work in, by name", metavar="NAME"),
    verbs.Argument(("--os-user-domain-name",), "domain of the user, by name", metavar="NAME"),
    verbs.Argument(("--os-user-domain-id",), "domain of the user, by id", metavar="ID"),
    verbs.Argument(("--os-project-domain-name",), "domain of the project, by name", metavar="NAME"),
    verbs.Argument(("--os-project-domain-id",), "domain of the project, by id", metavar="ID"),
    verbs.Argument(("--os-application-credential-id",), "application credential", metavar="ID"),
    verbs.Argument(("--os-application-credential-name",), "application credential, by name", metavar="NAME"),
    verbs.Argument(("--os-application-credential-secret",), "its secret", metavar="SECRET"),
    verbs.Argument(("--os-token",), "a token to use as it is", metavar="TOKEN"),
    verbs.Argument(("--os-region-name",), "region of the catalog", metavar="REGION"),
    verbs.Argument(("--os-interface",), "public (default), internal or admin endpoint", metavar="INTERFACE"),
    verbs.Argument(("--os-cacert",), "file with the certificates to trust", metavar="FILE"),
    verbs.Argument(("--insecure",), "do not check the server's certificate", kind=verbs.FLAG),
    verbs.Argument(("--http-timeout",), "seconds to wait for one answer (default 60)", metavar="SECONDS"),
)

VARIABLES = {"insecure": "OS_INSECURE", "http_timeout": "OS_HTTP_TIMEOUT"}


def list_variables() -> list[tuple[str, str]]:
    """Pairs of variable and ``dest`` for every option that is a setting."""
    return [(VARIABLES.get(each.dest, each.dest.upper()), each.dest) for each in GLOBAL_OPTIONS if each.dest != "debug"]
