import pytest

from lab import golang


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go1.27", (1, 27, 0)),
        ("go version devel", (0, 0, 0)),
    ],
)
def test_versions_are_read(text, version):
    assert golang.version_of(text) == version


@pytest.fixture
def go(tmp_path, monkeypatch):
    """A Go that says it is 1.26.8 and writes down how it was called."""
    program = tmp_path / "bin/go"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = version ]; then echo "go version go1.26.8 linux/amd64"; exit; fi\n'
        f'printf "%s\\n" "$@" "$CGO_ENABLED" "$GOFLAGS" > {tmp_path}/called\n'
        "for argument; do target=$previous; previous=$argument; done\n"
        f"touch {tmp_path}/out/cmd {tmp_path}/out/helm\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


@pytest.mark.parametrize(("minimum", "found"), [("1.26.8", True), ("1.26.9", False)])
def test_the_go_on_path_is_taken_when_it_is_new_enough(go, minimum, found):
    assert golang.find_go(minimum) == (go if found else None)


def test_without_go_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert golang.find_go("1.0") is None


def test_builds_are_reproducible_and_named(go, tmp_path):
    (tmp_path / "out").mkdir()
    golang.build(
        go,
        tmp_path,
        {"operator": "example.org/operator/cmd", "helm": "example.org/helm"},
        tmp_path / "out",
        tmp_path / "log",
        link={"operator": ["main.version=v1"]},
    )
    called = (tmp_path / "called").read_text().splitlines()
    assert called[:3] == [
        "build",
        "-ldflags=-s -w",
        "-ldflags=example.org/operator/cmd=-s -w -X main.version=v1",
    ]
    assert called[-2:] == ["0", "-mod=readonly -trimpath -buildvcs=false"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["helm", "operator"]
