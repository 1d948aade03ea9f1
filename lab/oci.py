"""OCI images written without a container engine: layers, configuration, archive, push.

One archive serves every reader: `ctr images import` and registries read its OCI index, and
`docker load` its manifest.json. The same input gives the same bytes, so digests can be compared.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import re
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import httpx

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
EPOCH = "1970-01-01T00:00:00Z"
# Fast: these blobs travel within one machine.
GZIP_LEVEL = 1
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Reference:
    """An image's name as a pod writes it, split up."""

    host: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Split HOST/REPOSITORY:TAG; all three must be there."""
        host, slash, rest = text.partition("/")
        repository, colon, tag = rest.rpartition(":")
        if not (slash and colon and repository and tag) or ("." not in host and ":" not in host):
            raise LabError(f"{text!r} is no full image reference: host/repository:tag is wanted")
        return cls(host, repository, tag)

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Link:
    """A symbolic link in a layer."""

    target: str


@dataclass(frozen=True)
class Directory:
    """An empty directory in a layer."""

    mode: int = 0o755
    owner: int = 0


@dataclass(frozen=True)
class Config:
    """How a container of the image starts."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "65532:65532"
    directory: str = "/"
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(\d+(:\d+)?)?", self.user):
            raise LabError(
                f"an image's user is {self.user!r}, which Kubernetes' runAsNonRoot cannot judge",
                "write it as numbers: user:group",
            )

    def document(self, diff_ids: Sequence[str]) -> dict[str, Any]:
        """Return the image configuration over these layers."""
        settings: dict[str, Any] = {
            "User": self.user,
            "WorkingDir": self.directory,
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "Labels": dict(self.labels),
        }
        if self.entrypoint:
            settings["Entrypoint"] = list(self.entrypoint)
        if self.command:
            settings["Cmd"] = list(self.command)
        if self.stop_signal:
            settings["StopSignal"] = self.stop_signal
        return {
            "architecture": "amd64",
            "os": "linux",
            "created": EPOCH,
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            "history": [{"created": EPOCH, "created_by": "maas lab"} for _ in diff_ids],
        }


@dataclass(frozen=True)
class Image:
    """One image to write: its name, its layers (plain tar files, lowest first), its start."""

    reference: Reference
    layers: tuple[Path, ...]
    config: Config


def write_layer(target: Path, content: Mapping[str, Path | bytes | Link | Directory]) -> Path:
    """Write a layer of these files, by their path in the image; owner root, no dates.

    A file keeps its executable bits; a directory of the host is taken whole.
    """
    members: dict[str, Path | bytes | Link | Directory] = {}
    for name, source in content.items():
        if isinstance(source, Path) and source.is_dir() and not source.is_symlink():
            members.update(_expand(name.strip("/"), source))
        else:
            members[name.strip("/")] = source
    for name in list(members):
        for parent in Path(name).parents:
            if parent != Path():
                members.setdefault(parent.as_posix(), Directory())
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as layer:
        for name in sorted(members):
            _add(layer, name, members[name])
    return target


def _expand(prefix: str, root: Path) -> dict[str, Path | bytes | Link | Directory]:
    """Return a directory's content by path in the image."""
    found: dict[str, Path | bytes | Link | Directory] = {prefix: Directory()} if prefix else {}
    for path in root.rglob("*"):
        name = f"{prefix}/{path.relative_to(root).as_posix()}".lstrip("/")
        if path.is_symlink():
            found[name] = Link(str(path.readlink()))
        elif path.is_dir():
            found[name] = Directory()
        elif path.is_file():
            found[name] = path
    return found


def _add(layer: tarfile.TarFile, name: str, source: Path | bytes | Link | Directory) -> None:
    info = tarfile.TarInfo(name)
    if isinstance(source, Link):
        info.type, info.linkname = tarfile.SYMTYPE, source.target
        layer.addfile(info)
    elif isinstance(source, Directory):
        info.type, info.mode, info.uid, info.gid = (
            tarfile.DIRTYPE,
            source.mode,
            source.owner,
            source.owner,
        )
        layer.addfile(info)
    elif isinstance(source, bytes):
        info.size, info.mode = len(source), 0o644
        layer.addfile(info, io.BytesIO(source))
    else:
        info.size = source.stat().st_size
        info.mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
        with source.open("rb") as stream:
            layer.addfile(info, stream)


class _Blobs:
    """The blobs of an archive, gathered in a directory under their digests."""

    def __init__(self, directory: Path, *, compress: bool) -> None:
        self.directory = directory
        self.compress = compress
        self._layers: dict[Path, tuple[dict[str, Any], str]] = {}

    def add_document(self, value: object, media_type: str) -> dict[str, Any]:
        """Store JSON; return its descriptor."""
        data = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self.directory / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add_layer(self, tar: Path) -> tuple[dict[str, Any], str]:
        """Store a layer once, however many images share it; return descriptor and diff id."""
        if tar not in self._layers:
            self._layers[tar] = self._store_layer(tar)
        return self._layers[tar]

    def _store_layer(self, tar: Path) -> tuple[dict[str, Any], str]:
        plain = hashlib.sha256()
        stored = self.directory / "incoming"
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(tar.open("rb"))
            sink: BinaryIO | gzip.GzipFile = stack.enter_context(stored.open("wb"))
            if self.compress:
                sink = stack.enter_context(gzip.GzipFile("", "wb", GZIP_LEVEL, sink, mtime=0))
            while chunk := source.read(_CHUNK):
                plain.update(chunk)
                sink.write(chunk)
        with stored.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        descriptor = {
            "mediaType": LAYER_TYPE + ("+gzip" if self.compress else ""),
            "digest": f"sha256:{digest}",
            "size": stored.stat().st_size,
        }
        stored.rename(self.directory / digest)
        return descriptor, f"sha256:{plain.hexdigest()}"


