"""Helm post-renderer: settings of Deployments that a chart has no values for.

Reads manifests from standard input and writes them to standard output. HELM_RELEASE_CHANGES says
what to change, as JSON: image_mirror, which replaces the registry of every image; resources, of
every container; environment, variables by name of the Deployment.
"""

import json
import os
import re
import sys

import yaml

REGISTRY = re.compile(r"^(?:[^/]+[.:][^/]*|localhost)/")


def mirrored(image, mirror):
    """Return the image's reference in the mirror."""
    return mirror + "/" + REGISTRY.sub("", image) if mirror else image


def change_container(container, changes, environment):
    """Change one container in place; environment holds variables to add or to replace."""
    mirror = changes.get("image_mirror", "")
    container["image"] = mirrored(container["image"], mirror)
    variables = container.get("env", [])
    for variable in variables:
        # What an operator deploys, it reads from such variables.
        if variable["name"].startswith("RELATED_IMAGE_"):
            variable["value"] = mirrored(variable["value"], mirror)
    kept = [variable for variable in variables if variable["name"] not in environment]
    added = [{"name": name, "value": value} for name, value in sorted(environment.items())]
    container["env"] = kept + added
    if changes.get("resources"):
        container["resources"] = changes["resources"]


def change(manifests, changes):
    """Return the manifests, one text, with the Deployments in them changed."""
    changed = []
    for document in re.split(r"^---\s*$", manifests, flags=re.MULTILINE):
        # Megabytes of schemas pass through as they are.
        if not re.search(r"^kind: Deployment$", document, flags=re.MULTILINE):
            changed.append(document)
            continue
        deployment = yaml.safe_load(document)
        environment = changes.get("environment", {}).get(deployment["metadata"]["name"], {})
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            change_container(container, changes, environment)
        changed.append("\n" + yaml.safe_dump(deployment, sort_keys=False))
    return "---".join(changed)


def main():
    """Change standard input into standard output."""
    changes = json.loads(os.environ["HELM_RELEASE_CHANGES"])
    sys.stdout.write(change(sys.stdin.read(), changes))


if __name__ == "__main__":
    main()
