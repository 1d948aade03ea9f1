import gzip
import hashlib
import http.server
import io
import json
import tarfile
import threading

import pytest

from lab import oci
from lab.errors import LabError


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF" + bytes(3000))
    path.chmod(0o700)
    return path


def layer_members(path):
    with tarfile.open(path) as layer:
        return {member.name: member for member in layer.getmembers()}


def test_a_layer_has_parents_modes_links_and_no_dates(tmp_path, program):
    layer = oci.write_layer(
        tmp_path / "layer.tar",
        {
            "usr/bin/program": program,
            "/usr/bin/other": oci.Link("program"),
            "tmp": oci.Directory(0o1777),
            "etc/passwd": b"root:x:0:0::/:\n",
        },
    )
    members = layer_members(layer)
    assert list(members) == sorted(members)
    assert members["usr"].isdir()
    assert members["usr/bin/program"].mode == 0o755
    assert members["usr/bin/other"].linkname == "program"
    assert members["tmp"].mode == 0o1777
    assert members["etc/passwd"].mode == 0o644
    assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, 0)}


def test_a_directory_is_taken_whole(tmp_path):
    root = tmp_path / "root"
    (root / "lib/python").mkdir(parents=True)
    (root / "lib/python/os.py").write_text("")
    (root / "lib64").symlink_to("lib")
    members = layer_members(oci.write_layer(tmp_path / "layer.tar", {"": root}))
    assert set(members) == {"lib", "lib/python", "lib/python/os.py", "lib64"}
    under = layer_members(oci.write_layer(tmp_path / "under.tar", {"opt/app": root}))
    assert {"opt", "opt/app", "opt/app/lib/python/os.py"} <= set(under)


def make_archive(tmp_path, program, *, names=("quay.io/kuadrant/authorino:v1",), compress=True):
    layer = oci.write_layer(tmp_path / "layer.tar", {"program": program})
    images = [
        oci.Image(
            oci.Reference.parse(name),
            (layer,),
            oci.Config(
                entrypoint=("/program",),
                command=("serve",),
                environment={"PATH": "/bin"},
                user="1000:0",
                stop_signal="SIGRTMIN+3",
            ),
        )
        for name in names
    ]
    archive = tmp_path / "image.tar"
    oci.write_archive(archive, images, compress=compress)
    return archive


def read_archive(path):
    with tarfile.open(path) as archive:
        return {
            member.name: archive.extractfile(member).read()
            for member in archive.getmembers()
            if member.isfile()
        }


@pytest.mark.parametrize("compress", [True, False])
def test_an_archive_reads_both_as_oci_and_as_docker(tmp_path, program, compress):
    files = read_archive(make_archive(tmp_path, program, compress=compress))
    index = json.loads(files["index.json"])
    (descriptor,) = index["manifests"]
    assert descriptor["annotations"] == {
        "io.containerd.image.name": "quay.io/kuadrant/authorino:v1",
        "org.opencontainers.image.ref.name": "v1",
    }
    for name, data in files.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(data).hexdigest() == name.rsplit("/", 1)[1]
    manifest = json.loads(files["blobs/" + descriptor["digest"].replace(":", "/")])
    (layer,) = manifest["layers"]
    blob = files["blobs/" + layer["digest"].replace(":", "/")]
    assert layer["size"] == len(blob)
    plain = gzip.decompress(blob) if compress else blob
    assert layer["mediaType"].endswith("+gzip") is compress
    config = json.loads(files["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(plain).hexdigest()]
    assert config["config"] == {
        "User": "1000:0",
        "WorkingDir": "/",
        "Env": ["PATH=/bin"],
        "Labels": {},
        "Entrypoint": ["/program"],
        "Cmd": ["serve"],
        "StopSignal": "SIGRTMIN+3",
    }
    (docker,) = json.loads(files["manifest.json"])
    assert docker["RepoTags"] == ["quay.io/kuadrant/authorino:v1"]
    assert (
        files[docker["Config"]]
        == json.dumps(config, separators=(",", ":"), sort_keys=True).encode()
    )
    assert [files[name] for name in docker["Layers"]] == [blob]


def test_the_same_input_gives_the_same_bytes(tmp_path, program):
    first = make_archive(tmp_path, program).read_bytes()
    assert make_archive(tmp_path, program).read_bytes() == first


def test_images_of_one_archive_share_layers(tmp_path, program):
    names = ("registry.k8s.io/etcd:3", "registry.k8s.io/kube-proxy:v1")
    archive = make_archive(tmp_path, program, names=names)
    assert [str(name) for name in oci.references(archive)] == list(names)
    blobs = [name for name in read_archive(archive) if name.startswith("blobs/")]
    assert len(blobs) == 3  # the same layer, configuration and manifest under two names


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("quay.io/kuadrant/limitador:v2", ("quay.io", "kuadrant/limitador", "v2")),
        ("docker.io/library/registry:2.8.2", ("docker.io", "library/registry", "2.8.2")),
        ("10.0.0.1:5000/a/b:c", ("10.0.0.1:5000", "a/b", "c")),
    ],
)
def test_references_are_split(text, parts):
    reference = oci.Reference.parse(text)
    assert (reference.host, reference.repository, reference.tag) == parts
    assert str(reference) == text


