import tomllib

from lab import mirrors

REGISTRY = "172.31.200.10:5000"


def hosts(name, with_upstream):
    return tomllib.loads(mirrors.render(REGISTRY, with_upstream)[name])


def test_every_registry_asks_the_lab_first():
    for text in mirrors.render(REGISTRY, with_upstream=True).values():
        assert list(tomllib.loads(text)["host"]) == [f"http://{REGISTRY}"]


def test_upstream_has_what_the_lab_lacks():
    assert hosts("docker.io", with_upstream=True)["server"] == "https://registry-1.docker.io"
    assert hosts(REGISTRY, with_upstream=True)["server"] == f"http://{REGISTRY}"
    assert "_default" not in mirrors.render(REGISTRY, with_upstream=True)


def test_with_own_images_nothing_is_asked_of_the_outside():
    rendered = mirrors.render(REGISTRY, with_upstream=False)
    assert "_default" in rendered
    assert {tomllib.loads(text)["server"] for text in rendered.values()} == {f"http://{REGISTRY}"}


def test_stale_files_go(tmp_path):
    mirrors.write(tmp_path, "172.31.200.10:5000", with_upstream=False)
    mirrors.write(tmp_path, "172.30.200.10:5000", with_upstream=True)
    expected = set(mirrors.render("172.30.200.10:5000", with_upstream=True))
    assert {path.name for path in tmp_path.iterdir()} == expected
