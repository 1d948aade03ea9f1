"""Deploying the platform into the lab with the playbook everyone uses, and how to try it."""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from lab import environment, paths
from lab.errors import LabError
from lab.report import Report

PLAYBOOK = Path("playbooks/site.yml")
INVENTORY = Path("inventories/kind")
USER = "alice"
MODEL = "gemma"
NAMESPACE = "llm"
# From the checkout: the values that the lab wrote, then a token for a user of the lowest tier.
CURL = f"""\
set -a; . .lab/env; set +a
TOKEN=$(curl --silent --show-error --fail --resolve "$MAAS_RESOLVE" --cacert "$MAAS_CA" \\
  --header @<(echo "Authorization: Bearer $(cat .lab/identities/{USER}.token)") \\
  --header 'Content-Type: application/json' --data '{{"expiration": "1h"}}' \\
  "$MAAS_URL/maas-api/v1/tokens" \\
  | sed --quiet --regexp-extended 's/.*"token": *"([^"]*)".*/\\1/p')
curl --silent --show-error --resolve "$MAAS_RESOLVE" --cacert "$MAAS_CA" --write-out '\\n' \\
  --header @<(echo "Authorization: Bearer $TOKEN") \\
  --header 'Content-Type: application/json' \\
  --data '{{"model": "{MODEL}", "max_tokens": 16,
           "messages": [{{"role": "user", "content": "Say hello."}}]}}' \\
  "$MAAS_URL/{NAMESPACE}/{MODEL}/v1/chat/completions"
"""
SDK = f"""\
# The lab's host name is in no DNS: the client connects to loopback and names the host itself.
import os, ssl, httpx, openai

host, port, address = os.environ["MAAS_RESOLVE"].split(":")
client = openai.OpenAI(
    base_url=f"https://{{address}}:{{port}}/{NAMESPACE}/{MODEL}/v1",
    api_key=os.environ["TOKEN"],
    http_client=httpx.Client(
        verify=ssl.create_default_context(cafile=os.environ["MAAS_CA"]),
        headers={{"Host": f"{{host}}:{{port}}"}},
        event_hooks={{"request": [lambda r: r.extensions.update(sni_hostname=host)]}},
    ),
)
answer = client.chat.completions.create(
    model="{MODEL}", max_tokens=16, messages=[{{"role": "user", "content": "Say hello."}}]
)
print(answer.choices[0].message.content)
"""


def deploy(report: Report) -> None:
    """Run the playbook; its output is shown as it comes."""
    programs = Path(sys.executable).parent
    command: list[str | Path] = [programs / "ansible-playbook", PLAYBOOK, "--inventory", INVENTORY]
    search = f"{programs}:{paths.BIN}:{os.environ.get('PATH', os.defpath)}"
    with report.stage(f"ansible-playbook {PLAYBOOK} -i {INVENTORY}", live=False):
        done = subprocess.run(
            command,
            cwd=paths.CHECKOUT,
            env={**os.environ, **environment.variables(), "PATH": search},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(
                f"{PLAYBOOK} ended with {done.returncode}; its output above says where",
                "python -m lab logs collects the cluster's side; up --site tries again",
            )


def show_trial(console: Console) -> None:
    """Print commands that work as pasted, from the checkout in bash."""
    python = Path(sys.executable).parent / "python"
    try:
        shown = str(python.relative_to(paths.CHECKOUT))
    except ValueError:
        shown = str(python)
    console.print("\nTry it, in bash, from the checkout:\n", style="bold")
    console.print(CURL, markup=False, highlight=False, soft_wrap=True)
    console.print("The same with the openai package:\n", style="bold")
    text = f"export TOKEN\n{shown} - <<'END'\n{SDK}END\n"
    console.print(text, markup=False, highlight=False, soft_wrap=True)