def write_archive(target: Path, images: Sequence[Image], *, compress: bool = True) -> None:
    """Write images to one archive; layers they share are stored once.

    Without compression `docker load` is quicker, which is what the node's image wants.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        blobs = _Blobs(Path(scratch), compress=compress)
        manifests, docker = [], []
        for image in images:
            layers = [blobs.add_layer(tar) for tar in image.layers]
            config = blobs.add_document(
                image.config.document([diff_id for _, diff_id in layers]), CONFIG_TYPE
            )
            manifest = blobs.add_document(
                {
                    "schemaVersion": 2,
                    "mediaType": MANIFEST_TYPE,
                    "config": config,
                    "layers": [descriptor for descriptor, _ in layers],
                },
                MANIFEST_TYPE,
            )
            manifest["platform"] = {"architecture": "amd64", "os": "linux"}
            manifest["annotations"] = {
                "io.containerd.image.name": str(image.reference),
                "org.opencontainers.image.ref.name": image.reference.tag,
            }
            manifests.append(manifest)
            docker.append(
                {
                    "Config": _blob_name(config),
                    "RepoTags": [str(image.reference)],
                    "Layers": [_blob_name(descriptor) for descriptor, _ in layers],
                }
            )
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _add(archive, "index.json", json.dumps(index).encode())
            _add(archive, "manifest.json", json.dumps(docker).encode())
            for blob in sorted(Path(scratch).iterdir()):
                _add(archive, f"blobs/sha256/{blob.name}", blob)


def _blob_name(descriptor: Mapping[str, Any]) -> str:
    return "blobs/" + str(descriptor["digest"]).replace(":", "/")


def references(archive: Path) -> list[Reference]:
    """Return the names of the images in an archive."""
    with tarfile.open(archive) as opened:
        return [_name_of(manifest) for manifest in _member_json(opened, "index.json")["manifests"]]


def _name_of(descriptor: Mapping[str, Any]) -> Reference:
    return Reference.parse(descriptor["annotations"]["io.containerd.image.name"])


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = archive.extractfile(name)
    if stream is None:
        raise LabError(f"{name} in {archive.name!r} is not a file: build the image again")
    return stream


def _member_json(archive: tarfile.TarFile, name: str) -> Any:
    return json.load(_member(archive, name))


def push(archive: Path, registry: str, reference: str | None = None) -> bool:
    """Push every image of an archive to a plain HTTP registry; say whether anything was sent.

    The registry's name for an image leaves its own host out, as containerd's mirrors do. What is
    there already is not sent again.

    Args:
        archive: The archive.
        registry: HOST:PORT.
        reference: Push this image only.
    """
    sent = False
    with (
        tarfile.open(archive) as opened,
        httpx.Client(base_url=f"http://{registry}", timeout=120, trust_env=False) as client,
    ):
        for descriptor in _member_json(opened, "index.json")["manifests"]:
            name = _name_of(descriptor)
            if reference in {None, str(name)} and not _has(client, name, descriptor):
                _push_image(client, name, descriptor, opened)
                sent = True
    return sent


def _has(client: httpx.Client, name: Reference, descriptor: Mapping[str, Any]) -> bool:
    answer = client.head(
        f"/v2/{name.repository}/manifests/{name.tag}", headers={"Accept": MANIFEST_TYPE}
    )
    return bool(answer.headers.get("docker-content-digest") == descriptor["digest"])


def _push_image(
    client: httpx.Client,
    name: Reference,
    descriptor: Mapping[str, Any],
    archive: tarfile.TarFile,
) -> None:
    data = _member(archive, _blob_name(descriptor)).read()
    manifest = json.loads(data)
    for blob in [manifest["config"], *manifest["layers"]]:
        _push_blob(client, name.repository, blob, archive)
    answer = client.put(
        f"/v2/{name.repository}/manifests/{name.tag}",
        content=data,
        headers={"Content-Type": MANIFEST_TYPE},
    )
    _expect(answer, httpx.codes.CREATED, f"manifest of {name}")


def _push_blob(
    client: httpx.Client, repository: str, blob: Mapping[str, Any], archive: tarfile.TarFile
) -> None:
    digest = str(blob["digest"])
    if client.head(f"/v2/{repository}/blobs/{digest}").status_code == httpx.codes.OK:
        return
    start = client.post(f"/v2/{repository}/blobs/uploads/")
    _expect(start, httpx.codes.ACCEPTED, f"upload to {repository}")
    location = httpx.URL(start.headers["location"]).copy_merge_params({"digest": digest})
    stream = _member(archive, _blob_name(blob))
    answer = client.put(
        location,
        content=iter(lambda: stream.read(_CHUNK), b""),
        # Announced: without a length httpx would send chunks, which registries need not take.
        headers={"Content-Type": "application/octet-stream", "Content-Length": str(blob["size"])},
    )
    _expect(answer, httpx.codes.CREATED, f"blob {digest} of {repository}")


def _expect(answer: httpx.Response, status: int, what: str) -> None:
    if answer.status_code != status:
        raise LabError(
            f"the registry refused the {what}: {answer.status_code} {answer.text.strip()[:200]}"
        )