@pytest.mark.parametrize("text", ["envoy", "envoyproxy/envoy:v1", "quay.io/a/b", "quay.io/a:"])
def test_short_references_are_refused(text):
    with pytest.raises(LabError, match="no full image reference"):
        oci.Reference.parse(text)


@pytest.mark.parametrize("user", ["nonroot", "1000:staff", "-1"])
def test_users_are_numbers(user):
    with pytest.raises(LabError, match="runAsNonRoot"):
        oci.Config(user=user)


class Registry(http.server.BaseHTTPRequestHandler):
    """As much of the distribution protocol as a push uses."""

    protocol_version = "HTTP/1.1"
    blobs: dict
    manifests: dict
    refuse = False

    def log_message(self, *args):
        pass

    def answer(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        if "/manifests/" in self.path:
            data = self.manifests.get(self.path)
            digest = "sha256:" + hashlib.sha256(data or b"").hexdigest()
            return self.answer(200, Docker_Content_Digest=digest) if data else self.answer(404)
        return self.answer(200 if self.path.rsplit("/", 1)[1] in self.blobs else 404)

    def do_POST(self):
        self.answer(202, Location=f"{self.path}session?state=abc")

    def do_PUT(self):
        data = io.BytesIO(self.rfile.read(int(self.headers["Content-Length"]))).getvalue()
        if self.refuse:
            return self.answer(507)
        if "/manifests/" in self.path:
            self.manifests[self.path] = data
        else:
            assert "state=abc" in self.path
            digest = self.path.rsplit("digest=", 1)[1].replace("%3A", ":")
            assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
            self.blobs[digest] = data
        return self.answer(201)


@pytest.fixture
def registry():
    handler = type("Handler", (Registry,), {"blobs": {}, "manifests": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        handler.address = f"127.0.0.1:{server.server_port}"
        yield handler
        server.shutdown()


def test_push_sends_what_is_missing_and_only_that(tmp_path, program, registry):
    archive = make_archive(tmp_path, program)
    assert oci.push(archive, registry.address) is True
    assert list(registry.manifests) == ["/v2/kuadrant/authorino/manifests/v1"]
    assert len(registry.blobs) == 2
    assert oci.push(archive, registry.address) is False


def test_push_can_take_one_image_of_an_archive(tmp_path, program, registry):
    names = ("registry.k8s.io/etcd:3", "registry.k8s.io/kube-proxy:v1")
    archive = make_archive(tmp_path, program, names=names)
    oci.push(archive, registry.address, names[1])
    assert list(registry.manifests) == ["/v2/kube-proxy/manifests/v1"]


def test_a_refused_push_names_what_was_refused(tmp_path, program, registry):
    registry.refuse = True
    with pytest.raises(LabError, match=r"registry refused the blob sha256:\w+ of kuadrant/auth"):
        oci.push(make_archive(tmp_path, program), registry.address)
