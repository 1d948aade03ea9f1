import yaml

from lab.recipe import Build
from lab.recipes import charts


def make_chart(path, **content):
    path.mkdir(parents=True)
    (path / "Chart.yaml").write_text(yaml.safe_dump({"name": path.name, **content}))
    return path


def test_the_gateways_values_name_the_released_image(tmp_path):
    chart = make_chart(tmp_path / "gateway-helm", version="v0.0.0-latest", appVersion="latest")
    (chart / "values.tmpl.yaml").write_text(
        "image: ${GatewayImage}\npullPolicy: ${GatewayImagePullPolicy}\n"
    )
    settings = {"gateway_image": "docker.io/e/g:v1", "versions": {"gateway-helm": "v1"}}
    charts._fill_gateway(chart, Build(tmp_path, tmp_path, tmp_path / "log", settings, (), {}))
    assert yaml.safe_load((chart / "values.yaml").read_text()) == {
        "image": "docker.io/e/g:v1",
        "pullPolicy": "IfNotPresent",
    }
    assert not (chart / "values.tmpl.yaml").exists()
    assert yaml.safe_load((chart / "Chart.yaml").read_text()) == {
        "name": "gateway-helm",
        "version": "v1",
        "appVersion": "v1",
    }


def test_kuadrant_depends_on_the_subcharts_that_lie_in_it(tmp_path):
    chart = make_chart(
        tmp_path / "kuadrant-operator", dependencies=[{"name": "dns-operator", "version": "1"}]
    )
    for name in charts.SUBCHARTS:
        make_chart(chart / "charts" / name, version="9")
    charts._keep_subcharts(chart)
    assert yaml.safe_load((chart / "Chart.yaml").read_text())["dependencies"] == [
        {"name": name, "version": "9"} for name in charts.SUBCHARTS
    ]
