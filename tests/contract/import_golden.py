"""Take recorded answers of a real Cinder over into ``golden/``.

    python -m tests.contract.import_golden ../shared/reference/golden

The recording has one file per request: method, path (with the names of ids and resolved), headers,
body, status and answer. This keeps the requests volsnap answers today and writes them as
``golden.py`` says.
"""

import ast
import json
import pathlib
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from tests.contract import golden

_URL = "http://127.0.0.1:18776"
_PROJECT = "1" * 32

#: What volsnap does not answer yet. The requests about it are left out.
_LEFT_OUT = re.compile(
    r"capabilities|hosts|workers|message-"
    r"|type-(create|show|extra|update|dup)|vol-from-snap-type"
    r"|att-(?!list-empty)|transfer-|vtransfer|gtype|group2?-(?!list-empty)|gsnap-(?!list-empty)"
    r"|os-snapshot-manage|manageable|os-volume-manage"
    r"|snap-in-group|snap-for-unmanage|snap-act-unmanage|snap-unmanaged"
    r"|vol-show-(reserved|attached|detached|retyped|att)"
    r"|vol-act-(reserve|unreserve|begin_detaching|roll_detaching|force_detach)"
    r"|vol-act-(attach-|detach-|retype|migrate|reimage|upload|404)"
    r"|vol-act-(set|show|unset)_image_metadata"
)
#: At 3.71 the recorded volume could not be extended because an attachment of a left-out request
#: held it.
_LEFT_OUT_MVMAX = re.compile(r"vol-extend-over")
#: Attaching is not replayed: the status it leads to is set instead, so that what follows finds a
#: volume in use.
_INSTEAD = {
    "vol-act-attach": {"os-reset_status": {"status": "in-use", "attach_status": "attached"}},
    "vol-act-detach": {"os-reset_status": {"status": "available", "attach_status": "detached"}},
}
#: The recording's own volume type; volsnap's replay uses the default one.
_TYPE = re.compile(r"gold-mv(30|max)")
_RUN = re.compile(r"(\w)\1{999,}")


def main() -> None:
    """Replace the golden files by what the recording has."""
    source = pathlib.Path(sys.argv[1])
    for run in golden.RUNS:
        target = golden.DIRECTORY / run
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        count = 0
        for name, content in _convert(run, source / run):
            (target / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
            count += 1
        print(f"{run}: {count} requests")


def _convert(run: str, directory: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
    recorded = {path.stem: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}
    names = _name_ids(recorded)
    for name, content in recorded.items():
        if not _is_left_out(run, content["step"]):
            yield name, {"request": _request(names, content), "answer": _answer(names, content)}


def _is_left_out(run: str, step: str) -> bool:
    return bool(_LEFT_OUT.match(step) or (run == "mvmax" and _LEFT_OUT_MVMAX.match(step)))


def _name_ids(recorded: dict[str, Any]) -> golden.Names:
    """Names come from the paths; a resource that no path names is called after its request."""
    names = golden.Names(_URL, _PROJECT)
    for content in recorded.values():
        created = _created_id(content)
        if created is not None and not _LEFT_OUT.match(content["step"]):
            names.learn(content["step"], created)
    for content in recorded.values():
        for name, resource_id in _names_in_path(content):
            if name not in ("NOPE", "type1", "msg") and len(resource_id) == len(golden.NOPE):
                names.learn(name, resource_id)
    return names


def _created_id(content: dict[str, Any]) -> str | None:
    body = content["response_body"]
    if content["method"] != "POST" or not isinstance(body, dict) or len(body) != 1:
        return None
    (resource,) = body.values()
    return resource.get("id") if isinstance(resource, dict) else None


def _names_in_path(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    template = content["path_template"]
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/?&]+)", re.escape(template), count=0)
    pattern = re.sub(r"\(\?P<(\w+)>(?=.*\(\?P<\1>)", "(?:", pattern)
    match = re.fullmatch(pattern, content["path"])
    return iter(match.groupdict().items() if match else ())


def _request(names: golden.Names, content: dict[str, Any]) -> dict[str, Any]:
    headers = {
        name: names.normalise_text(value)
        for name, value in content["request_headers"].items()
        if (name, value) != ("Accept", "application/json")
    }
    path = _shorten(content["path_template"].replace("{NOPE}", golden.NOPE))
    asked: dict[str, Any] = {"method": content["method"], "path": path, "headers": headers}
    body = _INSTEAD.get(content["step"], content["request_body"])
    if isinstance(body, str):
        asked["raw"] = _raw(body)
    elif body is not None:
        asked["body"] = _rename_type(names.normalise(body))
    return asked


def _raw(body: str) -> str:
    """The text of a body that is not JSON; bytes are written as Latin-1 characters."""
    if body.startswith("bytes:"):
        return ast.literal_eval(body.removeprefix("bytes:")).decode("latin-1")
    return _shorten(body)


def _shorten(text: str) -> str:
    """A thousand equal letters in a row are written ``{x*1000}``."""
    return _RUN.sub(lambda match: f"{{{match[1]}*{len(match[0])}}}", text)


def _answer(names: golden.Names, content: dict[str, Any]) -> dict[str, Any]:
    body = content["response_body"]
    encoded = b"" if body in ("", None) else json.dumps(body).encode()
    answer = golden.normalise_answer(names, content["status"], content["response_headers"], encoded)
    return {
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": _rename_type(answer.body),
    }


def _rename_type(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rename_type(item) for key, item in value.items() if not _TYPE.search(key)}
    if isinstance(value, list):
        return [_rename_type(item) for item in value]
    return _TYPE.sub("__DEFAULT__", value) if isinstance(value, str) else value


if __name__ == "__main__":
    main()
