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


@pytest.fixture
def modules(tmp_path):
    """A graph, and a Go that has its module in a read-only directory, as Go keeps them."""
    graph = tmp_path / "graph"
    graph.mkdir()
    (graph / "go.mod").write_text("module example.org/graph\n")
    module = tmp_path / "cache/module"
    (module / "expr").mkdir(parents=True)
    (module / "expr/queue.go").write_text("theirs")
    (module / "expr/other.go").write_text("theirs")
    for path in (module / "expr/queue.go", module / "expr/other.go"):
        path.chmod(0o444)
    for path in (module / "expr", module):
        path.chmod(0o555)
    program = tmp_path / "go"
    program.write_text(
        "#!/bin/sh\n"
        f'case "$1" in list) echo {module};; '
        'mod) [ "$2" = edit ] && echo "$3" >> go.mod;; esac; true\n'
    )
    program.chmod(0o755)
    return program, graph


def test_a_patched_module_has_our_file_and_all_of_theirs(modules, tmp_path):
    go, graph = modules
    ours = tmp_path / "queue.go"
    ours.write_text("ours")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    files = {"expr/queue.go": ours}
    made = golang.patch(go, graph, "example.org/module", files, scratch, tmp_path / "log")
    assert (made / "changed/expr/queue.go").read_text() == "ours"
    assert (made / "changed/expr/other.go").read_text() == "theirs"
    assert "-replace=example.org/module=./changed" in (made / "go.mod").read_text()
    assert "replace" not in (graph / "go.mod").read_text()
