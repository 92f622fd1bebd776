"""Which versions of the API there are."""

from volsnap.api import microversions, wire


def index(request: wire.Request) -> wire.Response:
    """GET /"""
    return wire.ok(_view(request), 300)


def show(request: wire.Request) -> wire.Response:
    """GET /v3/"""
    return wire.ok(_view(request))


def redirect(request: wire.Request) -> wire.Response:
    """GET /v3"""
    return wire.Response(
        302,
        media_type="text/plain; charset=utf8",
        headers=[("Location", f"{request.base_url}/v3/")],
    )


def _view(request: wire.Request) -> dict[str, object]:
    version = {
        "id": "v3.0",
        "status": "CURRENT",
        "version": f"3.{microversions.MAX}",
        "min_version": f"3.{microversions.MIN}",
        "updated": "2023-08-31T00:00:00Z",
        "links": [
            {
                "rel": "describedby",
                "type": "text/html",
                "href": "https://docs.openstack.org/",
            },
            {"rel": "self", "href": f"{request.base_url}/v3/"},
        ],
        "media-types": [
            {
                "base": "application/json",
                "type": "application/vnd.openstack.volume+json;version=3",
            }
        ],
    }
    return {"versions": [version]}
