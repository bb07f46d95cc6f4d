"""Uploads to the fake Hub: repositories, branches, large files, commits.

Every route responds to `huggingface_hub`'s client as the Hub does. A commit is atomic: it is built
next to the branch's folder and then replaces it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.support.hub_repository import LARGE, Repository, etag

if TYPE_CHECKING:
    from tests.support.hub_server import Handler, Hub

_NAME = r"(?P<name>[^/]+/[^/]+)"
_FRONT = re.compile(r"---\n(.*?\n)---\n", re.DOTALL)


def _create(handler: Handler, match: re.Match[str]) -> None:
    owner = handler.owner()
    if owner is None:
        return
    asked = json.loads(handler.body)
    name = f"{asked.get('organization') or owner}/{asked['name']}"
    hub = handler.hub
    if name in hub.models:
        handler.refuse(409, "", "You already created this model repo")
    elif not name.startswith(f"{owner}/"):
        handler.refuse(403, "", "You don't have the rights to create a model under this namespace")
    else:
        hub.models[name] = hub.new_folder(name)
        (hub.models[name] / ".gitattributes").write_text("*.safetensors filter=lfs\n")
        if "private" in (asked.get("visibility"), asked.get("private") and "private"):
            hub.private.add(name)
        handler.respond_json({"url": f"{hub.endpoint}/{name}", "id": "1", "name": name})


def _validate_yaml(handler: Handler, match: re.Match[str]) -> None:
    content = json.loads(handler.body)["content"]
    front = _FRONT.match(content)
    try:
        values = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError as error:
        handler.respond_json({"errors": [{"message": str(error)}], "warnings": []}, status=400)
        return
    warnings = [] if values else [{"message": "empty or missing yaml metadata in repo card"}]
    handler.respond_json({"errors": [], "warnings": warnings})


def _create_collection(handler: Handler, match: re.Match[str]) -> None:
    owner = handler.owner()
    if owner is None:
        return
    asked = json.loads(handler.body)
    slug = f"{asked['namespace']}/{asked['title'].lower().replace(' ', '-')}-0123"
    if asked["namespace"] != owner:
        handler.refuse(403, "", "You don't have the rights to create a collection there")
    elif slug in handler.hub.collections:
        handler.respond_json({"slug": slug, "error": "exists"}, status=409)
    else:
        handler.hub.collections[slug] = []
        handler.respond_json(_collection(handler.hub, slug))


def _read_collection(handler: Handler, match: re.Match[str]) -> None:
    handler.respond_json(_collection(handler.hub, match["slug"]))


def _collect(handler: Handler, match: re.Match[str]) -> None:
    items = handler.hub.collections[match["slug"]]
    item = json.loads(handler.body)["item"]["id"]
    if item in items:
        handler.respond_json({"error": "exists"}, status=409)
    else:
        items.append(item)
        handler.respond_json(_collection(handler.hub, match["slug"]))


def _collection(hub: Hub, slug: str) -> dict[str, object]:
    items = [
        {"_id": name, "id": name, "type": "model", "position": place}
        for place, name in enumerate(hub.collections[slug])
    ]
    return {
        "slug": slug,
        "title": slug,
        "owner": {"name": slug.split("/")[0]},
        "items": items,
        "lastUpdated": "2026-01-01T00:00:00.000Z",
        "position": 0,
        "private": False,
        "theme": "blue",
        "upvotes": 0,
    }


def _make_branch(handler: Handler, match: re.Match[str]) -> None:
    name, branch = match["name"], match["branch"]
    if not _may_write(handler, name):
        return
    branches = handler.hub.branches.setdefault(name, {})
    if branch in branches:
        handler.refuse(409, "", "Reference already exists")
        return
    branches[branch] = handler.hub.new_folder(f"{name}-{branch}")
    shutil.copytree(handler.hub.models[name], branches[branch], dirs_exist_ok=True)
    handler.respond_json({})


def _preupload(handler: Handler, match: re.Match[str]) -> None:
    repository = _writable(handler, match)
    if repository is None:
        return
    entries = []
    for file in json.loads(handler.body)["files"]:
        there = repository.files.get(file["path"])
        is_large = file["path"].endswith(LARGE)
        entries.append(
            {
                "path": file["path"],
                "uploadMode": "lfs" if is_large else "regular",
                "shouldIgnore": False,
                "oid": etag(there) if there and not is_large else None,
            }
        )
    handler.respond_json({"files": entries})


def _batch(handler: Handler, match: re.Match[str]) -> None:
    if not _may_write(handler, match["name"]):
        return
    hub, objects = handler.hub, []
    for one in json.loads(handler.body)["objects"]:
        entry: dict[str, Any] = {"oid": one["oid"], "size": one["size"]}
        if one["oid"] not in hub.blobs:
            entry["actions"] = {
                "upload": {"href": f"{hub.endpoint}/lfs/{one['oid']}"},
                "verify": {"href": f"{hub.endpoint}/{match['name']}.git/info/lfs/verify"},
            }
        objects.append(entry)
    handler.respond_json({"transfer": "basic", "objects": objects})


def _store(handler: Handler, match: re.Match[str]) -> None:
    """Store the body, as a bucket does: `_verify` checks it afterwards."""
    body = handler.body
    if handler.fault and handler.fault.action == "truncate":
        body = body[: len(body) // 2]
    handler.hub.arrived[match["oid"]] = body
    handler.respond(b"")


def _verify(handler: Handler, match: re.Match[str]) -> None:
    asked, hub = json.loads(handler.body), handler.hub
    content = hub.arrived.get(asked["oid"], b"")
    if hashlib.sha256(content).hexdigest() != asked["oid"]:
        handler.refuse(422, "", "The uploaded file is not the one that was announced")
        return
    hub.blobs[asked["oid"]] = content
    handler.respond_json({})


def _commit(handler: Handler, match: re.Match[str]) -> None:
    repository = _writable(handler, match)
    if repository is None:
        return
    lines = [json.loads(line) for line in handler.body.splitlines()]
    header = lines[0]["value"]
    if header.get("parentCommit") not in (None, repository.commit):
        handler.refuse(412, "", "A commit has happened since. Please refresh and try again.")
        return
    staged = handler.hub.new_folder("staged")
    shutil.copytree(repository.folder, staged, dirs_exist_ok=True)
    for line in lines[1:]:
        value = line["value"]
        path = staged / value["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if line["key"] == "deletedFile":
            path.unlink()
        elif line["key"] == "file":
            path.write_bytes(base64.b64decode(value["content"]))
        elif value["oid"] in handler.hub.blobs:
            path.write_bytes(handler.hub.blobs[value["oid"]])
        else:
            handler.refuse(400, "", f"{value['path']}: the large file was not uploaded")
            return
    _replace(repository.folder, staged)
    commit = Repository("models", match["name"], repository.folder).commit
    handler.hub.commits.append((match["name"], match["revision"], header["summary"]))
    url = f"{handler.hub.endpoint}/{match['name']}/commit/{commit}"
    handler.respond_json({"success": True, "commitUrl": url, "commitOid": commit, "hookOutput": ""})


def _writable(handler: Handler, match: re.Match[str]) -> Repository | None:
    return handler.repository(match) if _may_write(handler, match["name"]) else None


def _may_write(handler: Handler, name: str) -> bool:
    """Say whether the sender may write, and refuse it as the Hub does where not."""
    owner = handler.owner()
    if owner is None:
        return False
    if name not in handler.hub.models:
        handler.refuse(404, "RepoNotFound", "Repository not found")
        return False
    if not name.startswith(f"{owner}/"):
        handler.refuse(403, "", "You have read access but not the required permissions")
        return False
    return True


def _replace(old: Path, new: Path) -> None:
    shutil.rmtree(old)
    new.rename(old)


_MODEL = rf"/api/(?P<kind>models)/{_NAME}"
WRITING: list[tuple[tuple[str, ...], re.Pattern[str], Callable[[Handler, re.Match[str]], None]]] = [
    (("POST",), re.compile(r"/api/repos/create"), _create),
    (("POST",), re.compile(r"/api/validate-yaml"), _validate_yaml),
    (("POST",), re.compile(r"/api/collections"), _create_collection),
    (("POST",), re.compile(r"/api/collections/(?P<slug>[^/]+/[^/]+)/items"), _collect),
    (("GET",), re.compile(r"/api/collections/(?P<slug>[^/]+/[^/]+)"), _read_collection),
    (("POST",), re.compile(rf"{_MODEL}/branch/(?P<branch>.+)"), _make_branch),
    (("POST",), re.compile(rf"{_MODEL}/preupload/(?P<revision>.+)"), _preupload),
    (("POST",), re.compile(rf"{_MODEL}/commit/(?P<revision>.+)"), _commit),
    (("POST",), re.compile(rf"/{_NAME}\.git/info/lfs/objects/batch"), _batch),
    (("POST",), re.compile(rf"/{_NAME}\.git/info/lfs/verify"), _verify),
    (("PUT",), re.compile(r"/lfs/(?P<oid>[0-9a-f]{64})"), _store),
]
"""Methods, path and handler."""
