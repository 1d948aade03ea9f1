"""The cluster's own images: control plane, node, and the registry beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import debian, oci
from lab.process import run
from lab.recipe import RECIPES, Build, Recipe, versions

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler")
NODE_PROGRAMS = ("kubeadm", "kubectl", "kubelet")
# kube-proxy calls these; the rest of its image is the common binary.
PROXY_PACKAGES = ("conntrack", "ipset", "iptables", "kmod", "nftables")
# In what they call their own start-up these look for things that a container has not.
MASKED_UNITS = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"),
    *("e2scrub_reap.service", "fstrim.timer", "getty.target", "remote-fs.target"),
    *("systemd-pstore.service", "systemd-logind.service"),
)
NODE_PACKAGES = (
    *("systemd", "systemd-sysv", "containerd", "runc", "containernetworking-plugins"),
    *("iptables", "nftables", "conntrack", "ethtool", "socat", "iproute2", "kmod", "mount"),
    *("procps", "util-linux", "hostname", "ca-certificates"),
)


def _make_control_plane(build: Build) -> None:
    """One archive, and in it one layer that all five programs share."""
    binary = build.take("go-kubernetes", "kubernetes")
    links = {f"usr/local/bin/{name}": oci.Link("kubernetes") for name in PROGRAMS}
    programs = oci.write_layer(
        build.scratch / "programs.tar", {"usr/local/bin/kubernetes": binary, **links}
    )
    tools = build.scratch / "tools"
    debian.make_root(build.settings["suite"], PROXY_PACKAGES, tools, build.log)
    # dpkg's scripts, which did not run, would have chosen these.
    for name in ("iptables", "iptables-save", "iptables-restore"):
        for family in (name, name.replace("ip", "ip6", 1)):
            (tools / "usr/sbin" / family).symlink_to("xtables-nft-multi")
    proxy_tools = oci.write_layer(build.scratch / "tools.tar", {"": tools})
    images = []
    for reference in build.images:
        name = oci.Reference.parse(reference).repository.rsplit("/", 1)[-1]
        if name in PROGRAMS:
            layers = (programs, proxy_tools) if name == "kube-proxy" else (programs,)
            start = oci.Config(
                entrypoint=(name,),
                environment={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                user="0:0",
            )
        else:
            layers = (
                oci.write_layer(
                    build.scratch / f"{name}.tar", {name: build.take("go-operators", name)}
                ),
            )
            # CoreDNS binds port 53 with the one capability its pod has, which only root keeps.
            start = oci.Config(
                entrypoint=(f"/{name}",), user="0:0" if name == "coredns" else "65535:65535"
            )
        images.append(oci.Image(oci.Reference.parse(reference), layers, start))
    oci.write_archive(build.target / "image.tar", images)


def _make_node_root(build: Build) -> None:
    """Debian with systemd and containerd: what changes least, and takes longest."""
    debian.make_root(
        build.settings["suite"],
        NODE_PACKAGES,
        build.target / "root.tar",
        build.log,
        variant="minbase",
    )


def _make_node(build: Build) -> None:
    root = build.scratch / "root"
    root.mkdir()
    tar = ("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", root)
    run([*tar, "-xf", build.take("node-root", "root.tar")], log=build.log)
    shutil.copytree(RECIPES / "node/files", root, dirs_exist_ok=True)
    config = root / "etc/containerd/config.toml"
    config.write_text(config.read_text().replace("SANDBOX_IMAGE", build.settings["pause"]))
    binary = root / "usr/bin/kubernetes"
    shutil.copy(build.take("go-kubernetes", "kubernetes"), binary)
    for name in NODE_PROGRAMS:
        (root / "usr/bin" / name).symlink_to(binary.name)
    (root / "kind").mkdir()
    (root / "kind/version").write_text(build.settings["version"])
    (root / "etc/containerd/certs.d").mkdir()
    run(["chroot", root, "systemctl", "enable", "containerd", "kubelet"], log=build.log)
    run(["chroot", root, "systemctl", "mask", *MASKED_UNITS], log=build.log)
    # In mount and process namespaces of its own: nothing outlives it, whatever happens.
    run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *(RECIPES / "node/preload", root, build.take("control-plane", "image.tar")),
        ],
        log=build.log,
    )
    layer = build.scratch / "root.tar"
    empty = [f"--exclude=./{name}/*" for name in ("dev", "proc", "run", "sys", "tmp")]
    run([*tar, *empty, "-cf", layer, "."], log=build.log)
    shutil.rmtree(root)
    start = oci.Config(
        entrypoint=("/usr/local/bin/entrypoint", "/sbin/init"),
        environment={
            "container": "docker",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        },
        user="",
        stop_signal="SIGRTMIN+3",
    )
    image = oci.Image(oci.Reference.parse(build.images[0]), (layer,), start)
    oci.write_archive(build.target / "image.tar", [image], compress=False)


def _make_registry(build: Build) -> None:
    """Debian's build of the registry, under the name and with the start of the published one."""
    root = build.scratch / "root"
    debian.make_root(build.settings["suite"], ["docker-registry"], root, build.log)
    program = "/usr/bin/docker-registry"
    content: dict[str, Path | bytes | oci.Link | oci.Directory] = {
        "bin/registry": root / program[1:],
        "etc/docker/registry/config.yml": (RECIPES / "registry/config.yml"),
        "var/lib/registry": oci.Directory(),
        "tmp": oci.Directory(0o1777),
    }
    content |= debian.take_files(root, debian.library_closure(root, [program]))
    layer = oci.write_layer(build.scratch / "layer.tar", content)
    start = oci.Config(
        entrypoint=("/bin/registry",),
        command=("serve", "/etc/docker/registry/config.yml"),
        user="0:0",
    )
    image = oci.Image(oci.Reference.parse(build.images[0]), (layer,), start)
    oci.write_archive(build.target / "image.tar", [image], compress=False)


def recipes() -> list[Recipe]:
    """Return the recipes of this module."""
    images = versions()["images"]
    suite = versions()["debian"]["node"]
    return [
        Recipe(
            name="control-plane",
            make=_make_control_plane,
            settings={"suite": suite, "packages": PROXY_PACKAGES},
            needs=("go-kubernetes", "go-operators"),
            images=tuple(images[name] for name in (*PROGRAMS, "coredns", "pause")),
        ),
        Recipe(
            name="node-root",
            make=_make_node_root,
            settings={"suite": suite, "packages": NODE_PACKAGES},
        ),
        Recipe(
            name="node",
            make=_make_node,
            settings={
                "pause": images["pause"],
                "version": versions()["kubernetes"]["version"],
                "masked": MASKED_UNITS,
            },
            inputs=(RECIPES / "node",),
            needs=("node-root", "go-kubernetes", "control-plane"),
            images=(images["node"],),
        ),
        Recipe(
            name="registry",
            make=_make_registry,
            settings={"suite": suite},
            inputs=(RECIPES / "registry",),
            images=(images["registry"],),
        ),
    ]
